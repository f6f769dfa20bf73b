"""One fixed thread that works on the newest job; a job that waits when a newer one comes is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

JobT = TypeVar("JobT")


class InferenceThread(Generic[JobT]):
    """Runs a handler on jobs, one after the other, on a thread of its own.

    Networks and devices keep state by thread, so everything that touches them runs here.

    Args:
        handler: called with each job; it must not raise.
        name: of the thread.
    """

    def __init__(self, handler: Callable[[JobT], None], name: str) -> None:
        self._handler = handler
        self._condition = threading.Condition()
        self._waiting: JobT | None = None
        self._stopping = False
        self.replaced = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: JobT) -> None:
        """Hand over a job; one that still waits is dropped and counted in `replaced`."""
        with self._condition:
            if self._waiting is not None:
                self.replaced += 1
            self._waiting = job
            self._condition.notify()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish the running job, drop the waiting one and end the thread."""
        with self._condition:
            self._stopping = True
            self._waiting = None
            self._condition.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting is not None or self._stopping)
                if self._stopping:
                    return
                job, self._waiting = self._waiting, None
            if job is not None:
                self._handler(job)
