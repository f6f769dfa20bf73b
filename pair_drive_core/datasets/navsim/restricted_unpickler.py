"""The only place of the project that unpickles; it admits numpy arrays and builtins and nothing else."""

from __future__ import annotations

import codecs
import struct
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.errors import DatasetError, UntrustedPickleError
from pair_drive_core.datasets.navsim.pickle_machine import (
    Names,
    PickleMachine,
    RefusedNameError,
    make_frozenset,
    make_set,
)
from pair_drive_core.datasets.navsim.pickled_arrays import ARRAY_MAKERS, SCALAR_TYPES
from pair_drive_core.datasets.navsim.pickled_records import PickledRecord
from pair_drive_core.datasets.navsim.stand_ins import Budget, PickleError

MEMORY_PER_BYTE = 8
"""What is read takes at most so many bytes for each byte of the file, more than the densest real file needs..."""
MEMORY_FREE_BYTES = 2**23
"""...and so much in any case."""
MAX_DEPTH = 64
"""How deep lists, dictionaries and records may lie in each other."""
FREE_ELEMENTS = 2**16
"""Elements of all containers, counted as often as they are reached: as many as the file has bytes, and so many more."""

_CORRUPT = (ValueError, IndexError, struct.error, OverflowError, MemoryError)
_LEAVES = SCALAR_TYPES | {type(None), bool, int, float, complex, str, bytes, bytearray}


def _encode_latin1(args: tuple[object, ...], budget: Budget) -> bytes:
    """Array bytes in pickles of protocol 2 and older: text encoded back to bytes, by no other codec."""
    text, encoding = args if len(args) == 2 else (None, None)
    if not isinstance(text, str) or encoding != "latin1":
        got = repr(encoding[:40]) if isinstance(encoding, str) else type(encoding).__name__
        raise PickleError(f"refused to encode bytes as {got}, expected 'latin1'")
    budget.charge(64 + len(text))
    return codecs.latin_1_encode(text)[0]


def _make_bytes(args: tuple[object, ...], budget: Budget) -> bytes:
    """No bytes; others are written by other means."""
    if args:
        raise PickleError("refused to make bytes from arguments")
    return b""


def _make_bytearray(args: tuple[object, ...], budget: Budget) -> bytearray:
    """`bytearray()`, `bytearray(bytes)`, or `bytearray(text, "latin-1")` in protocol 2 and older."""
    content = args[0] if args else b""
    if isinstance(content, str) and args[1:] == ("latin-1",):
        content = _encode_latin1((content, "latin1"), budget)
    elif not isinstance(content, bytes) or len(args) > 1:
        raise PickleError("expected the content of a bytearray as bytes")
    budget.charge(64 + len(content))
    return bytearray(content)


def _make_complex(args: tuple[object, ...], budget: Budget) -> complex:
    """`complex(float, float)`."""
    real, imaginary = args if len(args) == 2 else (None, None)
    if not isinstance(real, float) or not isinstance(imaginary, float):
        raise PickleError("expected a complex number of two floats")
    budget.charge(32)
    return complex(real, imaginary)


def _make_ordered_dict(args: tuple[object, ...], budget: Budget) -> OrderedDict[object, object]:
    """`OrderedDict()`; entries follow."""
    if args:
        raise PickleError("refused to make an OrderedDict from arguments")
    budget.charge(512)
    return OrderedDict()


_ADMITTED: Names = {
    **ARRAY_MAKERS,
    ("_codecs", "encode"): _encode_latin1,
    ("collections", "OrderedDict"): _make_ordered_dict,
    **{
        (module, name): maker
        for module in ("builtins", "__builtin__")
        for name, maker in (
            ("bytearray", _make_bytearray),
            ("bytes", _make_bytes),
            ("complex", _make_complex),
            ("frozenset", make_frozenset),
            ("set", make_set),
        )
    },
}


def loads_restricted(content: bytes, source: Path | str, stand_ins: Names | None = None) -> object:
    """Unpickle builtins and numpy arrays.

    Args:
        content: the pickle.
        source: file name for messages.
        stand_ins: more names, each with a maker of inert substitutes of ours for the class named.

    Raises:
        UntrustedPickleError: if the pickle names anything that is not admitted.
        DatasetError: if the bytes are no pickle or a torn one, or would need more memory than such a file should.
    """
    names = {**_ADMITTED, **stand_ins} if stand_ins else _ADMITTED
    budget = Budget(MEMORY_FREE_BYTES + MEMORY_PER_BYTE * len(content))
    try:
        read = PickleMachine(content, names, budget).run()
        _check_content(read, FREE_ELEMENTS + len(content))
    except RefusedNameError as error:
        raise UntrustedPickleError(source, f"{error}; only numpy arrays and builtins are admitted") from error
    except _CORRUPT as error:
        raise DatasetError(source, f"corrupt pickle ({type(error).__name__}: {error})") from error
    return read


def load_restricted(path: Path, stand_ins: Names | None = None) -> object:
    """Unpickle a file; see `loads_restricted`.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if the pickle names anything that is not admitted.
        DatasetError: if the file is no pickle or a torn one, or would need more memory than such a file should.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return loads_restricted(path.read_bytes(), path, stand_ins)


def _check_content(root: object, max_elements: int) -> None:
    """Check that only data came out, neither deep nor without end.

    A pickle may hold one list in many places, or in itself; whoever walks through it then, walks as often. So each is
    counted as often as it is reached.

    Raises:
        PickleError: if not.
    """
    level, elements = [root], 0
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for value in level:
            entries = _entries(value)
            elements += len(entries)
            if elements > max_elements:
                raise PickleError(f"expected at most {max_elements} elements in a file of this size")
            below += [entry for entry in entries if type(entry) not in _LEAVES]
        if not below:
            return
        level = below
    raise PickleError(f"expected objects in each other at most {MAX_DEPTH} deep")


def _entries(value: object) -> Collection[object]:
    kind = type(value)
    if kind is np.ndarray:
        array: npt.NDArray[np.generic] = value  # type: ignore[assignment]
        return list(array.flat) if array.dtype.hasobject else ()
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return value  # type: ignore[return-value]
    if kind is dict or kind is OrderedDict:
        return value.values()  # type: ignore[attr-defined, no-any-return]
    if kind is PickledRecord:
        record: PickledRecord = value  # type: ignore[assignment]
        return [*record.args, *record.fields.values()]
    if kind in _LEAVES:
        return ()
    raise PickleError(f"expected plain data, got a {kind.__name__} that was left unfinished")
