"""Compile the scoring kernel: `python -m pair_drive_core.scoring.native.build [FOLDER]`.

Needs a C++17 compiler (g++ or clang++; the `CXX` environment variable names another one) and nothing else. The flags
keep floating-point results the same on every machine: no fused multiply-add, no fast-math, no code for one processor
only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pair_drive_core.scoring.native import LIBRARY

FOLDER = Path(__file__).parent
SOURCES = ("kernel.cpp",)
HEADERS = tuple(sorted(path.name for path in FOLDER.glob("*.h*")))
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread")


class BuildError(RuntimeError):
    """The kernel could not be compiled."""


def find_compiler() -> str:
    """Path of a C++ compiler.

    Raises:
        BuildError: if there is none.
    """
    names = [name for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name]
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise BuildError(f"no C++ compiler: looked for {', '.join(names)} on PATH; install g++ or set CXX")


def is_current(library: Path) -> bool:
    """Whether the library exists and is newer than every source."""
    if not library.exists():
        return False
    built = library.stat().st_mtime
    return all((FOLDER / name).stat().st_mtime <= built for name in (*SOURCES, *HEADERS))


def compile_library(folder: Path = FOLDER, extra_flags: Sequence[str] = (), force: bool = False) -> Path:
    """Compile the kernel into `folder`, unless the library there is newer than the sources.

    Args:
        folder: where the library shall lie; by default beside this file, where `library.load` looks for it.
        extra_flags: more compiler flags, for instance sanitizers.
        force: compile even if the library is current.

    Returns:
        Path of the library.

    Raises:
        BuildError: if there is no compiler or it refuses; the message holds what it said.
    """
    library = folder / LIBRARY
    if not force and is_current(library):
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as partial:
        target = Path(partial.name)
    command = [find_compiler(), *FLAGS, *extra_flags, "-shared", *(str(FOLDER / s) for s in SOURCES), "-o", str(target)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BuildError(f"{' '.join(command)} failed with {result.returncode}:\n{result.stderr}")
        target.chmod(0o755)
        target.replace(library)
    finally:
        target.unlink(missing_ok=True)
    return library


def main(arguments: Sequence[str]) -> int:
    """Build into the folder that the first argument names, or beside the sources."""
    try:
        library = compile_library(Path(arguments[0]) if arguments else FOLDER)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(library)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
