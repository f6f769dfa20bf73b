"""An iterator that works ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")

_POLL_S = 0.1


class ReadAhead(Generic[ItemT]):
    """Takes items from an iterator in a thread while the items before are worked on.

    Use as a context manager: leaving it stops the thread, wherever it is.

    Args:
        items: is only touched by the thread.
        depth: how many items may wait.
    """

    def __init__(self, items: Iterator[ItemT], depth: int = 3) -> None:
        self._items = items
        self._waiting: queue.Queue[ItemT] = queue.Queue(depth)
        self._stop = threading.Event()
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="read ahead", daemon=True)

    def __enter__(self) -> ReadAhead[ItemT]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[ItemT]:
        """Items in their order.

        Raises:
            Whatever the iterator raises, after the items before it.
        """
        while True:
            # Looked at before the queue: what is put before the end is announced is not missed.
            ended = self._done.is_set()
            try:
                yield self._waiting.get_nowait() if ended else self._waiting.get(timeout=_POLL_S)
            except queue.Empty:
                if ended:
                    break
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - the thread hands its exceptions to whom the items are for
            self._error = error
        finally:
            self._done.set()

    def _put(self, item: ItemT) -> bool:
        while not self._stop.is_set():
            try:
                self._waiting.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
