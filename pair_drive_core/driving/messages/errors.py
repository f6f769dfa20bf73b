"""What a message that breaks the rules raises."""

from __future__ import annotations


class MessageError(ValueError):
    """A message whose content cannot be used; says what came and what was expected."""
