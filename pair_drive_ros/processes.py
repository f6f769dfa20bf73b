"""Child processes that end with their parent, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 5


@dataclass(frozen=True)
class Child:
    """A running child.

    Attributes:
        name: for messages.
        process: handle.
        log: file with its standard output and error.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The last lines of its output, on one line."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-_TAIL_LINES:]) or "no output"


class ChildError(RuntimeError):
    """A child that ended when it should not have, or badly."""


class Children:
    """Starts children and stops them all in the end; use as a context.

    Args:
        logs: folder for their output.
        environment: variables beside those of this process.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._children: list[Child] = []

    def __enter__(self) -> Children:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, whatever happened."""
        self.stop_all()

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a child in a session of its own, so that Ctrl-C reaches it only through this process."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def require_running(self, *children: Child) -> None:
        """Check that children still run.

        Raises:
            ChildError: naming the one that has ended, with its last words.
        """
        for child in children:
            code = child.process.poll()
            if code is not None:
                raise ChildError(f"{child.name} ended with exit code {code}: {child.tail()}")

    def stop(self, child: Child, timeout_s: float) -> None:
        """Interrupt a child and wait until it has finished its work.

        Raises:
            ChildError: if it does not end in time or ends with an error.
        """
        _signal(child.process, signal.SIGINT)
        try:
            code = child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{child.name} did not end within {timeout_s} s of being interrupted") from None
        if code != 0:
            raise ChildError(f"{child.name} ended with exit code {code}: {child.tail()}")

    def stop_all(self, timeout_s: float = 5.0) -> None:
        """Interrupt all children; kill, with everything they started, those that do not end in time."""
        running = [child.process for child in self._children if child.process.poll() is None]
        for process in running:
            _signal(process, signal.SIGINT)
        end = time.monotonic() + timeout_s
        while any(process.poll() is None for process in running) and time.monotonic() < end:
            time.sleep(0.02)
        for process in running:
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
                process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a child's whole session, if it still exists."""
    if process.poll() is None:
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Linux: let the kernel end this child when its parent is killed; elsewhere it is only stopped by `stop_all`."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
