#!/usr/bin/env python3
"""Make the ROS wheels in this virtual environment usable for building packages and for running nodes.

The wheels' CMake exports carry the include folders of the machine that built them: they are replaced by the folders of
the interpreter that runs this script. The third-party libraries that the wheels bundle lie where the dynamic linker
does not look: they are linked into `<prefix>/lib`, beside the ROS libraries that need them. A second run finds nothing
to do.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

NUMPY_INCLUDE = re.compile(r'/opt/python/[^;"\s]*/site-packages/numpy/_?core/include')
PYTHON_INCLUDE = re.compile(r'/opt/python/[^;"\s]*/include/python3\.\d+')


def rewrite(text: str, python_include: str, numpy_include: str) -> str:
    """The text with the build machine's include folders replaced."""
    text = NUMPY_INCLUDE.sub(lambda _: numpy_include, text)
    return PYTHON_INCLUDE.sub(lambda _: python_include, text)


def link_bundled_libraries(prefix: Path, site_packages: Path) -> int:
    """Link each bundled library into `<prefix>/lib`; returns how many links were made."""
    made = 0
    for library in sorted(site_packages.glob("ros_*.libs/*.so*")):
        link = prefix / "lib" / library.name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(Path(os.path.relpath(library, link.parent)))
            made += 1
    return made


def main() -> int:
    """Rewrite every export below `<prefix>/share` that needs it and link the bundled libraries."""
    share = Path(sys.prefix) / "share"
    if not (share / "ament_cmake_core").is_dir():
        print(f"fix_ros_wheels: no ament_cmake_core below {share}; install the ROS wheels first", file=sys.stderr)
        return 1
    python_include = sysconfig.get_path("include")
    changed = 0
    for path in sorted(share.rglob("*.cmake")):
        text = path.read_text()
        fixed = rewrite(text, python_include, np.get_include())
        if fixed != text:
            temporary = path.with_suffix(".cmake.tmp")
            temporary.write_text(fixed)
            temporary.replace(path)
            changed += 1
    linked = link_bundled_libraries(Path(sys.prefix), Path(sysconfig.get_path("purelib")))
    print(f"fix_ros_wheels: {changed} CMake exports rewritten, {linked} bundled libraries linked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
