"""Only numpy arrays and builtins come out of a pickle, whatever numpy wrote it."""

import collections
import os
import pickle
import struct
import tracemalloc
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


def dtype_with(state):
    """A log whose one array has a forged type."""
    return (
        b"\x80\x02]cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nX\x02\x00\x00\x00V8\x89\x88\x87R"
        + pickle.dumps(state, 2)[2:-1]
        + b"b\x89C\x10"
        + b"A" * 16
        + b"tba."
    )


def array_with(shape, raw=b"A" * 16, dtype="<f8"):
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    _, args, state = np.dtype(dtype).__reduce__()
    kind = b"cnumpy\ndtype\n" + pickle.dumps(args, 2)[2:-1] + b"R" + pickle.dumps(state, 2)[2:-1] + b"b"
    return head + b"(K\x01" + pickle.dumps(shape, 2)[2:-1] + kind + b"\x89" + pickle.dumps(raw, 4)[2:-1] + b"tb."


OBJECT_FIELDS = {"a": (np.dtype(object), 0)}
FORGED = {
    "objects over foreign bytes": dtype_with((3, "|", None, ("a",), OBJECT_FIELDS, 8, 1, 0)),
    "fields beyond the element": dtype_with((3, "|", None, ("a",), {"a": (np.dtype("f8"), 10**6)}, 8, 1, 0)),
    "subarrays": dtype_with((3, "|", (np.dtype("f8"), (10**6,)), None, None, 8, 1, 0)),
    "objects from bytes": array_with((2,), dtype="O"),
    "more elements than bytes": array_with((10**6,)),
    "fewer elements than bytes": array_with((1,)),
    "a negative size": array_with((-2,)),
    "sizes whose product wraps": array_with((2**62, 4)),
    "too many dimensions": array_with((1,) * 100),
    "a size that is no number": array_with(("2",)),
    "text that is no text": array_with((4,), b"\xff" * 16, "<U1"),
    "an array that stays empty": b"\x80\x02cnumpy\nndarray\n)R.",
    "a type alone": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R.",
    "state of a dictionary": b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.",
    "state of a name": b"\x80\x02cbuiltins\nset\n}b.",
    "a name alone": b"\x80\x02cbuiltins\nset\n.",
    "a call of a list": b"\x80\x02])R.",
    "nothing to take": b"\x80\x02\x85.",
    "no mark": b"\x80\x02Nt.",
}


@pytest.mark.parametrize("what", FORGED)
def test_forged_arrays_and_states_are_refused(what):
    with pytest.raises(DatasetError, match="corrupt pickle"):
        loads_restricted(FORGED[what], "log.pkl")


def shared_lists(levels, width=10):
    """Lists of one list each time: small in memory, without end for whoever walks through them."""
    inner = [1.0]
    for _ in range(levels):
        inner = [inner] * width
    return pickle.dumps(inner)


def in_itself():
    loop = []
    loop.append(loop)
    return pickle.dumps(loop)


def number(code, value):
    return code + struct.pack("<I" if code in b"rB\x8b" else "<Q", value)


BOMBS = {
    "a range": b"\x80\x02cbuiltins\nlist\ncbuiltins\nrange\nJ\x00\xe1\xf5\x05\x85R\x85R.",
    "bytes of a number": b"\x80\x02cbuiltins\nbytes\nJ\x00\xe1\xf5\x05\x85R.",
    "a bytearray of a number": b"\x80\x02cbuiltins\nbytearray\nJ\x00\xe1\xf5\x05\x85R.",
    "memory for what is remembered": b"\x80\x02N" + number(b"r", 2**27) + b".",
    "a long number": b"\x80\x02" + number(b"\x8b", 10**6) + b"\x7f" * 10**6 + b".",
    "a long line of digits": b"L" + b"9" * 5000 + b"L\n.",
    "bytes that do not follow": b"\x80\x04" + number(b"\x8e", 2**31) + b".",
    "a frame that does not follow": b"\x80\x04" + number(b"\x95", 2**62) + b"N.",
    "text that does not follow": b"\x80\x04" + number(b"\x8d", 2**31) + b".",
    "sets and sets": b"\x80\x04(" + b"\x8f" * 10**5 + b"l.",
    "lists and lists": b"\x80\x04(" + b"]" * 3 * 10**5 + b"l.",
    "marks and marks": b"\x80\x04" + b"(" * 10**6 + b".",
    "one list in another": b"\x80\x04" + b"]" * 10**4 + b"a" * (10**4 - 1) + b".",
    "one tuple in another": b"\x80\x04N" + b"\x85" * 10**4 + b".",
    "a deep tuple as a key": b"\x80\x04}N" + b"\x85" * 10**5 + b"Ns.",
    "a deep tuple in a set": b"\x80\x04\x8f(N" + b"\x85" * 10**5 + b"\x90.",
    "a list in itself": in_itself(),
    "lists shared without end": shared_lists(12),
    "an array of the same bytes again and again": b"\x80\x02(C\xff"
    + b"A" * 255
    + b"q\x00"
    + b"cbuiltins\nbytearray\nq\x01"
    + b"h\x01h\x00\x85R" * 4 * 10**4
    + b"l.",
}


@pytest.mark.parametrize("what", BOMBS)
def test_memory_stays_in_proportion_to_the_file(what):
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"corrupt pickle|refused to load"):
            loads_restricted(BOMBS[what], "log.pkl")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(BOMBS[what]) + 2**24


def test_what_occurs_twice_is_read_as_one():
    box = np.arange(3.0)
    back = loads_restricted(pickle.dumps([box, [box], {"a": box}]), "log.pkl")
    assert back[0] is back[1][0] is back[2]["a"]
    assert back[0].flags.writeable
    assert back[0].flags.owndata
