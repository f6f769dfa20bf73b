"""A pickle machine that knows plain data and nothing else.

Python's own machine imports what a file names, calls it, hands it any state and allocates by any number in the file.
This one has the opcodes that builtins, numpy arrays and records need, of protocols 0 to 5. A name in the file is looked
up in a closed table of our own makers (`stand_ins.Maker`); there are no classes, attributes, extensions or external
objects. What it holds is charged against a budget, so no file takes much more memory than its own size.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping

from pair_drive_core.datasets.navsim.stand_ins import Budget, Maker, PickleError, StandIn

_STRIDE = 1024
_SLOT_BYTES = 9
_LIST_BYTES, _TUPLE_BYTES, _DICT_BYTES, _SET_BYTES, _NUMBER_BYTES, _TEXT_BYTES = 64, 48, 72, 224, 32, 64
_ENTRY_BYTES, _MEMBER_BYTES = 104, 112
_MAX_MARKS = 512
_MAX_INT_BYTES = 16
_MAX_LINE = 1024
_MAX_MEMO_GAP = 16
_MAX_PROTOCOL = 5
_KEY_TYPES = frozenset((str, bytes, int, float, bool, type(None)))
_BIG_INT = 2**63
_NEVER_PUT = object()

_MARK, _STOP, _MEMOIZE, _BINGET, _BININT1, _TUPLE, _TUPLE2 = 0x28, 0x2E, 0x94, 0x68, 0x4B, 0x74, 0x86
_SHORT_BINUNICODE, _SHORT_BINBYTES, _NEWFALSE = 0x8C, 0x43, 0x89

Names = Mapping[tuple[str, str], Maker]


class RefusedNameError(PickleError):
    """The file names something that is not in the table."""


class _Named:
    """What the file named, by our substitute of it."""

    __slots__ = ("make",)

    def __init__(self, make: Maker) -> None:
        self.make = make


class PickleMachine:
    """Runs one pickle."""

    def __init__(self, content: bytes, names: Names, budget: Budget) -> None:
        """Put the machine at the first opcode.

        Args:
            content: the pickle.
            names: makers by module and name.
            budget: for everything that is held at once.
        """
        self._data = content
        self._names = names
        self._budget = budget
        self._stack: list[object] = []
        self._memo: list[object] = []
        self._marks: list[int] = []

    def run(self) -> object:
        """The object in the file.

        Raises:
            PickleError: if an opcode is not admitted, or not fulfilled.
            RefusedNameError: if a name is not in the table.
            IndexError: if the file ends too early, or takes what is not there.
            ValueError: for text and numbers that are none.
            struct.error: if a number is cut off.
        """
        data, stack, memo, marks, budget = self._data, self._stack, self._memo, self._marks, self._budget
        pos = 0
        while True:
            self._check_memory()
            # The most frequent opcodes stand here, the others are methods.
            for _ in range(_STRIDE):
                opcode = data[pos]
                pos += 1
                if opcode == _MEMOIZE:
                    memo.append(stack[-1])
                elif opcode == _BINGET:
                    stack.append(memo[data[pos]])
                    pos += 1
                elif opcode == _BININT1:
                    stack.append(data[pos])
                    pos += 1
                elif opcode == _TUPLE2:
                    budget.spent += _TUPLE_BYTES + 16
                    last = stack.pop()
                    stack[-1] = (stack[-1], last)
                elif opcode == _MARK:
                    marks.append(len(stack))
                elif opcode == _NEWFALSE:
                    stack.append(False)
                elif opcode == _TUPLE:
                    start = marks.pop()
                    budget.spent += _TUPLE_BYTES + 8 * (len(stack) - start)
                    stack[start:] = (tuple(stack[start:]),)
                elif opcode == _SHORT_BINUNICODE:
                    start = pos + 1
                    pos = start + data[pos]
                    budget.spent += _TEXT_BYTES
                    stack.append(data[start:pos].decode())  # one that is cut off is found out by the next opcode
                elif opcode == _SHORT_BINBYTES:
                    start = pos + 1
                    pos = start + data[pos]
                    budget.spent += _TEXT_BYTES
                    stack.append(data[start:pos])
                elif opcode == _STOP:
                    self._check_memory()
                    return stack.pop()
                else:
                    pos = _OPCODES[opcode](self, pos)

    def _check_memory(self) -> None:
        if len(self._marks) > _MAX_MARKS:
            raise PickleError(f"expected objects nested at most {_MAX_MARKS} deep")
        self._budget.check(_SLOT_BYTES * (len(self._stack) + len(self._memo) + len(self._marks)))

    # What follows is one method an opcode (pickletools describes them); each takes the position after the opcode and
    # returns the position of the next one.

    def _refuse(self, pos: int) -> int:
        raise PickleError(f"refused opcode {self._data[pos - 1 : pos]!r} at byte {pos - 1}")

    def _external(self, pos: int) -> int:
        raise RefusedNameError("refused to load an external object")

    def _proto(self, pos: int) -> int:
        if self._data[pos] > _MAX_PROTOCOL:
            raise PickleError(f"expected protocol {_MAX_PROTOCOL} at most, got {self._data[pos]}")
        return pos + 1

    def _frame(self, pos: int) -> int:
        self._counted(pos, 8)
        return pos + 8

    def _none(self, pos: int) -> int:
        self._stack.append(None)
        return pos

    def _true(self, pos: int) -> int:
        self._stack.append(True)
        return pos

    def _pop(self, pos: int) -> int:
        self._stack.pop()
        return pos

    def _pop_mark(self, pos: int) -> int:
        self._since_mark()
        return pos

    def _dup(self, pos: int) -> int:
        self._stack.append(self._stack[-1])
        return pos

    # Numbers

    def _binint2(self, pos: int) -> int:
        self._budget.spent += _NUMBER_BYTES
        self._stack.append(self._data[pos] | self._data[pos + 1] << 8)
        return pos + 2

    def _binint(self, pos: int) -> int:
        self._budget.spent += _NUMBER_BYTES
        self._stack += struct.unpack_from("<i", self._data, pos)
        return pos + 4

    def _binfloat(self, pos: int) -> int:
        self._budget.spent += _NUMBER_BYTES
        self._stack += struct.unpack_from(">d", self._data, pos)
        return pos + 8

    def _long1(self, pos: int) -> int:
        return self._long(self._counted(pos, 1), pos + 1)

    def _long4(self, pos: int) -> int:
        return self._long(self._counted(pos, 4), pos + 4)

    def _long(self, size: int, pos: int) -> int:
        if size > _MAX_INT_BYTES:
            raise PickleError(f"expected whole numbers of at most {_MAX_INT_BYTES} bytes, got one of {size}")
        self._budget.spent += _NUMBER_BYTES
        self._stack.append(int.from_bytes(self._data[pos : pos + size], "little", signed=True))
        return pos + size

    def _int_line(self, pos: int) -> int:
        line, pos = self._line(pos)
        self._budget.spent += _NUMBER_BYTES
        self._stack.append(line == "01" if line in ("00", "01") else _decimal(line))
        return pos

    def _long_line(self, pos: int) -> int:
        line, pos = self._line(pos)
        self._budget.spent += _NUMBER_BYTES
        self._stack.append(_decimal(line.removesuffix("L")))
        return pos

    def _float_line(self, pos: int) -> int:
        line, pos = self._line(pos)
        self._budget.spent += _NUMBER_BYTES
        self._stack.append(float(line))
        return pos

    # Text and bytes

    def _unicode_line(self, pos: int) -> int:
        end = self._data.index(b"\n", pos)
        return self._text(self._data[pos:end].decode("raw-unicode-escape"), end + 1)

    def _binunicode(self, pos: int) -> int:
        return self._counted_text(pos, 4)

    def _binunicode8(self, pos: int) -> int:
        return self._counted_text(pos, 8)

    def _counted_text(self, pos: int, width: int) -> int:
        start = pos + width
        end = start + self._counted(pos, width)
        return self._text(self._data[start:end].decode(), end)

    def _text(self, text: str, pos: int) -> int:
        # Python keeps text of ASCII in one byte a character, and in up to four otherwise.
        self._budget.charge(_TEXT_BYTES + len(text) * (1 if text.isascii() else 4))
        self._stack.append(text)
        return pos

    def _binbytes(self, pos: int) -> int:
        return self._counted_bytes(pos, 4, bytes)

    def _binbytes8(self, pos: int) -> int:
        return self._counted_bytes(pos, 8, bytes)

    def _bytearray8(self, pos: int) -> int:
        return self._counted_bytes(pos, 8, bytearray)

    def _counted_bytes(self, pos: int, width: int, kind: Callable[[bytes], object]) -> int:
        start = pos + width
        end = start + self._counted(pos, width)
        self._budget.charge(_TEXT_BYTES + end - start)
        self._stack.append(kind(self._data[start:end]))
        return end

    # Containers

    def _empty_list(self, pos: int) -> int:
        self._budget.spent += _LIST_BYTES
        self._stack.append([])
        return pos

    def _empty_tuple(self, pos: int) -> int:
        self._stack.append(())
        return pos

    def _empty_dict(self, pos: int) -> int:
        self._budget.spent += _DICT_BYTES
        self._stack.append({})
        return pos

    def _empty_set(self, pos: int) -> int:
        self._budget.spent += _SET_BYTES
        self._stack.append(set())
        return pos

    def _tuple1(self, pos: int) -> int:
        return self._last_as_tuple(1, pos)

    def _tuple3(self, pos: int) -> int:
        return self._last_as_tuple(3, pos)

    def _last_as_tuple(self, count: int, pos: int) -> int:
        stack = self._stack
        if len(stack) < count:
            raise IndexError("stack underflow")
        self._budget.spent += _TUPLE_BYTES + 8 * count
        stack[-count:] = (tuple(stack[-count:]),)
        return pos

    def _list(self, pos: int) -> int:
        entries = self._since_mark()
        self._budget.spent += _LIST_BYTES + 8 * len(entries)
        self._stack.append(entries)
        return pos

    def _dict(self, pos: int) -> int:
        entries = self._since_mark()
        self._empty_dict(pos)
        self._set_items(entries)
        return pos

    def _frozenset(self, pos: int) -> int:
        self._stack.append(make_frozenset((self._since_mark(),), self._budget))
        return pos

    def _append(self, pos: int) -> int:
        self._extend([self._stack.pop()])
        return pos

    def _appends(self, pos: int) -> int:
        self._extend(self._since_mark())
        return pos

    def _extend(self, entries: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise PickleError(f"expected a list to append to, got {type(target).__name__}")
        self._budget.charge(9 * len(entries))
        target += entries

    def _setitem(self, pos: int) -> int:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])
        return pos

    def _setitems(self, pos: int) -> int:
        self._set_items(self._since_mark())
        return pos

    def _set_items(self, entries: list[object]) -> None:
        target = self._stack[-1]
        if type(target) is not dict and type(target) is not OrderedDict:
            raise PickleError(f"expected a dictionary to put entries into, got {type(target).__name__}")
        keys, values = entries[::2], entries[1::2]
        _check_keys(keys)
        self._budget.charge(_ENTRY_BYTES * len(keys))
        target.update(zip(keys, values, strict=True))

    def _additems(self, pos: int) -> int:
        entries, target = self._since_mark(), self._stack[-1]
        if type(target) is not set:
            raise PickleError(f"expected a set to add to, got {type(target).__name__}")
        _check_keys(entries)
        self._budget.charge(_MEMBER_BYTES * len(entries))
        target.update(entries)
        return pos

    # Memo

    def _put_line(self, pos: int) -> int:
        line, pos = self._line(pos)
        return self._put(_decimal(line), pos)

    def _binput(self, pos: int) -> int:
        return self._put(self._data[pos], pos + 1)

    def _long_binput(self, pos: int) -> int:
        return self._put(struct.unpack_from("<I", self._data, pos)[0], pos + 4)

    def _put(self, slot: int, pos: int) -> int:
        memo = self._memo
        if not 0 <= slot <= len(memo) + _MAX_MEMO_GAP:
            raise PickleError(f"expected objects to be remembered one after the other, got number {slot}")
        while len(memo) <= slot:
            memo.append(_NEVER_PUT)
        memo[slot] = self._stack[-1]
        return pos

    def _get_line(self, pos: int) -> int:
        line, pos = self._line(pos)
        return self._get(_decimal(line), pos)

    def _long_binget(self, pos: int) -> int:
        return self._get(struct.unpack_from("<I", self._data, pos)[0], pos + 4)

    def _get(self, slot: int, pos: int) -> int:
        if slot < 0:
            raise IndexError(slot)
        self._stack.append(self._memo[slot])
        return pos

    # Names

    def _global(self, pos: int) -> int:
        module, pos = self._line(pos)
        name, pos = self._line(pos)
        self._stack.append(self._find(module, name))
        return pos

    def _stack_global(self, pos: int) -> int:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._find(module, name))
        return pos

    def _find(self, module: object, name: object) -> _Named:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError(f"expected a name as texts, got {type(module).__name__} and {type(name).__name__}")
        maker = self._names.get((module, name))
        if maker is None:
            raise RefusedNameError(f"refused to load {module[:80]}.{name[:80]}")
        self._budget.spent += _TUPLE_BYTES
        return _Named(maker)

    def _reduce(self, pos: int) -> int:
        """Call, or make an object of a class: our makers tell no difference."""
        args, named = self._stack.pop(), self._stack[-1]
        if type(named) is not _Named or type(args) is not tuple:
            raise PickleError(f"expected a name and its arguments, got {type(named).__name__}, {type(args).__name__}")
        made = named.make(args, self._budget)
        if isinstance(made, StandIn):
            made.memo_slot = len(self._memo)
        self._stack[-1] = made
        return pos

    def _build(self, pos: int) -> int:
        state, target = self._stack.pop(), self._stack[-1]
        if not isinstance(target, StandIn):
            raise PickleError(f"refused to set the state of a {type(target).__name__}")
        filled = target.fill(state, self._budget)
        if filled is not target:
            self._stack[-1] = filled
            slot, memo = target.memo_slot, self._memo
            if slot < len(memo) and memo[slot] is target:
                memo[slot] = filled
        return pos

    # Parts of several

    def _since_mark(self) -> list[object]:
        start = self._marks.pop()
        entries = self._stack[start:]
        del self._stack[start:]
        return entries

    def _counted(self, pos: int, width: int) -> int:
        """The number of bytes that follow, which must be there."""
        count = int.from_bytes(self._data[pos : pos + width], "little")
        left = len(self._data) - pos - width
        if count > left:
            raise PickleError(f"expected {count} bytes from byte {pos + width} on, got {left}")
        return count

    def _line(self, pos: int) -> tuple[str, int]:
        end = self._data.index(b"\n", pos, pos + _MAX_LINE)
        return self._data[pos:end].decode("ascii"), end + 1


def _decimal(line: str) -> int:
    if len(line) > 2 * _MAX_INT_BYTES:
        raise PickleError(f"expected a whole number of at most {2 * _MAX_INT_BYTES} digits")
    return int(line)


def _check_keys(keys: list[object]) -> None:
    """Keys are plain and short numbers: hashing a deep tuple or many numbers of one hash value never ends."""
    kinds = set(map(type, keys))
    if not kinds <= _KEY_TYPES:
        names = sorted(kind.__name__ for kind in kinds - _KEY_TYPES)
        raise PickleError(f"expected text or plain numbers as keys and members, got {names}")
    if int in kinds and any(type(key) is int and not -_BIG_INT <= key < 2 * _BIG_INT for key in keys):
        raise PickleError("expected whole numbers of 64 bits as keys and members")


def _members(args: tuple[object, ...], budget: Budget) -> list[object]:
    entries = args[0] if args else []
    if len(args) > 1 or type(entries) is not list:
        raise PickleError("expected the members of a set as one list")
    _check_keys(entries)
    budget.charge(_SET_BYTES + _MEMBER_BYTES * len(entries))
    return entries


def make_set(args: tuple[object, ...], budget: Budget) -> set[object]:
    """`set(list)`, as protocols before 4 write it."""
    return set(_members(args, budget))


def make_frozenset(args: tuple[object, ...], budget: Budget) -> frozenset[object]:
    """`frozenset(list)`."""
    return frozenset(_members(args, budget))


_M = PickleMachine
_ADMITTED: Mapping[str, Callable[[PickleMachine, int], int]] = {
    "P": _M._external,
    "Q": _M._external,
    "\x80": _M._proto,
    "\x95": _M._frame,
    "N": _M._none,
    "\x88": _M._true,
    "0": _M._pop,
    "1": _M._pop_mark,
    "2": _M._dup,
    "M": _M._binint2,
    "J": _M._binint,
    "G": _M._binfloat,
    "\x8a": _M._long1,
    "\x8b": _M._long4,
    "I": _M._int_line,
    "L": _M._long_line,
    "F": _M._float_line,
    "V": _M._unicode_line,
    "X": _M._binunicode,
    "\x8d": _M._binunicode8,
    "B": _M._binbytes,
    "\x8e": _M._binbytes8,
    "\x96": _M._bytearray8,
    "]": _M._empty_list,
    ")": _M._empty_tuple,
    "}": _M._empty_dict,
    "\x8f": _M._empty_set,
    "\x85": _M._tuple1,
    "\x87": _M._tuple3,
    "l": _M._list,
    "d": _M._dict,
    "\x91": _M._frozenset,
    "a": _M._append,
    "e": _M._appends,
    "s": _M._setitem,
    "u": _M._setitems,
    "\x90": _M._additems,
    "p": _M._put_line,
    "q": _M._binput,
    "r": _M._long_binput,
    "g": _M._get_line,
    "j": _M._long_binget,
    "c": _M._global,
    "\x93": _M._stack_global,
    "R": _M._reduce,
    "\x81": _M._reduce,
    "b": _M._build,
}
_OPCODES = tuple(_ADMITTED.get(chr(code), _M._refuse) for code in range(256))
