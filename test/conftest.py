"""Fixtures for tests over real DDS between real processes; nothing is imported from ROS before a test asks for it."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def _require_ros():
    if importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("pair_drive_ros.msg") is None:
        pytest.fail(
            "needs the built ROS package: run `make test`, which builds it and sets AMENT_PREFIX_PATH, LD_LIBRARY_PATH "
            "and PYTHONPATH to .venv and install/pair_drive_ros",
            pytrace=False,
        )


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Graphs that somebody has exported on this machine say nothing about the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAIR_DRIVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def ros_domain(monkeypatch):
    """A ROS domain of the test's own, on the loopback interface only; child processes inherit it."""
    _require_ros()
    from pair_drive_ros.domain import reserved_domain

    with reserved_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield domain


@pytest.fixture
def peer(ros_domain):
    """A node of the test itself."""
    node = _beside("ros_peers").Peer(ros_domain)
    yield node
    node.close()


@pytest.fixture
def start_process(ros_domain, tmp_path):
    """Start Python processes whose output is kept; what still runs at the end is stopped."""
    started = []

    def start(*arguments):
        log = (tmp_path / f"process{len(started)}.log").open("w+")
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        process.log_path = tmp_path / f"process{len(started)}.log"
        started.append((process, log))
        return process

    yield start
    for process, log in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.fixture(scope="session")
def interface_packages():
    """Environment variables with which processes find the message packages that have no wheel; built once."""
    _require_ros()
    return _beside("interface_packages").environment()


@pytest.fixture
def rig(peer):
    """Publishers of all inputs of the planner."""
    return _beside("ros_peers").SensorRig(peer)


@pytest.fixture
def planner_process(peer, start_process):
    """A planner node in a process of its own; not started yet."""
    return _beside("ros_peers").PlannerProcess(peer, start_process)


def _beside(name):
    """A module of helpers in this folder, which is no package."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"pair_drive_test_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def traffic_case():
    """`traffic_case(name)` reads test/golden/traffic/traffic_<name>.npz: scene with lanes, arrays, plans (K, 8, 3)."""
    return _beside("traffic_cases").read_case


@pytest.fixture(scope="session")
def roads():
    """Scenes on a straight road: `roads.road(...)`, `roads.one_lane(...)`, `roads.standing(scene)`."""
    return _beside("roads")


@pytest.fixture
def model():
    """Both branches with random weights, of a size for tests."""
    import torch

    from pair_drive_core.models import PairModel
    from pair_drive_core.models.presets import tiny_config

    torch.manual_seed(0)
    return PairModel(tiny_config()).eval()


@pytest.fixture
def features():
    """Inputs of three moments at 3, 8 and 12 m/s, to be driven straight on."""
    import torch

    from pair_drive_core.models import Features

    generator = torch.Generator().manual_seed(1)
    status = torch.zeros(3, 8)
    status[:, 1] = 1.0
    status[:, 4] = torch.tensor([3.0, 8.0, 12.0])
    camera = torch.rand(3, 3, 32, 64, generator=generator)
    lidar = torch.rand(3, 1, 32, 32, generator=generator)
    return Features(camera, lidar, torch.zeros(3, 0, 32, 32), status)


@pytest.fixture
def reference():
    """A straight, a left-turning and a right-turning plan at 5 m/s."""
    import torch

    turn = torch.tensor([0.0, 0.15, -0.15]).unsqueeze(1)
    heading = turn * torch.arange(1, 9)
    chord = heading - turn / 2
    step = 2.5 * torch.stack((chord.cos(), chord.sin()), dim=-1)
    return torch.cat((step.cumsum(1), heading.unsqueeze(-1)), dim=-1)


@pytest.fixture
def agent_input():
    """Noise on three cameras and a LiDAR, at 6 m/s."""
    import numpy as np

    from pair_drive_core.scene import (
        FRONT_CAMERAS,
        AgentInput,
        CameraCalibration,
        CameraImage,
        DrivingCommand,
        EgoStatus,
        LidarSweep,
    )

    rng = np.random.default_rng(0)
    images = {}
    for name in FRONT_CAMERAS:
        calibration = CameraCalibration(name, 96, 54, np.eye(3), np.eye(3), np.zeros(3), np.zeros(5))
        images[name] = CameraImage(calibration, rng.integers(0, 255, (54, 96, 3), dtype=np.uint8), 0)
    points = rng.uniform(-20, 20, (500, 4)).astype(np.float32)
    status = EgoStatus(0, np.zeros(3), np.array([6.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), images, LidarSweep(points, 0))


@pytest.fixture(scope="session")
def bag_types():
    """The message types that `rosbags` knows, this package's own among them, read from msg/."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    own = {}
    for path in (Path(__file__).resolve().parents[1] / "msg").glob("*.msg"):
        own.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"pair_drive_ros/msg/{path.stem}"))
    store.register(own)
    return store
