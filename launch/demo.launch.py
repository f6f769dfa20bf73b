"""What `make demo` drives: town simulator, planner and recorder; ends with the simulated time.

Afterwards: `pair-drive bag-eval BAG` scores the recording.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "pair_drive_ros"
ARGUMENTS = {
    "duration_s": ("60.0", "Simulated time after which the demo ends, s."),
    "layout_seed": ("20003", "Which town; 20000 and above were never trained on."),
    "seed": ("1", "Seed of traffic and people."),
    "driver": ("plan", "Who drives the ego: plan or human."),
    "bag": ("pair_drive_demo", "Folder of the recording; must not exist yet. Empty records nothing."),
    "checkpoint": ("", "File with the trained networks; empty: the one that comes with the package."),
    "device": ("", "torch device of the networks, such as cpu or cuda:0; empty: as in the parameter file."),
    "planner": ("", "parallel or constant_velocity; empty: as in the parameter file."),
}


def start_demo(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The nodes, and the end of everything when the town ends."""

    def given(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    bag = given("bag")
    town = Node(
        package=PACKAGE,
        executable="town_simulator_node",
        name="pair_drive_town",
        parameters=[
            {
                "duration_s": float(given("duration_s")),
                "layout_seed": int(given("layout_seed")),
                "seed": int(given("seed")),
                "driver": given("driver"),
                "listeners": 2 if bag else 1,
                "planner_wait_s": 60.0,
            }
        ],
        output="screen",
    )
    planner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([FindPackageShare(PACKAGE), "launch", "planner.launch.py"])),
        launch_arguments={
            "use_sim_time": "true",
            "image_transport": "compressed",
            "sensor_reliability": "reliable",
            "params_file": given("params_file"),
            **{name: given(name) for name in ("checkpoint", "device", "planner")},
        }.items(),
    )
    end = RegisterEventHandler(
        OnProcessExit(target_action=town, on_exit=[EmitEvent(event=Shutdown(reason="the town's time is over"))])
    )
    dead = RegisterEventHandler(
        OnProcessExit(
            target_action=lambda action: action is not town,
            on_exit=[EmitEvent(event=Shutdown(reason="a node ended before the town's time was over"))],
        )
    )
    entities = [end, dead, planner, town]
    if bag:
        recorder = Node(
            package=PACKAGE,
            executable="bag_recorder_node",
            name="pair_drive_recorder",
            parameters=[{"output": bag}],
            output="screen",
        )
        entities.insert(0, recorder)
    return entities


def generate_launch_description() -> LaunchDescription:
    """Arguments and nodes."""
    config = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "demo.yaml"])
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    arguments.append(
        DeclareLaunchArgument("params_file", default_value=config, description="Parameter file of the planner.")
    )
    profile = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "fastdds_large_messages.xml"])
    # Room in shared memory for images and point clouds; the names of Fast DDS 2 and 3.
    environment = [SetEnvironmentVariable(f"{name}_DEFAULT_PROFILES_FILE", profile) for name in ("FASTRTPS", "FASTDDS")]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=start_demo)])
