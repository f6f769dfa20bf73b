"""Mutates valid files of every kind and reads them: `python test/fuzz/run.py [--minutes 10] [--reader pcd] [--seed 0]`.

Each reader runs in a process of its own, so that a crash is seen. A case follows from seed, reader and number alone;
what is found is printed with the three and kept as a file. Whatever the bytes are, a reader gives a value of its type
or raises an error of its documented types, within a time and a memory of 10 times the file and a constant.
"""

import argparse
import contextlib
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import torch
from readers import all_readers

FREE_BYTES = 192 * 2**20
"""Memory that a case may take beyond 10 times its file: the largest picture that is decoded, and a copy."""
ADDRESS_BYTES = 2**31
CASE_S = 20.0
_NOTHING_LEFT = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, struct.error, zlib.error)
"""What a change raises when the one before left nothing that it could work on."""
_STATE = struct.Struct("<qqqq")


def case_of(reader, seed, number):
    """The bytes of one case."""
    rng = random.Random(f"{seed} {reader.name} {number}")
    if number % 50 == 49 and reader.bare:
        return rng.randbytes(rng.choice((0, 1, 8, 100, 1000)))
    content = rng.choice(reader.seeds)
    for _ in range(rng.choice((1, 1, 1, 1, 2))):
        with contextlib.suppress(*_NOTHING_LEFT):
            content = rng.choice(reader.changes)(content, rng, reader.seeds)
    return content


def verdict(reader, content, folder):
    """Whether a value came out; raises what must not happen."""
    try:
        value = reader.read(content, folder)
    except reader.errors:
        return False
    if not isinstance(value, reader.value):
        raise AssertionError(f"expected a {reader.value.__name__}, got {type(value).__name__}")
    return True


def _memory_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _work(reader, seed, seconds, cases, shared, folder):
    """The child: cases until time or number is up."""
    for content in reader.seeds:
        if not verdict(reader, content, folder):
            raise AssertionError("a valid file was refused")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_BYTES, used + ADDRESS_BYTES))
    base, largest, read, number = _memory_bytes(), 0, 0, 0
    end = time.monotonic() + seconds
    while number < cases and time.monotonic() < end:
        content = case_of(reader, seed, number)
        largest = max(largest, len(content))
        shared[:] = _STATE.pack(number, read, max(_memory_bytes() - base, 0), time.monotonic_ns())
        read += verdict(reader, content, folder)
        grown = _memory_bytes() - base
        if grown > 10 * largest + FREE_BYTES:
            raise AssertionError(f"took {grown / 2**20:.0f} MiB for {len(content)} bytes")
        number += 1
    shared[:] = _STATE.pack(number, read, max(_memory_bytes() - base, 0), time.monotonic_ns())


def fuzz(reader, seed, seconds, cases, folder):
    """Run one reader in a child process.

    Returns:
        Cases, those that were read, MiB that they took, and what went wrong (None where nothing did).
    """
    shared = mmap.mmap(-1, _STATE.size)
    shared[:] = _STATE.pack(0, 0, 0, time.monotonic_ns())
    report = folder / "report.txt"
    report.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries of pictures complain there
            _work(reader, seed, seconds, cases, shared, folder)
            status = 0
        except BaseException:  # noqa: BLE001 - whatever came out is the finding
            report.write_text(traceback.format_exc()[-3000:])
        finally:
            os._exit(status)
    problem = None
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        number, read, grown, since = _STATE.unpack(shared[:])
        if done:
            if status != 0:
                problem = report.read_text() if report.exists() else f"died of signal {os.WTERMSIG(status)}"
            return number, read, grown / 2**20, problem
        if time.monotonic_ns() - since > CASE_S * 1e9:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return number, read, grown / 2**20, f"took more than {CASE_S:.0f} s"
        time.sleep(0.02)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="in all, shared by the readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10**9, help="at most so many a reader")
    parser.add_argument("--reader", action="append", help="only this one")
    parser.add_argument("--findings", type=Path, help="folder for the files that went wrong")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    found = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        readers = all_readers(folder)
        wanted = chosen.reader or list(readers)
        print(f"{'reader':26s} {'seed':>5s} {'cases':>8s} {'read':>8s} {'refused':>8s} {'MiB':>6s}")
        for label in wanted:
            reader = readers[label]
            seconds = 60.0 * chosen.minutes / len(wanted)
            cases, read, grown, problem = fuzz(reader, chosen.seed, seconds, chosen.cases, folder)
            print(f"{label:26s} {chosen.seed:5d} {cases:8d} {read:8d} {cases - read:8d} {grown:6.0f}", flush=True)
            if problem is not None:
                found += 1
                print(f"  case {cases}: {problem}", flush=True)
                if chosen.findings is not None:
                    chosen.findings.mkdir(parents=True, exist_ok=True)
                    path = chosen.findings / f"{label}-{chosen.seed}-{cases}"
                    with contextlib.suppress(MemoryError):
                        path.write_bytes(case_of(reader, chosen.seed, cases))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
