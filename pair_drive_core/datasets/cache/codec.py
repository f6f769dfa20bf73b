"""A whole `Scene` as bytes and back: safetensors inside zlib, with a version; nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import functools
import json
import reprlib
import types
import typing
import zlib
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pair_drive_core.scene import Scene, SceneError

FORMAT = "pair_drive_scene/1"
"""Name and version of the layout; raised whenever a field of the data model changes."""
_DOCUMENT_KEY = "scene"
_LATER_FIELDS = frozenset({"planner_lights"})
"""Fields with a default that files of this format may lack."""
_TENSOR_KEY = "tensor"

MAX_FREE_BYTES, MAX_RATIO = 2**22, 16
"""A packed scene may hold so much, and so many times its own size more."""
MAX_DOCUMENT_BYTES = 2**22
"""Largest document beside the tensors."""
_MALFORMED = (
    *(KeyError, TypeError, ValueError, IndexError, AttributeError),
    *(ArithmeticError, RuntimeError),
)
"""What a part of a wrong kind raises while the scene is put together and validated."""

PartT = TypeVar("PartT")


def encode_scene(scene: Scene, level: int = 1) -> bytes:
    """Pack a scene: tensors as they are, everything else as a JSON document beside them.

    Args:
        scene: what to pack.
        level: zlib's, 0 (stored, fastest to read) to 9.
    """
    tensors: dict[str, Tensor] = {}
    document = _to_document(scene, "", tensors)
    # One key only: safetensors writes several in no fixed order, and equal scenes shall be equal bytes.
    metadata = {_DOCUMENT_KEY: json.dumps({"format": FORMAT, _DOCUMENT_KEY: document})}
    return zlib.compress(safetensors.torch.save(tensors, metadata), level=level)


def decode_scene(data: bytes, validate: bool = True) -> Scene:
    """Unpack a scene and validate it.

    Args:
        data: from `encode_scene`.
        validate: False where the bytes have a checksum of their own and were valid when they were written.

    Raises:
        SceneError: for bytes that are damaged, of another version, or not a scene.
    """
    try:
        content = _inflated(data)
        header_size = int.from_bytes(content[:8], "little")
        if header_size > MAX_DOCUMENT_BYTES:
            raise ValueError(f"a document of {header_size} bytes, expected at most {MAX_DOCUMENT_BYTES}")
        tensors = safetensors.torch.load(content)
        metadata = json.loads(content[8 : 8 + header_size]).get("__metadata__") or {}
        document = json.loads(metadata.get(_DOCUMENT_KEY, "{}"))
    except (zlib.error, safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise SceneError(f"packed scene: expected {FORMAT}, got {len(data)} damaged bytes ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        got = reprlib.repr(document.get("format") if isinstance(document, dict) else document)
        raise SceneError(f"packed scene: expected {FORMAT}, got {got}")
    try:
        scene = _from_document(Scene, document[_DOCUMENT_KEY], tensors)
        return scene.validate() if validate else scene
    except SceneError:
        raise
    except _MALFORMED as error:
        raise SceneError(f"packed scene: not a whole scene ({type(error).__name__}: {error})") from None


def _inflated(data: bytes) -> bytes:
    """What the bytes hold; a small file may claim to hold gigabytes.

    Raises:
        ValueError: if they hold more than scenes do, or the end is missing.
        zlib.error: if they are damaged.
    """
    limit = MAX_FREE_BYTES + MAX_RATIO * len(data)
    inflater = zlib.decompressobj()
    content = inflater.decompress(data, limit)
    if inflater.unconsumed_tail:
        raise ValueError(f"expected at most {limit} bytes in a packed scene of this size")
    if not inflater.eof:
        raise ValueError("the end is missing")
    return content


def _to_document(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - any field of the model
    """JSON for a value; its tensors go into `tensors` under their paths."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()
        return {_TENSOR_KEY: path}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: _to_document(getattr(value, f.name), f"{path}.{f.name}".lstrip("."), tensors) for f in fields}
    if isinstance(value, tuple):
        return [_to_document(entry, f"{path}.{i}", tensors) for i, entry in enumerate(value)]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise SceneError(f"packed scene: cannot pack {path} of type {type(value).__name__}")


def _from_document(kind: type[PartT], document: dict[str, Any], tensors: dict[str, Tensor]) -> PartT:
    """A dataclass of the data model."""
    if not isinstance(document, dict):
        raise TypeError(f"expected the fields of {kind.__name__}, got {type(document).__name__}")
    fields = _fields(kind)  # type: ignore[arg-type]
    known = {name: hint for name, hint in fields if name in document or name not in _LATER_FIELDS}
    return kind(**{name: _from_value(hint, document[name], tensors) for name, hint in known.items()})


@functools.lru_cache(maxsize=64)
def _fields(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    """Names and types of a dataclass's fields; resolving the types takes longer than reading a scene."""
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _from_value(hint: Any, value: Any, tensors: dict[str, Tensor]) -> Any:  # noqa: ANN401 - typed by the hint
    """One field."""
    if value is None:
        return None
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(entry for entry in typing.get_args(hint) if entry is not types.NoneType)
    if hint is Tensor or hint is torch.Tensor:
        return tensors[value[_TENSOR_KEY]]
    if dataclasses.is_dataclass(hint):
        return _from_document(typing.cast("type[Any]", hint), value, tensors)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"expected a list, got {type(value).__name__}")
        inner = typing.get_args(hint)[0]
        return tuple(_from_value(inner, entry, tensors) for entry in value)
    if isinstance(hint, type) and not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError(f"expected {hint.__name__}, got {type(value).__name__}")
    return value
