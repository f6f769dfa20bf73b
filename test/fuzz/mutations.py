"""What may have happened to a file: damage anywhere, numbers at their limits, parts in a wrong place."""

import copy
import itertools
import json
import pickletools
import struct

NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1),
)
TEXTS = ("", "a", "..", "/", "../../x", "\0", "é", "9" * 40, "nan", "-1", "1e400", "[", "{", "*a", "null", "true")
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 10**9, 2**31, 2**63, 10**30, 0.0, -0.5, 1e308, float("nan"), float("inf")),
    *("", "a", "../x", [], {}, [1], [[]], {"a": 1}, [None] * 3, "x" * 1000),
)


def damaged(content, rng, others):
    """Bytes changed, left out, put in, repeated, cut, or taken from another file."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(9)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 2:
            width = rng.choice((1, 2, 4, 8))
            number = (rng.choice(NUMBERS) if rng.random() < 0.8 else rng.getrandbits(64)) % 256**width
            data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 3:
            del data[at : at + rng.choice((1, 2, 4, 16, 256))]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16)))
        elif kind == 5:
            start = rng.randrange(len(data) + 1)
            data[at:at] = data[start : start + rng.choice((1, 4, 16, 64, 512))]
        elif kind == 6:
            del data[at:]
        elif kind == 7:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at : at + 64] = other[start : start + 64]
        else:
            data[at:at] = rng.choice(TEXTS).encode()
    return bytes(data)


def changed_json(document, rng):
    """One or more places of a tree changed, left out, repeated or nested."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] += rng.choice((-1, 1, 2**16, -(2**16)))
        elif kind == 2:
            holder[key] = [holder[key]] * rng.choice((1, 2, 50))
        elif kind == 3:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other.get(name) if isinstance(other, dict) else other[name : name + 1])
        elif kind == 4 and rng.random() < 0.1:
            for _ in range(rng.choice((70, 500))):
                holder[key] = [holder[key]]
        else:
            holder[key] = rng.choice(VALUES)
    return document


def _places(tree):
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield tree, key
        yield from _places(value)


def changed_tensors(content, rng, described):
    """A safetensors file whose header says something else; `described` names the text in it that is JSON itself."""
    size = int.from_bytes(content[:8], "little")
    header, rest = json.loads(content[8 : 8 + size]), content[8 + size :]
    if rng.random() < 0.7:
        key = rng.choice(described)
        text = json.dumps(changed_json(json.loads(header["__metadata__"][key]), rng))
        header["__metadata__"][key] = text if rng.random() < 0.95 else "[" * 50_000
    else:
        header = changed_json(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def changed_opcodes(content, rng, others):
    """A pickle with whole opcodes left out, repeated, exchanged or put in."""
    marks = [position for *_, position in pickletools.genops(content)] + [len(content)]
    parts = [content[a:b] for a, b in itertools.pairwise(marks)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(parts))
        kind = rng.randrange(5)
        if kind == 0:
            del parts[at]
            parts = parts or [b"."]
        elif kind == 1:
            parts[at:at] = [rng.choice(parts)] * rng.choice((1, 1, 3, 200))
        elif kind == 2:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            opcode = rng.choice(pickletools.opcodes).code.encode("latin1")
            parts[at:at] = [opcode + rng.randbytes(rng.choice((0, 1, 4)))]
        else:
            number = rng.choice(NUMBERS)
            parts[at:at] = [rng.choice((b"J", b"r", b"j", b"\x8b", b"B")) + struct.pack("<I", number % 2**32)]
    return b"".join(parts)


def changed_text(content, rng, others):
    """Lines and words of a text changed."""
    lines = content.decode(errors="replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:
            del lines[at]
            lines = lines or [""]
        elif kind == 1:
            lines[at:at] = [rng.choice(lines)] * rng.choice((1, 50))
        elif kind == 2:
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice((*TEXTS, *map(str, NUMBERS), *map(str, VALUES)))
            lines[at] = " ".join(words)
        elif kind == 3:
            lines[at] = " " * rng.randrange(5) + lines[at].lstrip()
        elif kind == 4:
            lines[at] += rng.choice((" [", " {", " &a", " *a", ": 1", " |", " # x", "\t", " !!float x", " [" * 80))
        else:
            lines[at] = rng.choice(("a: &a [1]", "b: [*a, *a]", "<<: *a", "- 1", "? [a]", "%YAML 9.9", "---", "..."))
    return "\n".join(lines).encode()
