"""`pair-drive doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

MIN_PYTHON = (3, 10)
MESSAGE_PACKAGES = (
    "builtin_interfaces",
    "std_msgs",
    "geometry_msgs",
    "sensor_msgs",
    "nav_msgs",
    "diagnostic_msgs",
    "visualization_msgs",
    "lifecycle_msgs",
    "rosgraph_msgs",
    "tf2_msgs",
    "pair_drive_ros.msg",
)
"""What the nodes publish and read; all but the last come with a ROS installation."""
PEER_PACKAGES = ("ackermann_msgs", "autoware_planning_msgs", "carla_msgs")
"""Adapters load when these are there."""
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Jazzy reads the first, Kilted the second."""
_SHARED_MEMORY = Path("/dev/shm")
_SEGMENT_MIB = 64
"""Size of one participant's segment in config/fastdds_large_messages.xml."""


class State(str, Enum):
    """How a check went."""

    OK = "ok"
    OPTIONAL = "optional"
    MISSING = "missing"


@dataclass(frozen=True)
class Check:
    """One thing that was looked for.

    Attributes:
        name: what.
        state: `OPTIONAL` is missing, too, but only needed for the part that `remedy` names.
        found: what is there.
        remedy: how to get what is missing; empty where nothing is.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def doctor(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Trained networks to check; default: those of the package.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="NAVSIM data set to check: the devkit's OPENSCENE_DATA_ROOT.")
    ] = None,
    maps: Annotated[Path | None, typer.Option(help="nuPlan maps; default: maps in the data set.")] = None,
    split: Annotated[list[Path] | None, typer.Option(help="Split file (YAML) to check; repeatable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Look at this machine: what PaIR-Drive needs, what is missing, how to get it.

    Exit code 1 if anything that every user needs is missing. Example: pair-drive doctor --data /data/openscene
    """
    checks = [*machine_checks(), checkpoint_check(checkpoint), *ros_checks(os.environ), *data_checks(data, maps)]
    checks += [split_check(path) for path in split or []]
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print(checks)
    return int(any(check.state is State.MISSING for check in checks))


def machine_checks() -> Iterator[Check]:
    """Python, packages, torch and its device, the native kernel."""
    wanted, have = ".".join(map(str, MIN_PYTHON)), platform.python_version()
    old = sys.version_info[:2] < MIN_PYTHON
    yield Check("python", State.MISSING if old else State.OK, have, f"install Python {wanted} or newer" if old else "")
    yield packages_check()
    yield torch_check()
    yield kernel_check()


