"""YAML of strangers, as far as it is plain data."""

from __future__ import annotations

from typing import Any

import yaml

MAX_NODES_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ERRORS = (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)


class YamlTextError(ValueError):
    """Text that is no plain YAML."""


def load_plain_yaml(text: str) -> object:
    """The document in a text.

    Raises:
        YamlTextError: if it is no YAML, or holds aliases: a few of them make a document without end.
    """
    refuse_aliases(text)
    try:
        document: object = yaml.load(text, Loader=_LOADER)
    except _ERRORS as error:
        raise YamlTextError(_one_line(error)) from None
    return document


def refuse_aliases(text: str) -> None:
    """Check that a document has neither aliases nor more depth than settings ever have.

    Raises:
        YamlTextError: if it has, or is no YAML.
    """
    if not ("*" in text and "&" in text) and max(text.count("["), text.count("{")) < MAX_NODES_DEPTH:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise YamlTextError("expected no aliases (*name), they are not admitted here")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_NODES_DEPTH:
                raise YamlTextError(f"expected lists and mappings at most {MAX_NODES_DEPTH} deep")
    except YamlTextError:
        raise
    except _ERRORS as error:
        raise YamlTextError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
