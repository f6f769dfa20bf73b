"""The devkit's agent interface, with stand-ins for the devkit's few classes that it touches."""

import importlib
import sys
import types
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from pair_drive_core.bridges.navsim_input import from_navsim
from pair_drive_core.planning import ConstantVelocityPlanner
from pair_drive_core.scene import FRONT_CAMERAS, DrivingCommand, SceneError

CAMERAS = ("cam_f0", "cam_l0", "cam_l1", "cam_l2", "cam_r0", "cam_r1", "cam_r2", "cam_b0")


LOOKS_BACK = SimpleNamespace(config=SimpleNamespace(features=SimpleNamespace(lidar_past_s=(0.5, 1.0))))
"""As much of a model as tells the ages of the sweeps that it wants."""


@pytest.fixture
def official():
    """Four frames at 6 m/s; sensors at t0 only."""
    statuses = [
        SimpleNamespace(
            ego_pose=np.array([3.0 * (i - 3), 0.0, 0.0], dtype=np.float32),
            ego_velocity=np.array([6.0, 0.0], dtype=np.float32),
            ego_acceleration=np.zeros(2, dtype=np.float32),
            driving_command=np.array([0, 0, 1, 0]),
        )
        for i in range(4)
    ]
    empty = SimpleNamespace(
        image=None, intrinsics=None, sensor2lidar_rotation=None, sensor2lidar_translation=None, distortion=None
    )
    loaded = SimpleNamespace(
        image=np.full((36, 64, 3), 7, np.uint8),
        intrinsics=np.eye(3),
        sensor2lidar_rotation=np.eye(3),
        sensor2lidar_translation=np.array([1.6, 0.0, 1.5]),
        distortion=np.zeros(5),
    )
    front = {name.lower() for name in FRONT_CAMERAS}
    before = SimpleNamespace(**dict.fromkeys(CAMERAS, empty))
    now = SimpleNamespace(**{name: loaded if name in front else empty for name in CAMERAS})
    cloud = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [255.0, 51.0], [0.0, 1.0], [0.0, 0.0]], dtype=np.float32)
    lidars = [SimpleNamespace(lidar_pc=None)] * 3 + [SimpleNamespace(lidar_pc=cloud)]
    return SimpleNamespace(ego_statuses=statuses, cameras=[before] * 3 + [now], lidars=lidars)


def test_every_reading_of_t0_is_taken(official):
    agent_input = from_navsim(official)
    assert [status.time_us for status in agent_input.status] == [0, 500_000, 1_000_000, 1_500_000]
    assert agent_input.now.command is DrivingCommand.RIGHT
    assert agent_input.now.velocity.tolist() == [6.0, 0.0]
    assert set(agent_input.cameras) == set(FRONT_CAMERAS)
    assert agent_input.cameras["CAM_F0"].calibration.ego_t_camera.tolist() == [1.6, 0.0, 1.5]
    np.testing.assert_allclose(agent_input.lidar.points, [[1, 3, 5, 1.0], [2, 4, 6, 0.2]], rtol=1e-6)


def test_earlier_sweeps_are_moved_to_t0_where_the_devkit_loaded_them(official):
    assert from_navsim(official).earlier_lidar == ()
    official.lidars[1] = official.lidars[3]
    (sweep,) = from_navsim(official).earlier_lidar
    assert sweep.time_us == 500_000
    then, now = (np.asarray(official.ego_statuses[k].ego_pose) for k in (1, 3))
    back = from_navsim(official).earlier_lidar[0].moved(now, then)
    np.testing.assert_allclose(back.points, from_navsim(official).lidar.points, atol=1e-4)


def test_readings_that_were_not_loaded_are_named(official):
    official.cameras[-1].cam_l0 = official.cameras[0].cam_l0
    with pytest.raises(SceneError, match=r"CAM_L0.*sensor configuration"):
        from_navsim(official)
    official.lidars[-1] = SimpleNamespace(lidar_pc=None)
    assert from_navsim(official, ()).lidar is None


def test_a_command_of_zeros_is_unknown_and_one_that_is_none_is_named(official):
    official.ego_statuses[3].driving_command = np.array([0, 0, 0, 0])
    assert from_navsim(official).now.command is DrivingCommand.UNKNOWN
    official.ego_statuses[2].driving_command = np.array([0, 1, 1, 0])
    with pytest.raises(SceneError, match="one-hot"):
        from_navsim(official)


@dataclass
class SensorConfig:
    cam_f0: object = False
    cam_l0: object = False
    cam_r0: object = False
    cam_b0: object = False
    lidar_pc: object = False

    @classmethod
    def build_no_sensors(cls):
        return cls()


@dataclass
class TrajectorySampling:
    num_poses: int
    interval_length: float


@dataclass
class Trajectory:
    poses: object
    trajectory_sampling: object


class AbstractAgent:
    def __init__(self, trajectory_sampling, requires_scene):
        self._trajectory_sampling, self.requires_scene = trajectory_sampling, requires_scene


