"""pair_drive_ros/PlannedTrajectory and nav_msgs/Path from plans, and back to poses for those who follow them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_pose, yaw_of
from pair_drive_core.driving.messages.stamps import stamp_us, to_duration, to_header
from pair_drive_core.geometry import compose_se2, wrap_angle
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.scene import EgoStatus, SceneError, Trajectory
from pair_drive_core.simulation.plan_follower import TimedPlan

SOURCE_NUMBERS = {PlanSource.IMITATION: 1, PlanSource.REINFORCEMENT: 2, PlanSource.FALLBACK: 3}
"""The message's constants IMITATION, REINFORCEMENT and FALLBACK."""


def to_planned_trajectory(
    make: MakeMessage, result: GuardedPlan, status: EgoStatus, frame_id: str, age_s: float, planner: str
) -> Any:  # noqa: ANN401
    """A plan as a message in the continuous frame, stamped with t0.

    Args:
        make: maker of messages.
        result: the plan.
        status: the ego at t0.
        frame_id: frame of `status.pose`.
        age_s: time from t0 to publication.
        planner: name of the planner.
    """
    plan = result.plan
    knots = Trajectory(plan.poses.to(torch.float64), plan.interval_s).with_start()
    world = compose_se2(torch.as_tensor(status.pose, dtype=torch.float64), knots)
    speed, acceleration, heading_rate = _motion_along(knots, float(status.velocity[0]), plan.interval_s)
    points = [
        make(
            "pair_drive_ros/msg/TrajectoryPoint",
            time_from_start=to_duration(make, index * plan.interval_s),
            pose=to_pose(make, world[index].tolist()),
            longitudinal_velocity_mps=float(speed[index]),
            acceleration_mps2=float(acceleration[index]),
            heading_rate_rps=float(heading_rate[index]),
        )
        for index in range(world.shape[0])
    ]
    return make(
        "pair_drive_ros/msg/PlannedTrajectory",
        header=to_header(make, status.time_us, frame_id),
        points=points,
        source=SOURCE_NUMBERS[plan.source],
        score=float(plan.score),
        confidence=float(plan.confidence),
        compute_time=to_duration(make, result.compute_s),
        age=to_duration(make, age_s),
        planner=planner,
        reason=f"{result.intervention.value}: {result.reason}" if result.intervention.value else result.reason,
    )


def _motion_along(knots: torch.Tensor, speed_now: float, interval_s: float) -> tuple[torch.Tensor, ...]:
    """Speed, acceleration and heading rate at each knot; the first speed is the ego's own, so followers do not jump."""
    step = knots[1:, :2] - knots[:-1, :2]
    turn = wrap_angle(knots[1:, 2] - knots[:-1, 2])
    middle = knots[:-1, 2] + 0.5 * turn
    between = (step[:, 0] * middle.cos() + step[:, 1] * middle.sin()) / interval_s
    speed = torch.cat((knots.new_tensor([speed_now]), 0.5 * (between[1:] + between[:-1]), between[-1:]))
    acceleration = speed.diff() / interval_s
    rate = turn / interval_s
    return speed, torch.cat((acceleration, acceleration[-1:])), torch.cat((rate, rate[-1:]))


def to_path(make: MakeMessage, message: Any) -> Any:  # noqa: ANN401
    """nav_msgs/Path of a planned trajectory; each pose's stamp is the time at which the ego shall be there."""
    start_us = stamp_us(message.header.stamp)
    poses = [
        make(
            "geometry_msgs/msg/PoseStamped",
            header=to_header(make, start_us + stamp_us(point.time_from_start), message.header.frame_id),
            pose=point.pose,
        )
        for point in message.points
    ]
    return make("nav_msgs/msg/Path", header=message.header, poses=poses)


def timed_plan(message: Any) -> TimedPlan:  # noqa: ANN401
    """A planned trajectory as arrays, in the message's frame.

    Raises:
        MessageError: for fewer than two points, times that do not increase, or numbers that are not finite.
    """
    poses = [(p.pose.position.x, p.pose.position.y, yaw_of(p.pose.orientation)) for p in message.points]
    time_s = np.array([stamp_us(point.time_from_start) * 1e-6 for point in message.points])
    try:
        return TimedPlan(stamp_us(message.header.stamp), time_s, np.array(poses).reshape(-1, 3)).validate()
    except SceneError as error:
        raise MessageError(f"planned trajectory: {error}") from None
