"""Only numpy arrays and builtins come out of a pickle, whatever numpy wrote it."""

import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from pair_drive_core.datasets.errors import DatasetError, UntrustedPickleError
from pair_drive_core.datasets.navsim.restricted_unpickler import load_restricted, loads_restricted

CONTENT = {
    "boxes": np.arange(21.0).reshape(3, 7),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "names": np.array(["vehicle", "pedestrian"]),
    "scalar": np.float64(2.5),
    "flag": np.bool_(True),
    "empty": np.zeros((0, 7)),
    "objects": np.array([1, "a", None], dtype=object),
    "tokens": ["a", "b"],
    "lights": [(17, True)],
    "many": {1, 2},
    "raw": bytearray(b"x"),
    "ordered": collections.OrderedDict(a=1),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_builtins_survive_every_protocol(protocol):
    back = loads_restricted(pickle.dumps(CONTENT, protocol), "log.pkl")
    assert back.keys() == CONTENT.keys()
    for key, value in CONTENT.items():
        np.testing.assert_array_equal(back[key], value)
        assert type(back[key]) is type(value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_module_paths_of_older_and_newer_numpy_are_the_same_thing(protocol):
    written = pickle.dumps(np.arange(3.0), protocol)
    new, old = b"numpy._core.", b"numpy.core."
    here = new if new in written else old
    # Framed protocols carry lengths, so the whole stream is rebuilt around the renamed module by hand.
    text = written.replace(here, b"numpy.core.") if protocol == 2 else None
    if text is None:
        array = np.arange(3.0)
        reconstruct, args, state = array.__reduce__()
        assert reconstruct.__name__ == "_reconstruct"
        text = (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
            + pickle.dumps(state, 2)[2:-1]
            + b"b."
        )
        assert args[0] is np.ndarray
    np.testing.assert_array_equal(loads_restricted(text, "log.pkl"), np.arange(3.0))
    other = text.replace(b"numpy.core.", b"numpy._core.")
    np.testing.assert_array_equal(loads_restricted(other, "log.pkl"), np.arange(3.0))


class Evil:
    def __init__(self, what, args):
        self.what, self.args = what, args

    def __reduce__(self):
        return self.what, self.args


@pytest.mark.parametrize(
    ("what", "args", "name"),
    [
        (os.system, ("touch {path}",), "system"),
        (eval, ("open('{path}', 'w')",), "builtins.eval"),
        (getattr, ((), "count"), "builtins.getattr"),
        (Path, ("{path}",), "pathlib.Path"),
        (np.load, ("{path}",), "load"),
        (np.frombuffer, (b"12345678",), "frombuffer"),
        (collections.deque, ((1,),), "collections.deque"),
    ],
)
def test_anything_else_is_refused_by_name_and_never_called(tmp_path, what, args, name):
    mark = tmp_path / "was_here"
    args = tuple(a.format(path=mark) if isinstance(a, str) else a for a in args)
    log = tmp_path / "log.pkl"
    log.write_bytes(pickle.dumps([{"token": Evil(what, args)}]))
    with pytest.raises(UntrustedPickleError) as error:
        load_restricted(log)
    assert name in str(error.value)
    assert str(log) in str(error.value)
    assert not mark.exists()


def test_codecs_are_limited_to_the_one_that_array_bytes_need():
    text = b"\x80\x02c_codecs\nencode\nX\x03\x00\x00\x00abcX\x05\x00\x00\x00utf-7\x86R."
    with pytest.raises(DatasetError, match="utf-7"):
        loads_restricted(text, "log.pkl")


def test_persistent_references_are_refused():
    with pytest.raises(UntrustedPickleError, match="external object"):
        loads_restricted(b"\x80\x02X\x01\x00\x00\x00aQ.", "log.pkl")


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped"])
def test_a_torn_file_is_named(tmp_path, damage):
    whole = pickle.dumps([CONTENT])
    log = tmp_path / "log.pkl"
    log.write_bytes(
        {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a pickle", "flipped": b"\xff" + whole[1:]}[damage]
    )
    with pytest.raises(DatasetError, match="corrupt pickle") as error:
        load_restricted(log)
    assert str(log) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pkl"):
        load_restricted(tmp_path / "nothing.pkl")
