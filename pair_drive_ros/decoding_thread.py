"""One thread that decodes pictures and clouds as they arrive, while the rest of their set is still on its way."""

from __future__ import annotations

import threading
from collections import deque

from pair_drive_core.driving.readings import Reading


class DecodingThread:
    """Decodes the newest readings; those it does not get to are decoded by whoever wants them.

    OpenCV and NumPy let other threads run meanwhile.

    Args:
        capacity: readings that may wait; the oldest is left out where there are more.
    """

    def __init__(self, capacity: int = 8) -> None:
        self._waiting: deque[Reading] = deque(maxlen=capacity)
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    def submit(self, reading: Reading) -> None:
        """Hand over a reading."""
        with self._condition:
            self._waiting.append(reading)
            self._condition.notify()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Finish the present reading, leave out the others and end the thread; whether it has ended in time."""
        with self._condition:
            self._stopping = True
            self._waiting.clear()
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                reading = self._waiting.popleft()
            reading.prepare()
            del reading  # or the last one would be kept until the next comes
