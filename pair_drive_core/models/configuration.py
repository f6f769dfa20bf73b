"""Typed configurations to and from plain mappings, strictly: what a YAML file or a checkpoint's metadata may say."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

ConfigT = TypeVar("ConfigT")
_LARGEST = sys.float_info.max


class ConfigurationError(ValueError):
    """A configuration that names unknown fields or gives values of a wrong type."""


def config_to_mapping(config: object) -> dict[str, Any]:
    """A dataclass configuration as nested plain mappings that JSON and YAML can hold."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ConfigurationError(f"expected a dataclass instance, got {type(config).__name__}")
    return {field.name: _to_plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def config_from_mapping(kind: type[ConfigT], values: Mapping[str, Any], where: str = "") -> ConfigT:
    """Build a dataclass configuration; fields that are not given keep their defaults.

    Args:
        kind: the dataclass.
        values: nested plain mappings.
        where: dotted path of this mapping, for messages.

    Raises:
        ConfigurationError: naming the field, what came and what is available.
    """
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{_named(where)}: expected a group of settings, got {reprlib.repr(values)}")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(map(str, set(values) - set(names)))
    if unknown:
        first = reprlib.repr(_join(where, unknown[0]))
        raise ConfigurationError(f"unknown setting {first}; available here: {', '.join(names)}")
    given = {name: _convert(hints[name], value, _join(where, name)) for name, value in values.items()}
    try:
        return kind(**given)
    except ConfigurationError:
        raise
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise ConfigurationError(f"{_named(where)}: {error}") from error


def _named(where: str) -> str:
    return f"setting {where!r}" if where else "settings"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else str(name)


def _to_plain(value: object) -> Any:  # noqa: ANN401 - plain JSON values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return config_to_mapping(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_to_plain(entry) for entry in value]
    return value


def _convert(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - the type is known only at run time
    """One value as the field's type demands."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return config_from_mapping(typing.cast("type[Any]", hint), value, where)
    if origin is tuple:
        return _convert_tuple(hint, value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            choices = ", ".join(str(entry.value) for entry in hint)
            got = reprlib.repr(value)
            raise ConfigurationError(f"setting {where!r}: expected one of {choices}, got {got}") from None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and is_number:
        # Python compares whole numbers of any size with floats, but cannot turn the largest into one.
        if not abs(value) <= _LARGEST or not math.isfinite(value):
            raise ConfigurationError(f"setting {where!r}: expected a finite number, got {reprlib.repr(value)}")
        return float(value)
    if isinstance(value, hint) and (hint is not int or is_number):
        return value
    got = f"{type(value).__name__} {reprlib.repr(value)}"
    raise ConfigurationError(f"setting {where!r}: expected {hint.__name__}, got {got}")


def _convert_union(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - as _convert
    """A value of an `X | None` field, or of one configuration of several, told apart by `kind`."""
    choices = [entry for entry in typing.get_args(hint) if entry is not types.NoneType]
    if value is None and len(choices) < len(typing.get_args(hint)):
        return None
    if len(choices) == 1:
        return _convert(choices[0], value, where)
    kinds = {str(choice.kind): choice for choice in choices}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{_named(where)}: expected a group of settings, got {reprlib.repr(value)}")
    kind = value.get("kind", next(iter(kinds)))
    if not isinstance(kind, str) or kind not in kinds:
        name = _join(where, "kind")
        raise ConfigurationError(f"setting {name!r}: expected one of {', '.join(kinds)}, got {reprlib.repr(kind)}")
    return _convert(kinds[kind], value, where)


def _convert_tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:  # noqa: ANN401 - as _convert
    """A value of a tuple field, of fixed or free length."""
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"setting {where!r}: expected a list, got {reprlib.repr(value)}")
    inner = typing.get_args(hint)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        raise ConfigurationError(f"setting {where!r}: expected {len(inner)} entries, got {len(value)}")
    return tuple(
        _convert(kind, entry, f"{where}[{i}]") for i, (kind, entry) in enumerate(zip(inner, value, strict=True))
    )