@pytest.fixture
def agent_module(monkeypatch):
    """The module, imported beside modules with the devkit's names."""
    contents = {
        "navsim.agents.abstract_agent": {"AbstractAgent": AbstractAgent},
        "navsim.common.dataclasses": {"AgentInput": object, "SensorConfig": SensorConfig, "Trajectory": Trajectory},
        "nuplan.planning.simulation.trajectory.trajectory_sampling": {"TrajectorySampling": TrajectorySampling},
    }
    for name, attributes in contents.items():
        parts = name.split(".")
        for k in range(1, len(parts) + 1):
            path = ".".join(parts[:k])
            if path not in sys.modules:
                monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
        for key, value in attributes.items():
            setattr(sys.modules[name], key, value)
    monkeypatch.delitem(sys.modules, "pair_drive_core.bridges.navsim_agent", raising=False)
    yield importlib.import_module("pair_drive_core.bridges.navsim_agent")
    sys.modules.pop("pair_drive_core.bridges.navsim_agent", None)


def test_the_agent_answers_with_the_planners_poses(agent_module, official):
    agent = agent_module.PairDriveAgent()
    agent.initialize()
    assert agent.name() == "constant_velocity"
    assert agent.get_sensor_config() == SensorConfig()
    trajectory = agent.compute_trajectory(official)
    assert trajectory.poses.dtype == np.float32
    np.testing.assert_allclose(trajectory.poses, ConstantVelocityPlanner().plan(from_navsim(official, ())).poses)
    np.testing.assert_allclose(trajectory.poses[:, 0], 3.0 * np.arange(1, 9))
    assert trajectory.trajectory_sampling == TrajectorySampling(8, 0.5)


def test_a_learned_planner_asks_for_its_sensors_at_t0(agent_module, official, monkeypatch, tmp_path):
    seen = []

    class Learned(ConstantVelocityPlanner):
        name = "learned"
        model = LOOKS_BACK

        def plan(self, agent_input):
            seen.append(agent_input)
            return super().plan(agent_input)

    monkeypatch.setattr(agent_module, "load_planner", lambda checkpoint, device: Learned())
    agent = agent_module.PairDriveAgent(checkpoint=str(tmp_path / "a.safetensors"))
    config = agent.get_sensor_config()
    assert (config.cam_f0, config.cam_l0, config.cam_r0, config.lidar_pc, config.cam_b0) == ([3], [3], [3], [3], False)
    agent.initialize()
    assert agent.get_sensor_config().lidar_pc == [1, 2, 3]
    agent.compute_trajectory(official)
    assert agent.name() == "learned"
    assert set(seen[0].cameras) == set(FRONT_CAMERAS)
    assert seen[0].lidar is not None


class OlderAgent:
    """`AbstractAgent` of navsim v1.0 and v1.1."""

    def __init__(self, requires_scene=False):
        self.requires_scene = requires_scene


class BareAgent:
    """One that takes nothing."""

    requires_scene = True


@pytest.mark.parametrize("base", [AbstractAgent, OlderAgent, BareAgent])
def test_the_agent_works_in_every_version_of_the_devkit(agent_module, official, monkeypatch, base):
    monkeypatch.setattr(sys.modules["navsim.agents.abstract_agent"], "AbstractAgent", base)
    module = importlib.reload(agent_module)
    agent = module.PairDriveAgent()
    agent.initialize()
    assert agent.requires_scene is False
    np.testing.assert_allclose(agent.compute_trajectory(official).poses[:, 0], 3.0 * np.arange(1, 9))


def test_a_planner_plans_where_there_is_no_point_cloud(agent_module, official, monkeypatch, tmp_path, caplog):
    """navhard's second stage has none; the planner sees an empty sweep and the log says so once."""
    seen = []

    class Learned(ConstantVelocityPlanner):
        model = LOOKS_BACK

        def plan(self, agent_input):
            seen.append(agent_input)
            return super().plan(agent_input)

    monkeypatch.setattr(agent_module, "load_planner", lambda checkpoint, device: Learned())
    agent = agent_module.PairDriveAgent(checkpoint=str(tmp_path / "a.safetensors"), lidar=False)
    assert agent.get_sensor_config().lidar_pc is False
    agent.initialize()
    official.lidars[-1] = SimpleNamespace(lidar_pc=None)
    agent.compute_trajectory(official)
    agent.compute_trajectory(official)
    assert [entry.lidar.points.shape for entry in seen] == [(0, 4), (0, 4)]
    assert [record.message for record in caplog.records if "empty sweep" in record.message] == [caplog.messages[0]]


def test_other_samplings_and_missing_checkpoints_are_named(agent_module, tmp_path):
    with pytest.raises(ValueError, match=r"8 poses 0\.5 s apart"):
        agent_module.PairDriveAgent(trajectory_sampling=TrajectorySampling(40, 0.1))
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        agent_module.PairDriveAgent(checkpoint=str(tmp_path / "gone.safetensors")).initialize()


def test_without_the_devkit_only_the_agent_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "navsim", None)
    importlib.reload(importlib.import_module("pair_drive_core.bridges.navsim_input"))
    monkeypatch.delitem(sys.modules, "pair_drive_core.bridges.navsim_agent", raising=False)
    with pytest.raises(ModuleNotFoundError, match="navsim"):
        importlib.import_module("pair_drive_core.bridges.navsim_agent")
