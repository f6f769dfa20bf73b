"""Start the planner inside Autoware: its localisation in, its trajectory out; `--show-args` lists what can be set.

Beside the planner run the route command node (Autoware's path in, driving commands out) and the adapter that publishes
autoware_planning_msgs/Trajectory and the candidates; both need Autoware's message packages.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "pair_drive_ros"
_PREFIX = "/planning/pair_drive"
_CAMERA = "/sensing/camera/{}/image_rect_color"
ARGUMENTS = {
    "use_sim_time": ("false", "Take the time from /clock."),
    "checkpoint": ("", "File with the trained networks; empty: as in the parameter file."),
    "device": ("", "torch device of the networks, such as cpu or cuda:0; empty: as in the parameter file."),
    "odometry_topic": ("/localization/kinematic_state", "nav_msgs/Odometry of base_link in map."),
    "acceleration_topic": ("/localization/acceleration", "geometry_msgs/AccelWithCovarianceStamped."),
    "lidar_topic": ("/sensing/lidar/concatenated/pointcloud", "sensor_msgs/PointCloud2."),
    "front_left_image_topic": (_CAMERA.format("camera1"), "Image of the left-front camera."),
    "front_image_topic": (_CAMERA.format("camera0"), "Image of the front camera."),
    "front_right_image_topic": (_CAMERA.format("camera2"), "Image of the right-front camera."),
    "front_left_info_topic": ("/sensing/camera/camera1/camera_info", "CameraInfo of the left-front camera."),
    "front_info_topic": ("/sensing/camera/camera0/camera_info", "CameraInfo of the front camera."),
    "front_right_info_topic": ("/sensing/camera/camera2/camera_info", "CameraInfo of the right-front camera."),
    "route_topic": (
        "/planning/scenario_planning/lane_driving/behavior_planning/path",
        "autoware_planning_msgs/Path that the driving command is derived from.",
    ),
    "autoware_trajectory_topic": ("/planning/trajectory", "autoware_planning_msgs/Trajectory that is published."),
    "autoware_candidates_topic": (
        f"{_PREFIX}/candidate_trajectories",
        "autoware_internal_planning_msgs/CandidateTrajectories that is published, where installed.",
    ),
}
SENSORS = (
    *(name for name in ARGUMENTS if name.endswith(("image_topic", "info_topic"))),
    "odometry_topic",
    "acceleration_topic",
    "lidar_topic",
)


def start_all(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Planner, route command and adapter, with Autoware's names."""

    def given(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    clock = {"use_sim_time": given("use_sim_time").lower() == "true"}
    command, plan, candidates = (f"{_PREFIX}/{name}" for name in ("driving_command", "trajectory", "candidates"))
    planner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([FindPackageShare(PACKAGE), "launch", "planner.launch.py"])),
        launch_arguments={
            "params_file": given("params_file"),
            "driving_command_topic": command,
            "trajectory_topic": plan,
            "candidates_topic": candidates,
            "path_topic": f"{_PREFIX}/path",
            "markers_topic": f"{_PREFIX}/markers",
            **{name: given(name) for name in ("use_sim_time", "checkpoint", "device", *SENSORS)},
        }.items(),
    )
    route = Node(
        package=PACKAGE,
        executable="route_command_node",
        name="pair_drive_route_command",
        parameters=[clock],
        remappings=[
            ("odometry", given("odometry_topic")),
            ("route/autoware", given("route_topic")),
            ("driving_command", command),
        ],
        output="screen",
    )
    adapter = Node(
        package=PACKAGE,
        executable="autoware_adapter_node",
        name="pair_drive_autoware_adapter",
        parameters=[clock],
        remappings=[
            ("planning/trajectory", plan),
            ("planning/candidates", candidates),
            ("autoware/trajectory", given("autoware_trajectory_topic")),
            ("autoware/candidate_trajectories", given("autoware_candidates_topic")),
        ],
        output="screen",
    )
    return [planner, route, adapter]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "autoware.yaml"])
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    arguments.append(
        DeclareLaunchArgument("params_file", default_value=config, description="Parameter file of the planner.")
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=start_all)])
