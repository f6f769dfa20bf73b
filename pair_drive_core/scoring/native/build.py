"""Compile the scoring kernel: `python -m pair_drive_core.scoring.native.build [FOLDER]`.

Needs a C++17 compiler (g++ or clang++; the `CXX` environment variable names another one) and nothing else; `recipe`
says what is compiled and how.
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
from pair_drive_core.scoring.native.recipe import FLAGS, FOLDER, LINK_FLAGS, SOURCES, stamp, stamp_flag, stamp_of


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


def is_current(library: Path, extra_flags: Sequence[str] = ()) -> bool:
    """Whether the library exists and was built from these sources with these flags."""
    return library.exists() and stamp_of(library) == stamp(extra_flags)


def compile_library(folder: Path = FOLDER, extra_flags: Sequence[str] = (), force: bool = False) -> Path:
    """Compile the kernel into `folder`, unless the library there is of these sources and flags.

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
    if not force and is_current(library, extra_flags):
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".partial", delete=False) as partial:
        target = Path(partial.name)
    flags = (*FLAGS, *extra_flags, stamp_flag(extra_flags), "-shared", *LINK_FLAGS)
    try:
        command = [find_compiler(), *flags, *(str(FOLDER / name) for name in SOURCES), "-o", str(target)]
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
