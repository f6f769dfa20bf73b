"""pair_drive_ros/CandidateTrajectories and their picture as visualization_msgs/MarkerArray."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_point, to_pose, to_quaternion, to_vector
from pair_drive_core.driving.messages.stamps import to_duration, to_header
from pair_drive_core.driving.messages.trajectories import SOURCE_NUMBERS
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import CandidateTrajectories, PlanSource
from pair_drive_core.scene import EgoStatus

_LIFETIME_S = 0.5
_LEAF_WIDTH_M = 0.08
_PLAN_WIDTH_M = 0.35
_COLORS = {
    SOURCE_NUMBERS[PlanSource.IMITATION]: (0.16, 0.47, 0.84),
    SOURCE_NUMBERS[PlanSource.REINFORCEMENT]: (0.10, 0.65, 0.35),
    SOURCE_NUMBERS[PlanSource.FALLBACK]: (0.85, 0.25, 0.15),
}
"""Colour of the chosen plan by source."""
_LINE_STRIP, _ADD, _DELETE_ALL = 4, 0, 3
"""Constants of visualization_msgs/Marker."""


def to_candidates(
    make: MakeMessage, leaves: CandidateTrajectories, status: EgoStatus, frame_id: str, interval_s: float
) -> Any:  # noqa: ANN401
    """All leaves of a plan as a message in the continuous frame.

    Args:
        make: maker of messages.
        leaves: the leaves.
        status: the ego at t0.
        frame_id: frame of `status.pose`.
        interval_s: time between poses.
    """
    world = compose_se2(torch.as_tensor(status.pose, dtype=torch.float64), leaves.poses.to(torch.float64))
    candidates = [
        make(
            "pair_drive_ros/msg/CandidateTrajectory",
            poses=[to_pose(make, pose) for pose in world[index].tolist()],
            intentions=leaves.intentions[index].numpy().astype(np.uint8),
            log_prob=float(leaves.log_prob[index]),
            reward=float(leaves.reward[index]),
            confidence=float(leaves.confidence[index]),
            sub_scores=leaves.sub_scores[index].numpy().astype(np.float32),
        )
        for index in range(world.shape[0])
    ]
    return make(
        "pair_drive_ros/msg/CandidateTrajectories",
        header=to_header(make, status.time_us, frame_id),
        interval=to_duration(make, interval_s),
        candidates=candidates,
        sub_score_names=list(leaves.sub_score_names),
        imitation_index=int(leaves.imitation_index),
    )


def to_markers(make: MakeMessage, plan: Any, candidates: Any | None) -> Any:  # noqa: ANN401
    """The tree (red: low predicted score, green: high) with the chosen plan on top.

    Args:
        make: maker of messages.
        plan: the chosen plan, pair_drive_ros/PlannedTrajectory.
        candidates: the leaves it was chosen from, pair_drive_ros/CandidateTrajectories; None for planners without.
    """
    markers = [line_marker(make, plan.header, action=_DELETE_ALL)]
    for index, leaf in enumerate(candidates.candidates if candidates is not None else ()):
        color = (1.0 - leaf.reward, leaf.reward, 0.1, 0.6)
        points = [pose.position for pose in leaf.poses]
        markers.append(line_marker(make, plan.header, "tree", index, points, color, _LEAF_WIDTH_M))
    points = [point.pose.position for point in plan.points]
    markers.append(line_marker(make, plan.header, "plan", 0, points, (*_COLORS[plan.source], 1.0), _PLAN_WIDTH_M))
    return make("visualization_msgs/msg/MarkerArray", markers=markers)


def line_marker(
    make: MakeMessage,
    header: Any,  # noqa: ANN401
    namespace: str = "",
    number: int = 0,
    points: list[Any] | None = None,
    color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    width_m: float = 0.0,
    action: int = _ADD,
    lifetime_s: float = _LIFETIME_S,
) -> Any:  # noqa: ANN401
    """A line strip that disappears by itself after `lifetime_s`, when plans stop coming say; 0 stays."""
    red, green, blue, alpha = color
    stamp = make("builtin_interfaces/msg/Time", sec=0, nanosec=0)
    still = make("geometry_msgs/msg/Pose", position=to_point(make, 0.0, 0.0), orientation=to_quaternion(make, 0.0))
    no_texture = make(
        "sensor_msgs/msg/CompressedImage",
        header=make("std_msgs/msg/Header", stamp=stamp, frame_id=""),
        format="",
        data=np.zeros(0, dtype=np.uint8),
    )
    return make(
        "visualization_msgs/msg/Marker",
        header=header,
        ns=namespace,
        id=number,
        type=_LINE_STRIP,
        action=action,
        pose=still,
        scale=to_vector(make, width_m),
        color=make("std_msgs/msg/ColorRGBA", r=float(red), g=float(green), b=float(blue), a=float(alpha)),
        lifetime=to_duration(make, lifetime_s),
        frame_locked=False,
        points=points or [],
        colors=[],
        texture_resource="",
        texture=no_texture,
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=make("visualization_msgs/msg/MeshFile", filename="", data=np.zeros(0, dtype=np.uint8)),
        mesh_use_embedded_materials=False,
    )
