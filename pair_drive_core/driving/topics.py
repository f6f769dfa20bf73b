"""Topics of the planner: names (relative, to be remapped), message types, and what they carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CAMERA_TOPICS = {"CAM_L0": "camera/front_left", "CAM_F0": "camera/front", "CAM_R0": "camera/front_right"}
"""Namespace of each camera's topics, by NAVSIM name."""


class InputKind(Enum):
    """What an input topic carries."""

    IMAGE = "sensor_msgs/msg/Image"
    COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
    CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
    LIDAR = "sensor_msgs/msg/PointCloud2"
    ODOMETRY = "nav_msgs/msg/Odometry"
    ACCELERATION = "geometry_msgs/msg/AccelWithCovarianceStamped"
    COMMAND = "pair_drive_ros/msg/DrivingCommand"
    TRANSFORMS = "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True)
class InputTopic:
    """One topic that the planner reads.

    Attributes:
        name: relative name; absolute for transforms.
        kind: what it carries; the value is the message type.
        camera: NAVSIM name of the camera it belongs to; empty for the others.
    """

    name: str
    kind: InputKind
    camera: str = ""


def _pictures(camera: str, namespace: str) -> tuple[InputTopic, ...]:
    return (
        InputTopic(f"{namespace}/image_raw", InputKind.IMAGE, camera),
        InputTopic(f"{namespace}/image_raw/compressed", InputKind.COMPRESSED_IMAGE, camera),
    )


INPUT_TOPICS: dict[str, InputTopic] = {
    topic.name: topic
    for topic in (
        InputTopic("/tf_static", InputKind.TRANSFORMS),
        InputTopic("/tf", InputKind.TRANSFORMS),
        InputTopic("driving_command", InputKind.COMMAND),
        InputTopic("acceleration", InputKind.ACCELERATION),
        InputTopic("odometry", InputKind.ODOMETRY),
        *(InputTopic(f"{name}/camera_info", InputKind.CAMERA_INFO, camera) for camera, name in CAMERA_TOPICS.items()),
        *(topic for camera, namespace in CAMERA_TOPICS.items() for topic in _pictures(camera, namespace)),
        InputTopic("lidar/points", InputKind.LIDAR),
    )
}
"""All input topics by name, relative but for the transforms (which only `extrinsics` = tf needs).

In the order in which a node subscribes, and so takes messages that wait at the same time: what belongs to a moment
comes before the pictures and the sweep that complete its set.
"""


def stream_of(topic: InputTopic) -> str:
    """Name of the stream that a topic belongs to, as the synchroniser and the diagnostics call it."""
    if topic.kind in (InputKind.IMAGE, InputKind.COMPRESSED_IMAGE):
        return topic.camera
    names = {InputKind.LIDAR: "lidar", InputKind.COMMAND: "command"}
    return names.get(topic.kind, topic.name)


def absolute(name: str) -> str:
    """The name of a topic without a namespace."""
    return name if name.startswith("/") else f"/{name}"


ROUTE_TOPIC = "route"
"""nav_msgs/Path, the line that the route command node follows."""
AUTOWARE_ROUTE_TOPIC = "route/autoware"
"""autoware_planning_msgs/Path, read where that package is installed."""
PLAN_TOPIC = "planning/trajectory"
"""pair_drive_ros/PlannedTrajectory."""
PATH_TOPIC = "planning/path"
"""nav_msgs/Path, for viewers and followers that know nothing of this package."""
CANDIDATES_TOPIC = "planning/candidates"
"""pair_drive_ros/CandidateTrajectories."""
MARKERS_TOPIC = "planning/markers"
"""visualization_msgs/MarkerArray."""
COMMAND_TOPIC = "control/command"
"""pair_drive_ros/VehicleCommand of the trajectory follower."""
TWIST_TOPIC = "control/twist"
"""geometry_msgs/TwistStamped, the same for receivers that know nothing of this package."""
ACKERMANN_TOPIC = "control/ackermann"
"""ackermann_msgs/AckermannDriveStamped, published where that package is installed."""
ACKERMANN_DRIVE_TOPIC = "control/ackermann_drive"
"""ackermann_msgs/AckermannDrive, likewise; what CARLA's bridge takes."""
CARLA_CONTROL_TOPIC = "control/carla"
"""carla_msgs/CarlaEgoVehicleControl, published where that package is installed."""
AUTOWARE_TRAJECTORY_TOPIC = "autoware/trajectory"
"""autoware_planning_msgs/Trajectory of the Autoware adapter."""
AUTOWARE_CANDIDATES_TOPIC = "autoware/candidate_trajectories"
"""autoware_internal_planning_msgs/CandidateTrajectories, likewise."""
DISAGREEMENT_TOPIC = "shadow/disagreement"
"""pair_drive_ros/PlanDisagreement of the shadow node."""
TRUTH_TOPIC = "ground_truth/scene"
"""pair_drive_ros/SceneTruth, from a simulator only."""
MAP_TOPIC = "ground_truth/map"
"""visualization_msgs/MarkerArray of the lanes' edges, from a simulator only, for viewers."""
SCORE_TOPIC = "ground_truth/score"
"""pair_drive_ros/PdmScore of a plan, from a simulator only."""
DIAGNOSTICS_TOPIC = "/diagnostics"
"""diagnostic_msgs/DiagnosticArray."""
