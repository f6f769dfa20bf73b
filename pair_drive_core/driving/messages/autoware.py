"""Autoware's messages from this package's own: autoware_planning_msgs/Trajectory and the candidates beside it.

The types are looked up by the caller's `MakeMessage`, so nothing here needs Autoware.
"""

from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_pose, yaw_of
from pair_drive_core.driving.messages.stamps import stamp_us, to_duration
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.plan_reference import PlanReference
from pair_drive_core.scene import SceneError
from pair_drive_core.simulation.plan_follower import TimedPlan

_STEP_S = 0.1
"""Time between two points: followers there look for the nearest point and interpolate little."""
_NAMESPACE = uuid.UUID("6e6f2b52-3c9d-5b59-9d4c-2f6f0a6f7a11")
"""Of the ids of generators: the same planner has the same id on every machine."""
_UUID_BYTES = 16


def to_autoware_trajectory(make: MakeMessage, plan: Any, wheel_base_m: float) -> Any:  # noqa: ANN401
    """autoware_planning_msgs/Trajectory of a PlannedTrajectory: header and stamp (t0) as they are, a point each 0.1 s.

    Args:
        make: maker of messages.
        plan: pair_drive_ros/PlannedTrajectory.
        wheel_base_m: of the vehicle, for the angle of the front wheel.

    Raises:
        MessageError: for a plan that cannot be used.
    """
    points = _points(make, timed_plan(plan), wheel_base_m)
    return make("autoware_planning_msgs/msg/Trajectory", header=plan.header, points=points)


def to_autoware_candidates(
    make: MakeMessage,
    candidates: Any,  # noqa: ANN401
    planner: str,
    wheel_base_m: float,
    info_kind: str,
) -> Any:  # noqa: ANN401
    """autoware_internal_planning_msgs/CandidateTrajectories of all leaves, best predicted score first.

    Args:
        make: maker of messages.
        candidates: pair_drive_ros/CandidateTrajectories.
        planner: name of the planner; each leaf is a generator of its own there, named by it, its rank and its score.
        wheel_base_m: of the vehicle.
        info_kind: type of the entries of `generator_info`; its name differs between releases.

    Raises:
        MessageError: for a leaf that cannot be used.
    """
    start_us, interval_s = stamp_us(candidates.header.stamp), stamp_us(candidates.interval) * 1e-6
    ranked = sorted(candidates.candidates, key=lambda leaf: -leaf.reward)
    trajectories, infos = [], []
    for rank, leaf in enumerate(ranked):
        generator = _generator(make, f"{planner}/{rank}")
        places = [(pose.position.x, pose.position.y, yaw_of(pose.orientation)) for pose in leaf.poses]
        # Leaves do not repeat the ego's own pose at t0; the first interval is theirs to start with.
        time_s = np.arange(1, len(places) + 1, dtype=np.float64) * interval_s
        try:
            plan = TimedPlan(start_us, time_s, np.array(places).reshape(-1, 3)).validate()
        except SceneError as error:
            raise MessageError(f"candidate {rank}: {error}") from None
        trajectories.append(
            make(
                "autoware_internal_planning_msgs/msg/CandidateTrajectory",
                header=candidates.header,
                generator_id=generator,
                points=_points(make, plan, wheel_base_m),
            )
        )
        name = make("std_msgs/msg/String", data=f"{planner}/{rank} score {leaf.reward:.3f}")
        infos.append(make(info_kind, generator_id=generator, generator_name=name))
    return make(
        "autoware_internal_planning_msgs/msg/CandidateTrajectories",
        candidate_trajectories=trajectories,
        generator_info=infos,
    )


def _generator(make: MakeMessage, name: str) -> Any:  # noqa: ANN401
    """unique_identifier_msgs/UUID of a name."""
    digits = np.frombuffer(uuid.uuid5(_NAMESPACE, name).bytes, dtype=np.uint8)
    return make("unique_identifier_msgs/msg/UUID", uuid=digits.copy())


def _points(make: MakeMessage, plan: TimedPlan, wheel_base_m: float) -> list[Any]:
    """autoware_planning_msgs/TrajectoryPoint each 0.1 s from the plan's first pose to its last."""
    reference = PlanReference(plan)
    first_s, last_s = float(plan.time_s[0]), float(plan.time_s[-1])
    times = (first_s + _STEP_S * np.arange(round((last_s - first_s) / _STEP_S) + 1)).tolist()
    points = []
    for time_s in times:
        along = reference.along(plan.start_us + round(time_s * 1e6))
        curvature = reference.curvature(along.distance_m)
        points.append(
            make(
                "autoware_planning_msgs/msg/TrajectoryPoint",
                time_from_start=to_duration(make, time_s),
                pose=to_pose(make, reference.pose(along.distance_m).tolist()),
                longitudinal_velocity_mps=float(along.speed_mps),
                lateral_velocity_mps=0.0,
                acceleration_mps2=float(along.acceleration_mps2),
                heading_rate_rps=float(curvature * along.speed_mps),
                front_wheel_angle_rad=float(math.atan(wheel_base_m * curvature)),
                rear_wheel_angle_rad=0.0,
            )
        )
    return points
