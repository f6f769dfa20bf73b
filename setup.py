"""Installs pair_drive_core and the `pair-drive` command; no ROS needed (that package is built by CMakeLists.txt)."""

import importlib.util
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """The requirement lines of `requirements/<name>.in`."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


NATIVE = Path("pair_drive_core/scoring/native")
# The file alone: importing the package would need what is only about to be installed.
_spec = importlib.util.spec_from_file_location("recipe", ROOT / NATIVE / "recipe.py")
recipe = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recipe)
scorer = Extension(
    "pair_drive_core.scoring.native.kernel",
    sources=[str(NATIVE / name) for name in recipe.SOURCES],
    depends=[str(NATIVE / header.name) for header in recipe.headers()],
    language="c++",
    extra_compile_args=[*recipe.FLAGS, recipe.stamp_flag()],
    extra_link_args=[*recipe.LINK_FLAGS],
    optional=True,  # without a compiler the torch scorer serves, and says so
)

setup(
    name="pair-drive-core",
    version="0.1.0",
    description="Parallel imitation and reinforcement learning for end-to-end driving (PaIR-Drive)",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["pair_drive_core", "pair_drive_core.*"]),
    package_data={
        "pair_drive_core": [
            "py.typed",
            "checkpoints/*.safetensors",
            "checkpoints/*.md",
            "**/*.cpp",
            "**/*.h",
            "**/*.hpp",
            "**/*.msg",
            "**/*.j2",
        ]
    },
    ext_modules=[scorer],
    install_requires=requirements("base"),
    extras_require={
        "train": requirements("train"),
        "cuda": ["torch!=2.13.0+cpu"],
        "onnx": requirements("onnx"),
        "ray": ["ray>=2.9"],
        "parquet": ["pyarrow>=15"],
    },
    entry_points={"console_scripts": ["pair-drive = pair_drive_core.cli.main:main"]},
)
