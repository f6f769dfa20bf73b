"""Start planner and follower beside CARLA's ROS bridge; `--show-args` lists what can be set.

The bridge must run in synchronous mode with `use_sim_time`, its vehicle with the sensors named below. The odometry
is moved from the vehicle's middle to its rear axle, commands come from the waypoints, and the follower's control
goes back to the bridge: `control:=vehicle` as CarlaEgoVehicleControl, `control:=ackermann` to the bridge's controller.
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
ARGUMENTS = {
    "role_name": ("ego_vehicle", "Role name of the vehicle in CARLA."),
    "front_left_camera": ("front_left", "Id of the left-front camera."),
    "front_camera": ("front", "Id of the front camera."),
    "front_right_camera": ("front_right", "Id of the right-front camera."),
    "lidar": ("lidar", "Id of the LiDAR."),
    "rear_axle_offset_m": ("1.4", "From the rear axle forward to the vehicle's origin, m."),
    "control": ("vehicle", "What drives the vehicle: vehicle (pedals and steer) or ackermann."),
    "checkpoint": ("", "File with the trained networks; empty: as in the parameter file."),
    "device": ("", "torch device of the networks, such as cpu or cuda:0; empty: as in the parameter file."),
    "planner": ("", "parallel or constant_velocity; empty: as in the parameter file."),
}
CAMERAS = ("front_left", "front", "front_right")
_ODOMETRY = "rear_axle/odometry"


def start_all(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Rear axle, route command, planner and follower, with the bridge's names."""

    def given(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    role = given("role_name")
    vehicle, share = f"/carla/{role}", FindPackageShare(PACKAGE)
    clock = {"use_sim_time": True}
    rear_axle = Node(
        package=PACKAGE,
        executable="rear_axle_node",
        name="pair_drive_rear_axle",
        parameters=[clock, {"offset_m": float(given("rear_axle_offset_m")), "vehicle_frame": role}],
        remappings=[("odometry", f"{vehicle}/odometry")],
        output="screen",
    )
    route = Node(
        package=PACKAGE,
        executable="route_command_node",
        name="pair_drive_route_command",
        parameters=[clock],
        remappings=[("odometry", _ODOMETRY), ("route", f"{vehicle}/waypoints")],
        output="screen",
    )
    sensors = {"lidar_topic": f"{vehicle}/{given('lidar')}", "odometry_topic": _ODOMETRY}
    for camera in CAMERAS:
        sensor = f"{vehicle}/{given(f'{camera}_camera')}"
        sensors |= {f"{camera}_image_topic": f"{sensor}/image", f"{camera}_info_topic": f"{sensor}/camera_info"}
    planner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "planner.launch.py"])),
        launch_arguments={
            "use_sim_time": "true",
            "params_file": given("params_file"),
            **{name: given(name) for name in ("checkpoint", "device", "planner")},
            **sensors,
        }.items(),
    )
    controls = {
        "vehicle": {"carla_topic": f"{vehicle}/vehicle_control_cmd"},
        "ackermann": {"ackermann_drive_topic": f"{vehicle}/ackermann_cmd"},
    }
    if given("control") not in controls:
        raise ValueError(f"control: expected one of {', '.join(controls)}, got {given('control')!r}")
    follower = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([share, "launch", "follower.launch.py"])),
        launch_arguments={
            "use_sim_time": "true",
            "params_file": given("follower_params_file"),
            "odometry_topic": _ODOMETRY,
            **controls[given("control")],
        }.items(),
    )
    return [rear_axle, route, planner, follower]


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    for name, file, text in (
        ("params_file", "carla.yaml", "Parameter file of the planner."),
        ("follower_params_file", "carla_follower.yaml", "Parameter file of the follower."),
    ):
        path = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", file])
        arguments.append(DeclareLaunchArgument(name, default_value=path, description=text))
    return LaunchDescription([*arguments, OpaqueFunction(function=start_all)])
