"""The planner node's parameters; defaults come from the core's settings, so there is one place for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pair_drive_core.driving.ego_odometry import TwistSource
from pair_drive_core.driving.planner_health import HealthLimits
from pair_drive_core.driving.planner_settings import Pictures, PlannerKind, PlannerSettings, settings_from_parameters
from pair_drive_core.driving.sensor_feed import Extrinsics
from pair_drive_core.policies.runtime.backends import Backend
from pair_drive_ros.parameters import Parameter, ParameterValue

_SETTINGS = PlannerSettings()
_HEALTH = HealthLimits()
_SYNC, _GUARD, _LOOK, _MOUNT = _SETTINGS.sync, _SETTINGS.guard, _SETTINGS.look, _SETTINGS.mount
_MOUNT_TEXT = "x y z [m] roll pitch yaw [rad, fixed axes] of {} in base_link."
_CAMERA_TEXT = "the body frame (x forward, y left, z up) of the {} camera"


def _sync(name: str, low: float, high: float, description: str) -> Parameter:
    return Parameter(f"sync.{name}", getattr(_SYNC, name), description, low, high)


def _guard(name: str, high: float, description: str) -> Parameter:
    return Parameter(f"guard.{name}", getattr(_GUARD, name), description, 0.0, high)


def _look(name: str, high: float, description: str) -> Parameter:
    return Parameter(f"look.{name}", getattr(_LOOK, name), description, 0.0, high)


SETTINGS_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("planner", _SETTINGS.planner.value, "Which planner runs.", choices=tuple(k.value for k in PlannerKind)),
    Parameter("checkpoint", "", "File with the trained networks; empty for the one that comes with the package."),
    Parameter("device", _SETTINGS.device, "torch device of the networks, such as cpu or cuda:0."),
    Parameter(
        "backend",
        _SETTINGS.backend.value,
        "How the networks are computed; auto: by onnxruntime where `pair-drive export` has written graphs, else eager.",
        choices=tuple(kind.value for kind in Backend),
    ),
    Parameter(
        "fallback_deceleration_mps2",
        _SETTINGS.fallback_deceleration_mps2,
        "Deceleration of the fallback's comfortable stop [m/s^2].",
        0.1,
        8.0,
    ),
    Parameter(
        "extrinsics",
        _SETTINGS.extrinsics.value,
        "Where the sensors' places come from: the mount parameters, or /tf and /tf_static.",
        choices=tuple(kind.value for kind in Extrinsics),
    ),
    Parameter("base_frame", _SETTINGS.base_frame, "Name of the ego frame (rear axle, on the ground) in /tf."),
    Parameter(
        "odometry_twist",
        _SETTINGS.odometry_twist.value,
        "Where the ego's velocity is taken from: the odometry's twist, or the change of its pose.",
        choices=tuple(kind.value for kind in TwistSource),
    ),
    Parameter(
        "pictures",
        _SETTINGS.pictures.value,
        "Whether K and D of camera_info hold for the pictures, or P; by_name: P for topics image_rect...",
        choices=tuple(kind.value for kind in Pictures),
    ),
    Parameter("sync.with_lidar", _SYNC.with_lidar, "Whether a LiDAR sweep must be there."),
    _sync("camera_tolerance_s", 0.0, 0.5, "Greatest difference between the stamps of cameras [s]."),
    _sync(
        "lidar_tolerance_s",
        0.0,
        1.0,
        "Greatest difference between LiDAR sweep and t0 (ego motion is taken out) [s].",
    ),
    _sync("lidar_wait_s", 0.0, 1.0, "How long a sweep nearer to t0 is waited for, in sensor time [s]."),
    _sync("odometry_gap_s", 0.0, 1.0, "Longest gap in the odometry that is interpolated over [s]."),
    _sync("command_age_s", 0.1, 60.0, "How long a driving command holds [s]."),
    _sync("max_wait_s", 0.01, 2.0, "How long an incomplete set is kept, in sensor time [s]."),
    _sync("jump_back_s", 0.0, 60.0, "A stamp further before the newest of its topic is a time jump [s]."),
    _sync(
        "jump_forward_s",
        0.1,
        600.0,
        "A stamp further after the newest of all topics is a time jump [s].",
    ),
    _guard("max_speed_mps", 100.0, "Plans faster than this are refused [m/s]."),
    _guard("max_reverse_speed_mps", 20.0, "Plans that reverse faster than this are refused [m/s]."),
    _guard("max_acceleration_mps2", 30.0, "Plans that accelerate more are refused [m/s^2]."),
    _guard("max_deceleration_mps2", 30.0, "Plans that brake more are refused [m/s^2]."),
    _guard("max_jerk_mps3", 100.0, "Plans whose acceleration changes faster are refused [m/s^3]."),
    _guard("max_lateral_acceleration_mps2", 30.0, "Plans that turn harder are refused [m/s^2]."),
    _guard("max_curvature_per_m", 2.0, "Plans that turn tighter are refused [1/m]."),
    _guard("max_standing_turn_rad", 6.3, "Plans that turn by more than their length allows are refused [rad]."),
    _guard("max_slip_m", 10.0, "Plans that step sideways further are refused [m]."),
    _guard("max_crab_m", 10.0, "Plans whose steps go sideways further in the mean of 1.5 s are refused [m]."),
    _guard("start_margin_m", 10.0, "How far a plan's first pose may lie from where the ego can be [m]."),
    _guard("max_jump_m", 20.0, "Plans further beside the one before, within 2 s, are refused [m]."),
    _guard("previous_plan_s", 5.0, "How long a good plan is driven on when none follows [s]."),
    Parameter("look.enabled", _LOOK.enabled, "Whether the guard looks for LiDAR points in the way of a plan."),
    _look("least_height_m", 2.0, "Points lower than this above the ground are ground [m]."),
    _look("greatest_height_m", 10.0, "Points higher than this above the ground are passed below [m]."),
    _look("side_margin_m", 2.0, "Added to either side of the vehicle [m]."),
    Parameter("look.least_points", _LOOK.least_points, "Fewer points within a metre of way are noise.", 1, 1000),
    _look("ground_slope", 1.0, "Greatest slope of the ground [m/m]."),
    _look("braking_mps2", 10.0, "Deceleration that must suffice to stop before what is in the way [m/s^2]."),
    _look("reaction_s", 2.0, "How far ahead a plan must leave that possible [s]."),
    _look("gap_m", 10.0, "Left between the vehicle's front and what is in the way [m]."),
    _look("other_braking_mps2", 15.0, "Deceleration that something moving ahead may have at most [m/s^2]."),
    Parameter("mount.front_left", list(_MOUNT.front_left), _MOUNT_TEXT.format(_CAMERA_TEXT.format("left-front"))),
    Parameter("mount.front", list(_MOUNT.front), _MOUNT_TEXT.format(_CAMERA_TEXT.format("front"))),
    Parameter("mount.front_right", list(_MOUNT.front_right), _MOUNT_TEXT.format(_CAMERA_TEXT.format("right-front"))),
    Parameter("mount.lidar", list(_MOUNT.lidar), _MOUNT_TEXT.format("the frame of the point clouds")),
    Parameter("mount.odometry", list(_MOUNT.odometry), _MOUNT_TEXT.format("the odometry's child_frame_id")),
)
"""What bag evaluation reads from a parameter file, too."""

NODE_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("autostart", False, "Configure and activate at start, for machines without a lifecycle manager."),
    Parameter("image_transport", "raw", "Which image topics are subscribed.", choices=("raw", "compressed", "both")),
    Parameter(
        "sensor_reliability", "best_effort", "QoS of the sensor subscriptions.", choices=("best_effort", "reliable")
    ),
    Parameter("sensor_depth", 5, "Queue depth of the sensor subscriptions.", 1, 1000),
    Parameter(
        "stale_after_s",
        _HEALTH.stale_after_s,
        "An input older than this is an error; no plan is made from it [s].",
        0.02,
        10.0,
    ),
    Parameter("startup_s", _HEALTH.startup_s, "How long inputs may be missing after activation [s].", 0.1, 600.0),
    Parameter(
        "plan_age_limit_s",
        _HEALTH.plan_age_limit_s,
        "An older plan is not published; no newer one is an error [s].",
        0.05,
        60.0,
    ),
    Parameter(
        "hang_after_s",
        _HEALTH.hang_after_s,
        "Work on one set longer than this is an error, in wall-clock time [s].",
        0.1,
        600.0,
    ),
    Parameter("plan_period_s", 0.0, "Least sensor time between two plans; 0 plans on every set [s].", 0.0, 10.0),
    Parameter("diagnostics_period_s", 0.1, "Time between two diagnostics, in wall-clock time [s].", 0.02, 10.0),
    Parameter("publish_candidates", True, "Whether all leaves of the tree are published."),
    Parameter("publish_markers", True, "Whether the tree is published as markers for a viewer."),
)
"""What concerns only the node."""

PLANNER_PARAMETERS = (*SETTINGS_PARAMETERS, *NODE_PARAMETERS)


@dataclass(frozen=True)
class NodeSettings:
    """Settings of the node beside those of the planner; see `NODE_PARAMETERS`."""

    autostart: bool
    image_transport: str
    sensor_reliability: str
    sensor_depth: int
    stale_after_s: float
    startup_s: float
    plan_age_limit_s: float
    hang_after_s: float
    plan_period_s: float
    diagnostics_period_s: float
    publish_candidates: bool
    publish_markers: bool


def split_settings(given: dict[str, ParameterValue]) -> tuple[PlannerSettings, NodeSettings]:
    """Typed settings from the values of `PLANNER_PARAMETERS`."""
    node_names = {parameter.name for parameter in NODE_PARAMETERS}
    node = NodeSettings(**{name: given[name] for name in node_names})  # type: ignore[arg-type]
    return settings_from_parameters({name: v for name, v in given.items() if name not in node_names}), node


def coupled_problems(given: dict[str, ParameterValue]) -> list[str]:
    """What is wrong with the values taken together, one line each."""
    planner, node = split_settings(given)
    found = planner.problems()
    if planner.checkpoint and not Path(planner.checkpoint).is_file():
        found.append(f"checkpoint: expected a file, got {planner.checkpoint!r}")
    if node.stale_after_s < planner.sync.camera_tolerance_s:
        found.append(
            f"stale_after_s: expected at least sync.camera_tolerance_s = {planner.sync.camera_tolerance_s}, "
            f"got {node.stale_after_s}"
        )
    least_s = max(node.stale_after_s, node.plan_period_s)
    if node.plan_age_limit_s < least_s:
        found.append(
            f"plan_age_limit_s: expected at least stale_after_s and plan_period_s = {least_s}, "
            f"got {node.plan_age_limit_s}"
        )
    return found
