"""CandidateTrajectories and their picture as visualization_msgs/MarkerArray."""

from __future__ import annotations

import torch
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import CandidateTrajectories as Candidates
from pair_drive_core.scene import EgoStatus
from pair_drive_ros.conversions.odometry import to_pose
from pair_drive_ros.conversions.stamps import to_duration, to_header
from pair_drive_ros.msg import CandidateTrajectories, CandidateTrajectory, PlannedTrajectory

_LIFETIME_S = 0.5
_LEAF_WIDTH_M = 0.08
_PLAN_WIDTH_M = 0.35
_COLORS = {
    PlannedTrajectory.IMITATION: (0.16, 0.47, 0.84),
    PlannedTrajectory.REINFORCEMENT: (0.10, 0.65, 0.35),
    PlannedTrajectory.FALLBACK: (0.85, 0.25, 0.15),
}
"""Colour of the chosen plan by source."""


def to_candidates(leaves: Candidates, status: EgoStatus, frame_id: str, interval_s: float) -> CandidateTrajectories:
    """All leaves of a plan as a message in the continuous frame.

    Args:
        leaves: the leaves.
        status: the ego at t0.
        frame_id: frame of `status.pose`.
        interval_s: time between poses.
    """
    world = compose_se2(torch.as_tensor(status.pose, dtype=torch.float64), leaves.poses.to(torch.float64))
    message = CandidateTrajectories(header=to_header(status.time_us, frame_id), interval=to_duration(interval_s))
    message.sub_score_names = list(leaves.sub_score_names)
    message.imitation_index = leaves.imitation_index
    for index in range(world.shape[0]):
        message.candidates.append(
            CandidateTrajectory(
                poses=[to_pose(pose) for pose in world[index].tolist()],
                intentions=leaves.intentions[index].tolist(),
                log_prob=float(leaves.log_prob[index]),
                reward=float(leaves.reward[index]),
                confidence=float(leaves.confidence[index]),
                sub_scores=leaves.sub_scores[index].tolist(),
            )
        )
    return message


def to_markers(plan: PlannedTrajectory, candidates: CandidateTrajectories | None) -> MarkerArray:
    """The tree (red: low predicted score, green: high) with the chosen plan on top.

    Args:
        plan: the chosen plan.
        candidates: the leaves it was chosen from; None for planners without a tree.
    """
    markers = MarkerArray(markers=[Marker(header=plan.header, action=Marker.DELETEALL)])
    for index, leaf in enumerate(candidates.candidates if candidates is not None else ()):
        color = ColorRGBA(r=1.0 - leaf.reward, g=leaf.reward, b=0.1, a=0.6)
        points = [pose.position for pose in leaf.poses]
        markers.markers.append(_line(plan.header, "tree", index, points, color, _LEAF_WIDTH_M))
    red, green, blue = _COLORS[plan.source]
    points = [point.pose.position for point in plan.points]
    color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    markers.markers.append(_line(plan.header, "plan", 0, points, color, _PLAN_WIDTH_M))
    return markers


def _line(header: Header, namespace: str, number: int, points: list[Point], color: ColorRGBA, width_m: float) -> Marker:
    """A line strip that disappears by itself when plans stop coming."""
    marker = Marker(header=header, ns=namespace, id=number, type=Marker.LINE_STRIP, action=Marker.ADD)
    marker.points, marker.color = points, color
    marker.scale.x = width_m
    marker.pose.orientation.w = 1.0
    marker.lifetime = to_duration(_LIFETIME_S)
    return marker
