"""What takes the place of objects while a pickle is read: inert, and paid for out of a budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias


class PickleError(ValueError):
    """A pickle that is torn, too large for its file, or asks for something that plain data never needs."""


class Budget:
    """How much memory the content of one file may take; a number in the file is never allocated unchecked."""

    def __init__(self, limit_bytes: int) -> None:
        """Nothing is spent yet.

        Args:
            limit_bytes: what may be spent, estimated.
        """
        self._limit = limit_bytes
        self.spent = 0

    def charge(self, size_bytes: int) -> None:
        """Spend before allocating.

        Raises:
            PickleError: if there is not so much left.
        """
        self.spent += size_bytes
        if self.spent > self._limit:
            self.check(0)

    def check(self, extra_bytes: int) -> None:
        """See whether what is spent, and as much again as is held for the moment, is within the limit.

        Raises:
            PickleError: if not.
        """
        wanted = self.spent + extra_bytes
        if wanted > self._limit:
            raise PickleError(f"expected at most {self._limit} bytes of content in a file of this size, got {wanted}")


class StandIn:
    """An object of the file that is not complete before its state comes.

    Attributes:
        memo_slot: where the machine's memo may hold it.
    """

    __slots__ = ("memo_slot",)
    memo_slot: int

    def fill(self, state: object, budget: Budget) -> object:
        """The finished value.

        Raises:
            PickleError: for a state that such objects do not have.
        """
        raise NotImplementedError


Maker: TypeAlias = Callable[[tuple[object, ...], Budget], object]
"""Makes our substitute of what the file calls, from the arguments in the file."""
