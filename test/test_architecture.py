"""The rooms' one direction of imports, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = [
    "geometry",
    "scene",
    "simulation",
    "scoring",
    "planning",
    "datasets",
    "town",
    "models",
    "policies",
    "driving",
    "training",
    "evaluation",
    "bridges",
    "cli",
]
FORBIDDEN = {"models": {"simulation", "scoring"}}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the rooms are named in full"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def core_room(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "pair_drive_core" and len(parts) > 1 and parts[1] in ROOMS else None


def core_files():
    return sorted((ROOT / "pair_drive_core").rglob("*.py"))


def test_every_folder_is_a_known_room():
    folders = {p.name for p in (ROOT / "pair_drive_core").iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_rooms_above_them(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - FORBIDDEN.get(room, set())
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in (ROOT / "pair_drive_core" / room).rglob("*.py")
        for module in imported_modules(path)
        if core_room(module) is not None and core_room(module) not in allowed
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_core_never_imports_ros():
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in core_files()
        for module in imported_modules(path)
        if module.split(".")[0] in {"pair_drive_ros", "rclpy", "launch", "launch_ros"}
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_only_datasets_unpickles():
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for folder in ("pair_drive_core", "pair_drive_ros", "scripts", "launch")
        for path in (ROOT / folder).rglob("*.py")
        for module in imported_modules(path)
        if module.split(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        and "pair_drive_core/datasets/" not in path.as_posix()
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("folder", ["launch", "test"])
def test_folders_that_would_shadow_packages_hold_no_init(folder):
    assert not list((ROOT / folder).rglob("__init__.py"))