def packages_check() -> Check:
    """Whether everything that the package lists is installed."""
    try:
        required = importlib.metadata.requires("pair-drive-core") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", State.OPTIONAL, "runs from a checkout", "pip install . gives the command and its list")
    names = [re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0] for line in required if "extra ==" not in line]
    missing = [name for name in names if not _installed(name)]
    if missing:
        return Check("packages", State.MISSING, f"without {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("packages", State.OK, f"{len(names)} of {len(names)} listed packages")


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def torch_check() -> Check:
    """Which torch, and what it can run on."""
    if importlib.util.find_spec("torch") is None:
        return Check("torch", State.MISSING, "not installed", "pip install torch")
    import torch

    cores = os.cpu_count() or 1
    if not torch.cuda.is_available():
        hint = "for a GPU: pip install '.[cuda]' on a machine with an NVIDIA driver"
        return Check("torch", State.OPTIONAL, f"{torch.__version__}, CPU with {cores} cores", hint)
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return Check("torch", State.OK, f"{torch.__version__}, {names}, {cores} cores")


def kernel_check() -> Check:
    """Whether the compiled scorer serves; torch gives the same numbers, some 20 times slower."""
    from pair_drive_core.scoring.native.library import load

    if load() is not None:
        return Check("scorer kernel", State.OK, "compiled for this machine")
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    build = "python -m pair_drive_core.scoring.native.build"
    remedy = build if compiler else f"install a C++ compiler (Debian: apt-get install g++), then {build}"
    return Check("scorer kernel", State.OPTIONAL, "none: torch scores, slowly", remedy)


def checkpoint_check(path: Path | None) -> Check:
    """Whether trained networks load."""
    from pair_drive_core.models.checkpoint import CheckpointError, load_checkpoint
    from pair_drive_core.policies.runtime.loading import SHIPPED_CHECKPOINT

    chosen = path or SHIPPED_CHECKPOINT
    try:
        model = load_checkpoint(chosen).model
    except FileNotFoundError:
        return Check("checkpoint", State.MISSING, f"{chosen}: no such file", "pair-drive train makes one")
    except CheckpointError as error:
        return Check("checkpoint", State.MISSING, " ".join(str(error).split()), "train it anew, or take the package's")
    weights = sum(parameter.numel() for parameter in model.parameters())
    return Check("checkpoint", State.OK, f"{chosen.name}, {weights / 1e6:.1f} million weights")


def ros_checks(environment: Mapping[str, str]) -> Iterator[Check]:
    """ROS 2, the message packages, and the transport of large messages."""
    if importlib.util.find_spec("rclpy") is None:
        remedy = "only the nodes need it: source /opt/ros/<distribution>/setup.bash, or `make build` on Python 3.11"
        yield Check("ROS 2", State.OPTIONAL, "no rclpy", remedy)
        return
    yield Check("ROS 2", State.OK, environment.get("ROS_DISTRO", "rclpy is there; ROS_DISTRO is not set"))
    missing = [name for name in MESSAGE_PACKAGES if not _importable(name)]
    remedies = {
        "pair_drive_ros.msg": "colcon build --packages-select pair_drive_ros && source install/setup.bash",
        "tf2_msgs": "needed for `extrinsics: tf` only: apt-get install ros-<distribution>-tf2-msgs",
    }
    needed = [name for name in missing if name != "tf2_msgs"]
    if missing:
        state = State.MISSING if needed else State.OPTIONAL
        remedy = "; ".join(remedies.get(name, f"install the ROS package {name}") for name in missing)
        yield Check("message packages", state, f"without {', '.join(missing)}", remedy)
    else:
        yield Check("message packages", State.OK, f"all {len(MESSAGE_PACKAGES)}")
    peers = [name for name in PEER_PACKAGES if _importable(name)]
    remedy = "" if len(peers) == len(PEER_PACKAGES) else "adapters load when the peer's packages are sourced"
    yield Check("peers", State.OK if not remedy else State.OPTIONAL, ", ".join(peers) or "none", remedy)
    yield transport_check(environment)
    if importlib.util.find_spec("launch_ros") is None:
        yield Check("launch", State.OPTIONAL, "no launch_ros", "only `ros2 launch` needs it; the nodes start without")
    else:
        yield Check("launch", State.OK, "launch_ros")


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def transport_check(environment: Mapping[str, str], shared_memory: Path = _SHARED_MEMORY) -> Check:
    """Whether pictures of 1920 x 1080 get through: by default they do not, between processes that send best effort."""
    middleware = environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if "fastrtps" not in middleware:
        return Check("large messages", State.OPTIONAL, middleware, "measured with Fast DDS only; see docs/ros.md")
    files = {name: Path(environment[name]) for name in PROFILE_VARIABLES if environment.get(name)}
    if not files:
        remedy = f"export {PROFILE_VARIABLES[0]}=<share of pair_drive_ros>/config/fastdds_large_messages.xml"
        return Check("large messages", State.OPTIONAL, "Fast DDS without a profile: 1920 x 1080 is lost", remedy)
    lost = [f"{name}={path}" for name, path in files.items() if not path.is_file()]
    if lost:
        return Check("large messages", State.MISSING, f"{', '.join(lost)}: no such file", "name a file that is there")
    if shared_memory.is_dir():
        free_mib = shutil.disk_usage(shared_memory).free / 2**20
        if free_mib < 4 * _SEGMENT_MIB:
            remedy = f"make {shared_memory} larger: each node takes {_SEGMENT_MIB} MiB (Docker: --shm-size=1g)"
            return Check("large messages", State.OPTIONAL, f"{free_mib:.0f} MiB of shared memory free", remedy)
    return Check("large messages", State.OK, ", ".join(str(path) for path in files.values()))


def data_checks(data: Path | None, maps: Path | None) -> Iterator[Check]:
    """Whether a NAVSIM data set has its parts; nothing is looked for that was not named."""
    if data is None and maps is None:
        return
    parts: dict[str, tuple[Path, Callable[[Path], int], str]] = {}
    if data is not None:
        parts["logs"] = (data / "navsim_logs", lambda p: sum(1 for _ in p.glob("*/*.pkl")), "log files (.pkl)")
        parts["sensors"] = (data / "sensor_blobs", lambda p: sum(1 for _ in p.glob("*/*/")), "folders of sensor files")
    root = maps or (data / "maps" if data is not None else Path("maps"))
    parts["maps"] = (root, lambda p: sum(1 for _ in p.glob("*/*/map.gpkg")), "maps (<city>/<version>/map.gpkg)")
    for name, (folder, count, what) in parts.items():
        number = count(folder) if folder.is_dir() else 0
        if number:
            yield Check(f"data: {name}", State.OK, f"{number} {what} in {folder}")
        else:
            reason = f"no {what} in it" if folder.is_dir() else "no such folder"
            yield Check(f"data: {name}", State.MISSING, f"{folder}: {reason}", "see docs/navsim.md for the layout")


def split_check(path: Path) -> Check:
    """Whether a split file and the scene filter that it names can be read."""
    from pair_drive_core.datasets.errors import DatasetError
    from pair_drive_core.datasets.navsim.scene_filter import read_split

    try:
        found = read_split(path)
    except (FileNotFoundError, DatasetError) as error:
        return Check(f"split: {path.name}", State.MISSING, " ".join(str(error).split()), "take the devkit's file")
    return Check(f"split: {path.name}", State.OK, f"{found.name}, logs of {found.data_split}")


def _print(checks: list[Check]) -> None:
    """One line a check, and below it how to mend it, unbroken, so that it can be copied; words say what colours say."""
    colors = {State.OK: "green", State.OPTIONAL: "yellow", State.MISSING: "bold red"}
    console = Console()
    width = max(len(check.name) for check in checks)
    for check in checks:
        state = Text(f"{check.state.value:<9}", style=colors[check.state])
        console.print(state + Text(f"{check.name:<{width}}  {check.found}"), soft_wrap=True)
        if check.remedy:
            console.print(Text(f"{'':9}{'':{width}}  -> {check.remedy}"), soft_wrap=True)
