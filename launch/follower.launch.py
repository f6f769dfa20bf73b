"""Start the trajectory follower: `ros2 launch pair_drive_ros follower.launch.py --show-args` lists what can be set."""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

PACKAGE = "pair_drive_ros"
TOPICS = {
    "odometry": ("odometry", "nav_msgs/Odometry of the rear axle"),
    "trajectory": ("planning/trajectory", "pair_drive_ros/PlannedTrajectory to follow"),
    "command": ("control/command", "pair_drive_ros/VehicleCommand"),
    "twist": ("control/twist", "geometry_msgs/TwistStamped"),
    "ackermann": ("control/ackermann", "ackermann_msgs/AckermannDriveStamped, where installed"),
    "ackermann_drive": ("control/ackermann_drive", "ackermann_msgs/AckermannDrive, where installed"),
    "carla": ("control/carla", "carla_msgs/CarlaEgoVehicleControl, where installed"),
}


def start_follower(context: LaunchContext) -> list[LifecycleNode]:
    """The node, with the topics that were given other names."""

    def given(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    names = {topic: given(f"{argument}_topic") for argument, (topic, _) in TOPICS.items()}
    switches = {name: given(name).lower() == "true" for name in ("use_sim_time", "autostart")}
    return [
        LifecycleNode(
            package=PACKAGE,
            executable="trajectory_follower_node",
            name="pair_drive_follower",
            namespace=given("namespace"),
            parameters=[given("params_file"), switches],
            remappings=[(topic, name) for topic, name in names.items() if topic != name],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments and the node."""
    default_file = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "follower.yaml"])
    arguments = [
        DeclareLaunchArgument("params_file", default_value=default_file, description="Parameter file of the follower."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics."),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock."),
        DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate it at once."),
    ]
    arguments += [
        DeclareLaunchArgument(f"{name}_topic", default_value=topic, description=f"Topic: {text}.")
        for name, (topic, text) in TOPICS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start_follower)])
