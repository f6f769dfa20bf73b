"""One fixed thread that works on the newest job; a job that waits when a newer one comes is replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

JobT = TypeVar("JobT")


class InferenceThread(Generic[JobT]):
    """Runs a handler on jobs, one after the other, on a thread of its own.

    Networks and devices keep state by thread, so everything that touches them runs here.

    Args:
        handler: called with each job.
        failed: told what the handler raised; the next job is worked on all the same.
        name: of the thread.
    """

    def __init__(self, handler: Callable[[JobT], None], failed: Callable[[Exception], None], name: str) -> None:
        self._handler = handler
        self._failed = failed
        self._condition = threading.Condition()
        self._waiting: JobT | None = None
        self._stopping = False
        self._busy_since_s: float | None = None
        self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; one that has ended works on nothing any more."""
        return self._thread.is_alive()

    @property
    def busy_s(self) -> float:
        """How long it has been working on the present job, s of wall-clock time; 0 while it waits."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def submit(self, job: JobT) -> None:
        """Hand over a job; one that still waits is dropped and counted in `replaced`."""
        with self._condition:
            if self._waiting is not None:
                self.replaced += 1
            self._waiting = job
            self._condition.notify()

    def drop_waiting(self) -> bool:
        """Drop the job that waits, if there is one; whether there was."""
        with self._condition:
            dropped = self._waiting is not None
            self._waiting = None
            return dropped

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Finish the running job, drop the waiting one and end the thread; whether it has ended in time."""
        with self._condition:
            self._stopping = True
            self._waiting = None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting is not None or self._stopping)
                if self._stopping:
                    return
                job, self._waiting = self._waiting, None
            if job is None:
                continue
            self._busy_since_s = time.monotonic()
            try:
                self._handler(job)
            except Exception as error:  # noqa: BLE001 - the thread owns its exceptions: it must live to work on the next
                self._failed(error)
            finally:
                self._busy_since_s = None
