"""PlannedTrajectory and nav_msgs/Path from plans, and back to poses for those who follow them."""

from __future__ import annotations

import numpy as np
import torch
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages import MessageError, stamp_us, yaw_of
from pair_drive_core.geometry import compose_se2, wrap_angle
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.scene import EgoStatus, SceneError, Trajectory
from pair_drive_core.simulation.plan_follower import TimedPlan
from pair_drive_ros.conversions.odometry import to_pose
from pair_drive_ros.conversions.stamps import to_duration, to_header
from pair_drive_ros.msg import PlannedTrajectory, TrajectoryPoint

_SOURCES = {
    PlanSource.IMITATION: PlannedTrajectory.IMITATION,
    PlanSource.REINFORCEMENT: PlannedTrajectory.REINFORCEMENT,
    PlanSource.FALLBACK: PlannedTrajectory.FALLBACK,
}


def to_planned_trajectory(
    result: GuardedPlan, status: EgoStatus, frame_id: str, age_s: float, planner: str
) -> PlannedTrajectory:
    """A plan as a message in the continuous frame, stamped with t0.

    Args:
        result: the plan.
        status: the ego at t0.
        frame_id: frame of `status.pose`.
        age_s: time from t0 to publication.
        planner: name of the planner.
    """
    plan = result.plan
    knots = Trajectory(plan.poses.to(torch.float64), plan.interval_s).with_start()
    world = compose_se2(torch.as_tensor(status.pose, dtype=torch.float64), knots)
    message = PlannedTrajectory(header=to_header(status.time_us, frame_id), source=_SOURCES[plan.source])
    message.score, message.confidence = float(plan.score), float(plan.confidence)
    message.compute_time, message.age = to_duration(result.compute_s), to_duration(age_s)
    message.planner, message.reason = planner, result.reason
    speed, acceleration, heading_rate = _motion_along(knots, float(status.velocity[0]), plan.interval_s)
    for index in range(world.shape[0]):
        message.points.append(
            TrajectoryPoint(
                time_from_start=to_duration(index * plan.interval_s),
                pose=to_pose(world[index].tolist()),
                longitudinal_velocity_mps=float(speed[index]),
                acceleration_mps2=float(acceleration[index]),
                heading_rate_rps=float(heading_rate[index]),
            )
        )
    return message


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


def to_path(message: PlannedTrajectory) -> Path:
    """The same poses for viewers; each pose's stamp is the time at which the ego shall be there."""
    path = Path(header=message.header)
    start_us = stamp_us(message.header.stamp)
    for point in message.points:
        time_us = start_us + stamp_us(point.time_from_start)
        path.poses.append(PoseStamped(header=to_header(time_us, message.header.frame_id), pose=point.pose))
    return path


def timed_plan(message: PlannedTrajectory) -> TimedPlan:
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
