"""numpy arrays of a pickle, without numpy's own part in unpickling.

numpy's dtype and ndarray trust the state that a pickle sets: types of Python objects over foreign bytes, offsets
outside of the buffer. So neither is in the machine's reach. Stand-ins take their places, and once everything is checked
the array is made here, of one of the plain types and a copy of the bytes in the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.navsim.stand_ins import Budget, Maker, PickleError, StandIn

_ORDERS = ("<", ">", "|", "=")
_PLAIN_TYPE = re.compile(r"(b1|[iu][1248]|f[248]|c8|c16|U\d{1,6}|S\d{1,6}|O8)")
_MAX_CODE_POINT = 0x10FFFF
_ARRAY_BYTES = 160
_MAX_DIMENSIONS = 32
_MAX_EXTENT = 2**40

_SCALARS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "U1", "S1")
SCALAR_TYPES = frozenset(np.dtype(code).type for code in _SCALARS)
"""Types of the numbers and texts of numpy that a file may hold."""

_dtypes: dict[str, np.dtype[np.generic]] = {}


class _Dtype(StandIn):
    """A type of array elements before its byte order comes."""

    __slots__ = ("_code",)

    def __init__(self, code: str) -> None:
        self._code = code

    def fill(self, state: object, budget: Budget) -> np.dtype[np.generic]:
        """The type, made from its name alone: neither fields nor sizes are taken from the file."""
        order = None
        if type(state) is tuple and len(state) >= 5 and state[2] is state[3] is state[4] is None:
            order = state[1]
        if type(order) is not str or order not in _ORDERS:
            raise PickleError(f"expected the state of a plain numpy type {self._code!r}")
        name = order + self._code
        found = _dtypes.get(name)
        if found is None:
            budget.charge(_ARRAY_BYTES)
            found = np.dtype(name)
            if len(_dtypes) < 256:
                _dtypes[name] = found
        return found


class _Array(StandIn):
    """An array before its state comes."""

    __slots__ = ()

    def fill(self, state: object, budget: Budget) -> npt.NDArray[np.generic]:
        """The array, of (1, shape, dtype, is Fortran order, bytes or list of objects)."""
        if not (isinstance(state, tuple) and len(state) == 5 and state[0] == 1):
            raise PickleError("expected the state of an array: version 1, shape, dtype, order, bytes")
        _, shape, dtype, fortran, content = state
        return _array(shape, dtype, "F" if fortran else "C", content, budget)


def _array(shape: object, dtype: object, order: str, content: object, budget: Budget) -> npt.NDArray[np.generic]:
    """A writable copy of what the file holds."""
    if not isinstance(dtype, np.dtype):
        raise PickleError(f"expected the type of an array, got {type(dtype).__name__}")
    if order not in ("C", "F"):
        raise PickleError("expected an array in order C or F")
    sizes, count = _sizes(shape)
    if dtype.kind == "O":
        return _object_array(sizes, count, order, content, budget)
    if not isinstance(content, (bytes, bytearray)) or len(content) != count * dtype.itemsize:
        got = f"{len(content)} bytes" if isinstance(content, (bytes, bytearray)) else type(content).__name__
        raise PickleError(f"expected {count} elements of {dtype.itemsize} bytes each in an array, got {got}")
    budget.charge(_ARRAY_BYTES + len(content))
    if not content:
        if count:
            raise PickleError("expected elements of at least one byte")
        return np.empty(sizes, dtype)
    flat = np.frombuffer(content, dtype)
    if dtype.kind == "U":
        _check_text(content, dtype)
    if len(sizes) == 1:
        return flat.copy()
    return flat.reshape(sizes, order="F" if order == "F" else "C").copy(order="K")


def _sizes(shape: object) -> tuple[tuple[int, ...], int]:
    """A shape and the number of its elements."""
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS:
        raise PickleError(f"expected at most {_MAX_DIMENSIONS} sizes of an array")
    count = 1
    for size in shape:
        if type(size) is not int or not 0 <= size <= _MAX_EXTENT:
            raise PickleError(f"expected the sizes of an array from 0 to {_MAX_EXTENT}")
        count *= size
    return shape, count


def _check_text(content: bytes | bytearray, dtype: np.dtype[np.generic]) -> None:
    points = np.frombuffer(content, np.dtype("u4").newbyteorder(dtype.byteorder))
    if int(points.max()) > _MAX_CODE_POINT:
        raise PickleError("expected an array of texts, got numbers that are no characters")


def _object_array(
    shape: tuple[int, ...], count: int, order: str, content: object, budget: Budget
) -> npt.NDArray[np.generic]:
    if not isinstance(content, list) or len(content) != count:
        raise PickleError(f"expected a list of {count} objects for an array, got {type(content).__name__}")
    budget.charge(_ARRAY_BYTES + 8 * count)
    flat = np.empty(count, np.dtype("O"))
    for i, entry in enumerate(content):
        flat[i] = entry
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _make_dtype(args: tuple[object, ...], budget: Budget) -> _Dtype:
    budget.charge(_ARRAY_BYTES)
    code = args[0] if args else None
    if not isinstance(code, str) or _PLAIN_TYPE.fullmatch(code) is None:
        got = repr(code[:40]) if isinstance(code, str) else type(code).__name__
        raise PickleError(f"expected a plain numpy type such as 'f8' or 'U16', got {got}")
    return _Dtype(code)


def _make_array(args: tuple[object, ...], budget: Budget) -> _Array:
    """`_reconstruct(ndarray, (0,), b"b")` or `ndarray((0,), "b")`: an empty array, whatever the arguments are."""
    budget.charge(_ARRAY_BYTES)
    return _Array()


def _make_scalar(args: tuple[object, ...], budget: Budget) -> object:
    """`scalar(dtype, bytes)`."""
    if len(args) != 2:
        raise PickleError(f"expected type and bytes of a number, got {len(args)} arguments")
    kind, content = args
    if isinstance(kind, np.dtype) and kind.kind in "biufc" and type(content) is bytes and len(content) == kind.itemsize:
        budget.charge(_ARRAY_BYTES + len(content))  # a metric cache holds a thousand numbers
        return np.frombuffer(content, kind)[0]
    if isinstance(args[0], np.dtype) and args[0].kind in "US" and args[0].itemsize == 0:
        return args[0].type()
    if isinstance(args[1], list):
        raise PickleError("expected the bytes of a number, got a list")
    return _array((1,), args[0], "C", args[1], budget)[0]


def _make_from_buffer(args: tuple[object, ...], budget: Budget) -> npt.NDArray[np.generic]:
    """`_frombuffer(bytes, dtype, shape, order)` of protocol 5."""
    if len(args) != 4 or not isinstance(args[3], str):
        raise PickleError(f"expected bytes, type, shape and order of an array, got {len(args)} arguments")
    content, dtype, shape, order = args
    return _array(shape, dtype, str(order), content, budget)


# numpy moved its internals from numpy.core to numpy._core in 2.0; a file of either age names one of the two.
ARRAY_MAKERS: Mapping[tuple[str, str], Maker] = {
    **{
        (f"numpy.{core}.{module}", name): maker
        for core in ("core", "_core")
        for module, name, maker in (
            ("multiarray", "_reconstruct", _make_array),
            ("multiarray", "scalar", _make_scalar),
            ("numeric", "_frombuffer", _make_from_buffer),
        )
    },
    ("numpy", "ndarray"): _make_array,
    ("numpy", "dtype"): _make_dtype,
}
"""What takes the place of numpy's functions."""
