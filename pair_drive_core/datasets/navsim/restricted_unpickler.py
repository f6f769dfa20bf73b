"""The only place of the project that unpickles; it admits numpy arrays and builtins and nothing else."""

from __future__ import annotations

import codecs
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from pair_drive_core.datasets.errors import DatasetError, UntrustedPickleError

# numpy moved its internals from numpy.core to numpy._core in 2.0; a file of either age names one of the two. The
# functions themselves are taken from numpy's own reduce protocol, so no private module is imported here.
_RECONSTRUCT, _SCALAR, _FROM_BUFFER = (
    cast("Callable[..., object]", reduced[0])
    for reduced in (np.empty(0).__reduce__(), np.float64(0.0).__reduce__(), np.empty(1).__reduce_ex__(5))
)
_StandIns: TypeAlias = Mapping[tuple[str, str], Callable[..., object]]

_CORRUPT = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


def _encode_latin1(text: str, encoding: str) -> bytes:
    """Array bytes in pickles of protocol 2 and older: text encoded back to bytes, by no other codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refused to encode bytes as {encoding!r}, expected 'latin1'")
    return codecs.latin_1_encode(text)[0]


_ADMITTED: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode_latin1,
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple)
    },
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Looks names up in a closed table instead of importing them."""

    def __init__(self, stream: io.BytesIO, source: Path | str, stand_ins: _StandIns) -> None:
        super().__init__(stream)
        self._source = source
        self._stand_ins = stand_ins

    def find_class(self, module_name: str, global_name: str) -> Callable[..., object]:
        """The admitted object of that name.

        Raises:
            UntrustedPickleError: for any other name.
        """
        name = (module_name, global_name)
        if name in _ADMITTED:
            return _ADMITTED[name]
        if name in self._stand_ins:
            return self._stand_ins[name]
        raise UntrustedPickleError(
            self._source, f"refused to load {module_name}.{global_name}; only numpy arrays and builtins are admitted"
        )

    def persistent_load(self, pid: object) -> object:
        """Nothing lives outside the file.

        Raises:
            UntrustedPickleError: always.
        """
        raise UntrustedPickleError(self._source, f"refused to load the external object {pid!r}")


def loads_restricted(content: bytes, source: Path | str, stand_ins: _StandIns | None = None) -> object:
    """Unpickle builtins and numpy arrays.

    Args:
        content: the pickle.
        source: file name for messages.
        stand_ins: more names, each with an inert substitute of ours that is called in place of the class named.

    Raises:
        UntrustedPickleError: if the pickle names anything that is not admitted.
        DatasetError: if the bytes are no pickle, or a torn one.
    """
    try:
        return _RestrictedUnpickler(io.BytesIO(content), source, stand_ins or {}).load()
    except DatasetError:
        raise
    except _CORRUPT as error:
        raise DatasetError(source, f"corrupt pickle ({type(error).__name__}: {error})") from error


def load_restricted(path: Path, stand_ins: _StandIns | None = None) -> object:
    """Unpickle a file; see `loads_restricted`.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if the pickle names anything that is not admitted.
        DatasetError: if the file is no pickle, or a torn one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return loads_restricted(path.read_bytes(), path, stand_ins)
