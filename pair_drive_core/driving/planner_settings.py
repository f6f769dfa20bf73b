"""All settings of the running planner, for the node and for bag evaluation alike; one parameter file serves both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pair_drive_core.datasets.yaml_text import refuse_aliases
from pair_drive_core.driving.ego_odometry import TwistSource
from pair_drive_core.driving.guarded_planner import GuardedPlanner, one_line
from pair_drive_core.driving.output_guard import GuardLimits
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorFeed, SensorMounts
from pair_drive_core.driving.synchronizer import SynchronizerConfig
from pair_drive_core.driving.warm_up import warm_up
from pair_drive_core.driving.world_look import LookLimits
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.planner import Planner
from pair_drive_core.policies.runtime.backends import Backend
from pair_drive_core.policies.runtime.loading import SHIPPED_CHECKPOINT, load_planner

_PARAMETERS_KEY = "ros__parameters"
_MAX_PARAMETER_FILE = 2**20
_YAML_ERRORS = (
    *(YAMLError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(LookupError, AssertionError, RecursionError),
)
"""What the parser raises for text that is no YAML; LookupError for a version of YAML that there is not."""
NODE_ONLY = frozenset(
    {
        "autostart",
        "image_transport",
        "sensor_reliability",
        "sensor_depth",
        "stale_after_s",
        "startup_s",
        "plan_age_limit_s",
        "hang_after_s",
        "plan_period_s",
        "diagnostics_period_s",
        "publish_candidates",
        "publish_markers",
        "use_sim_time",
    }
)
"""Parameters of the node that mean nothing to a bag."""


class PlannerKind(str, Enum):
    """Which planner runs."""

    PARALLEL = "parallel"
    CONSTANT_VELOCITY = "constant_velocity"


class Pictures(str, Enum):
    """Which numbers of camera_info hold for the pictures."""

    BY_NAME = "by_name"
    """P where the name of the topic says so, as image_proc has it (`image_rect`, `image_rect_color`); else K."""
    RAW = "raw"
    RECTIFIED = "rectified"

    def are_rectified(self, topic: str) -> bool:
        """Whether the pictures of a topic are rectified."""
        if self is Pictures.BY_NAME:
            return any(part.startswith("image_rect") or part in ("rect", "rectified") for part in topic.split("/"))
        return self is Pictures.RECTIFIED


@dataclass(frozen=True)
class PlannerSettings:
    """Settings of the running planner.

    Attributes:
        planner: which planner runs.
        checkpoint: file with the trained networks; empty for the one that comes with the package.
        device: torch device of the networks.
        backend: how the networks are computed.
        fallback_deceleration_mps2: of the comfortable stop.
        extrinsics: whether the sensors' places come from `mount` or from transforms.
        base_frame: name of the ego frame in the transforms.
        odometry_twist: where the ego's velocity is taken from: the odometry's twist, or the change of its pose.
        pictures: whether K and the distortion of camera_info hold for the pictures, or P.
        sync: tolerances of the synchroniser.
        guard: bounds of a plausible plan.
        look: what the guard takes for being in the way, and how it brakes for it.
        mount: where the sensors sit.
    """

    planner: PlannerKind = PlannerKind.PARALLEL
    checkpoint: str = ""
    device: str = "cpu"
    backend: Backend = Backend.AUTO
    fallback_deceleration_mps2: float = 2.0
    extrinsics: Extrinsics = Extrinsics.PARAMETERS
    base_frame: str = "base_link"
    odometry_twist: TwistSource = TwistSource.ODOMETRY
    pictures: Pictures = Pictures.BY_NAME
    sync: SynchronizerConfig = field(default_factory=SynchronizerConfig)
    guard: GuardLimits = field(default_factory=GuardLimits)
    look: LookLimits = field(default_factory=LookLimits)
    mount: SensorMounts = field(default_factory=SensorMounts)

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        found = [*self.sync.problems(), *self.guard.problems(), *self.look.problems(), *self.mount.problems()]
        if not self.fallback_deceleration_mps2 > 0:
            value = self.fallback_deceleration_mps2
            found.append(f"fallback_deceleration_mps2: expected a positive number, got {value}")
        if self.planner is PlannerKind.PARALLEL and not self.sync.with_lidar:
            found.append("sync.with_lidar: the parallel planner needs a LiDAR, got false")
        try:
            torch.device(self.device)
        except RuntimeError:
            found.append(f"device: expected a torch device such as cpu or cuda:0, got {self.device!r}")
        return found

    def feed(self, picture_topics: Mapping[str, str] | None = None, refuse_contradictions: bool = True) -> SensorFeed:
        """A new feed with these tolerances and mounts.

        Args:
            picture_topics: what the topic of a camera's pictures is really called, by NAVSIM name of the camera.
            refuse_contradictions: whether odometry whose pose and velocity contradict each other is refused.
        """
        rectified = frozenset(
            camera
            for camera in self.sync.cameras
            if self.pictures.are_rectified((picture_topics or {}).get(camera, ""))
        )
        return SensorFeed(
            self.sync,
            self.mount,
            self.extrinsics,
            self.base_frame,
            self.odometry_twist,
            rectified,
            refuse_contradictions,
        )

    def guarded_planner(self) -> GuardedPlanner:
        """Load the planner, let it plan once and guard it.

        Raises:
            ValueError: naming what is wrong with the settings or the checkpoint.
            FileNotFoundError: if there is no such checkpoint.
        """
        return GuardedPlanner(self.loaded_planner(), self.guard, self.fallback_deceleration_mps2, self.look)

    def loaded_planner(self) -> Planner:
        """Load the planner and let it plan, as it will in motion.

        Raises:
            ValueError: naming what is wrong with the settings or the checkpoint.
            FileNotFoundError: if there is no such checkpoint.
        """
        problems = self.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))
        try:
            planner = self._planner()
        except (RuntimeError, AssertionError) as error:
            # torch raises these for a device that this machine or this build of torch does not have.
            text = " ".join(str(error).split())
            raise ConfigurationError(f"device: cannot use {self.device!r} ({text})") from error
        try:
            problem = warm_up(planner, self.mount)
        except Exception as error:
            raise ConfigurationError(
                f"{planner.name} on {self.device!r} cannot plan from made-up readings ({one_line(error)})"
            ) from error
        if problem:
            raise ConfigurationError(f"{planner.name} from {self.checkpoint or 'the shipped checkpoint'}: {problem}")
        return planner

    def _planner(self) -> Planner:
        if self.planner is PlannerKind.CONSTANT_VELOCITY:
            return ConstantVelocityPlanner()
        path = Path(self.checkpoint) if self.checkpoint else SHIPPED_CHECKPOINT
        return load_planner(path, torch.device(self.device), backend=self.backend)


def settings_from_parameters(parameters: Mapping[str, Any]) -> PlannerSettings:
    """Settings from ROS parameters, whose dotted names are groups (`sync.max_wait_s`) or nested mappings.

    Raises:
        ConfigurationError: for a name that is unknown or a value of a wrong type.
    """
    nested: dict[str, Any] = {}
    for name, value in parameters.items():
        group, _, leaf = name.partition(".")
        if leaf or isinstance(value, Mapping):
            inner = nested.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"setting {group!r}: expected a value or a group of settings, got both")
            inner.update({leaf: value} if leaf else value)
        else:
            nested[name] = value
    return config_from_mapping(PlannerSettings, nested)


def read_parameter_file(path: Path) -> PlannerSettings:
    """Settings from a ROS 2 parameter file, as the node reads it.

    Args:
        path: the YAML file; the parameters of its first node are taken.

    Raises:
        FileNotFoundError: if there is no such file.
        ConfigurationError: if it is not a parameter file, or for a parameter that is unknown or of a wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > _MAX_PARAMETER_FILE:
            raise ValueError(f"expected at most {_MAX_PARAMETER_FILE} characters, got {len(text)}")
        refuse_aliases(text)  # as ROS itself does
        document = YAML(typ="safe").load(text)
    except _YAML_ERRORS as error:
        raise ConfigurationError(f"{path}: not YAML ({' '.join(str(error).split())[:400]})") from None
    groups = list(document.values()) if isinstance(document, Mapping) else []
    if not groups or not isinstance(groups[0], Mapping) or _PARAMETERS_KEY not in groups[0]:
        raise ConfigurationError(f"{path}: expected a ROS 2 parameter file (node name, then {_PARAMETERS_KEY!r})")
    parameters = groups[0][_PARAMETERS_KEY] or {}
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise ConfigurationError(f"{path}: expected parameters by name in {_PARAMETERS_KEY!r}")
    return settings_from_parameters({name: value for name, value in parameters.items() if name not in NODE_ONLY})
