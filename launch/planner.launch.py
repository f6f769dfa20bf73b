"""Start the planner: `ros2 launch pair_drive_ros planner.launch.py --show-args` lists what can be set.

Without launch, the same node starts with
`ros2 run pair_drive_ros planner_node --ros-args --params-file FILE -p autostart:=true -r odometry:=/your/odometry`.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

PACKAGE = "pair_drive_ros"
INPUTS = {
    "front_left_image": ("camera/front_left/image_raw", "left-front camera; compressed: <topic>/compressed"),
    "front_image": ("camera/front/image_raw", "front camera; compressed: <topic>/compressed"),
    "front_right_image": (
        "camera/front_right/image_raw",
        "right-front camera; compressed: <topic>/compressed",
    ),
    "front_left_info": ("camera/front_left/camera_info", "sensor_msgs/CameraInfo of the left-front camera"),
    "front_info": ("camera/front/camera_info", "sensor_msgs/CameraInfo of the front camera"),
    "front_right_info": ("camera/front_right/camera_info", "sensor_msgs/CameraInfo of the right-front camera"),
    "lidar": ("lidar/points", "sensor_msgs/PointCloud2 with x, y, z as float32"),
    "odometry": ("odometry", "nav_msgs/Odometry of the rear axle in a continuous frame"),
    "acceleration": ("acceleration", "geometry_msgs/AccelWithCovarianceStamped; optional"),
    "driving_command": ("driving_command", "pair_drive_ros/DrivingCommand"),
}
OUTPUTS = {
    "trajectory": ("planning/trajectory", "pair_drive_ros/PlannedTrajectory"),
    "path": ("planning/path", "nav_msgs/Path of the same plan"),
    "candidates": ("planning/candidates", "pair_drive_ros/CandidateTrajectories"),
    "markers": ("planning/markers", "visualization_msgs/MarkerArray of the tree"),
}
OVERRIDES = {
    "checkpoint": "File with the trained networks; empty: as in the parameter file.",
    "device": "torch device of the networks, such as cpu or cuda:0; empty: as in the parameter file.",
    "planner": "parallel or constant_velocity; empty: as in the parameter file.",
    "image_transport": "raw, compressed or both; empty: as in the parameter file.",
    "sensor_reliability": "best_effort or reliable; empty: as in the parameter file.",
}


def remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """Topic names that differ from the planner's own, as given by the `..._topic` arguments."""
    found = []
    for argument, (topic, _) in {**INPUTS, **OUTPUTS}.items():
        given = LaunchConfiguration(f"{argument}_topic").perform(context)
        if given != topic:
            found.append((topic, given))
            if argument.endswith("_image"):
                found.append((f"{topic}/compressed", f"{given}/compressed"))
    return found


def start_planner(context: LaunchContext) -> list[LifecycleNode]:
    """The node, with only those overrides that were given, so that the parameter file keeps its say."""

    def given(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    overrides: dict[str, object] = {name: given(name) for name in OVERRIDES if given(name)}
    overrides["use_sim_time"] = given("use_sim_time").lower() == "true"
    overrides["autostart"] = given("autostart").lower() == "true"
    return [
        LifecycleNode(
            package=PACKAGE,
            executable="planner_node",
            name="pair_drive_planner",
            namespace=given("namespace"),
            parameters=[given("params_file"), overrides],
            remappings=remappings(context),
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and the node."""
    default_file = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "planner.yaml"])
    arguments = [
        DeclareLaunchArgument("params_file", default_value=default_file, description="Parameter file of the planner."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics."),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false", "True", "False"],
            description="Take the time from /clock, as simulators and replayed bags need it.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false", "True", "False"],
            description="Configure and activate the lifecycle node at once; false leaves that to a lifecycle manager.",
        ),
    ]
    arguments += [DeclareLaunchArgument(name, default_value="", description=text) for name, text in OVERRIDES.items()]
    arguments += [
        DeclareLaunchArgument(f"{name}_topic", default_value=topic, description=f"{way} topic: {text}.")
        for way, topics in (("Input", INPUTS), ("Output", OUTPUTS))
        for name, (topic, text) in topics.items()
    ]
    profile = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "fastdds_large_messages.xml"])
    # Without room in shared memory no large picture arrives at all; the names of Fast DDS 2 and 3.
    environment = [SetEnvironmentVariable(f"{name}_DEFAULT_PROFILES_FILE", profile) for name in ("FASTRTPS", "FASTDDS")]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=start_planner)])
