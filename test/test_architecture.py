"""The one direction of imports, between the rooms and between the wings of a room, read from the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "pair_drive_core"
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
ADMITTED = {"models": ("pair_drive_core.scoring.formula", "pair_drive_core.scoring.metric")}
"""Networks never simulate or score; how sub-scores add up is the metric's own arithmetic, in one place."""
TOP = ""
"""The files of a room that lie in none of its wings."""
WINGS = {
    "datasets": [TOP, "maps", "navsim", "cache"],
    "town": ["streets", "traffic", "sensing", "data"],
    "policies": [TOP, "runtime"],
}
"""Each wing imports only those before it. A room's `__init__` may show what any wing offers; nothing imports it from
inside the room."""


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


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def core_files():
    return sorted(CORE.rglob("*.py"))


def folders_with_code(folder):
    return {p.name for p in folder.iterdir() if p.is_dir() and any(p.glob("*.py"))}


def test_every_folder_is_a_known_room():
    assert folders_with_code(CORE) == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_rooms_above_them(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1]) - FORBIDDEN.get(room, set())
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in (CORE / room).rglob("*.py")
        for module in imported_modules(path)
        if core_room(module) is not None
        and core_room(module) not in allowed
        and not module.startswith(ADMITTED.get(room, ("-",)))
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("room", WINGS)
def test_every_folder_of_a_room_with_wings_is_a_known_wing(room):
    assert folders_with_code(CORE / room) == set(WINGS[room]) - {TOP}
    loose = {path.name for path in (CORE / room).glob("*.py")} - {"__init__.py"}
    assert TOP in WINGS[room] or not loose, f"{sorted(loose)}: expected in a wing"


@pytest.mark.parametrize("room", WINGS)
def test_wings_import_only_wings_before_them(room):
    order = WINGS[room]

    def wing(module):
        parts = module.split(".")
        return parts[2] if len(parts) > 2 and parts[2] in order else TOP

    wrong = set()
    for path in (CORE / room).rglob("*.py"):
        if path == CORE / room / "__init__.py":
            continue
        allowed = order[: order.index(wing(module_of(path))) + 1]
        for module in imported_modules(path):
            if core_room(module) != room:
                continue
            inside = module != f"pair_drive_core.{room}" and (CORE / room / module.split(".")[2]).exists()
            if (inside and wing(module) not in allowed) or (not inside and TOP not in allowed):
                wrong.add(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(sorted(wrong))


def test_no_module_imports_itself_around_a_corner():
    known = {module_of(path): path for path in core_files() if path.name != "__init__.py"}
    arrows = {name: {m for m in imported_modules(path) if m in known} for name, path in known.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for target in sorted(arrows[name]):
            visit(target)
        path.pop()
        done.add(name)

    for name in known:
        visit(name)


def test_core_never_imports_ros():
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in core_files()
        for module in imported_modules(path)
        if module.split(".")[0] in {"pair_drive_ros", "rclpy", "launch", "launch_ros"}
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_only_the_navsim_wing_unpickles():
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for folder in ("pair_drive_core", "pair_drive_ros", "scripts", "launch")
        for path in (ROOT / folder).rglob("*.py")
        for module in imported_modules(path)
        if module.split(".")[0] in {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        and "pair_drive_core/datasets/navsim/" not in path.as_posix()
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("folder", ["launch", "test"])
def test_folders_that_would_shadow_packages_hold_no_init(folder):
    assert not list((ROOT / folder).rglob("__init__.py"))
