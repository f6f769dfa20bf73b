"""The launch files against a stand-in for `launch`, which is no package of the base install.

The stand-in records what a launch file declares and starts. That the real `launch` accepts the files is checked where a
ROS installation is (docs/ros.md).
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from pair_drive_core.driving import topics
from pair_drive_ros.nodes import (
    autoware_adapter_node,
    bag_recorder_node,
    rear_axle_node,
    route_command_node,
    shadow_node,
    town_simulator_node,
    trajectory_follower_node,
)
from pair_drive_ros.planner_parameters import PLANNER_PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = {
    "planner_node": {parameter.name for parameter in PLANNER_PARAMETERS},
    "town_simulator_node": {parameter.name for parameter in town_simulator_node.PARAMETERS},
    "bag_recorder_node": {parameter.name for parameter in bag_recorder_node.PARAMETERS},
    "trajectory_follower_node": {parameter.name for parameter in trajectory_follower_node.FOLLOWER_PARAMETERS},
    "route_command_node": {parameter.name for parameter in route_command_node.PARAMETERS},
    "rear_axle_node": {parameter.name for parameter in rear_axle_node.PARAMETERS},
    "autoware_adapter_node": {parameter.name for parameter in autoware_adapter_node.PARAMETERS},
}


class Recorded:
    """Any action, event or substitution: keeps its arguments."""

    def __init__(self, *arguments, **keywords):
        self.arguments, self.keywords = arguments, keywords

    def perform(self, context):
        return context[self.arguments[0]]


NAMES = {
    "launch": ["LaunchContext", "LaunchDescription"],
    "launch.actions": [
        "DeclareLaunchArgument",
        "EmitEvent",
        "IncludeLaunchDescription",
        "OpaqueFunction",
        "RegisterEventHandler",
        "SetEnvironmentVariable",
    ],
    "launch.event_handlers": ["OnProcessExit"],
    "launch.events": ["Shutdown"],
    "launch.launch_description_entity": ["LaunchDescriptionEntity"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
    "launch_ros": [],
    "launch_ros.actions": ["LifecycleNode", "Node"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


@pytest.fixture
def load(monkeypatch):
    """Loads a launch file; gives its arguments by name and what it starts for given values."""
    for module, names in NAMES.items():
        stand_in = ModuleType(module)
        for name in names:
            setattr(stand_in, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)

    def load_file(name):
        spec = importlib.util.spec_from_file_location(name.replace(".", "_"), ROOT / "launch" / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        *entities, start = module.generate_launch_description().arguments[0]
        declared = [entity for entity in entities if type(entity).__name__ == "DeclareLaunchArgument"]
        arguments = {argument.arguments[0]: argument.keywords for argument in declared}

        def started(**given):
            values = {
                key: entry["default_value"] if isinstance(entry["default_value"], str) else "FILE"
                for key, entry in arguments.items()
            }
            return start.keywords["function"]({**values, **given})

        return arguments, started

    return load_file


@pytest.mark.parametrize("name", ["planner.launch.py", "demo.launch.py"])
def test_every_argument_has_a_default_and_a_description(load, name):
    arguments, _ = load(name)
    assert {"checkpoint", "device", "params_file"} <= set(arguments)
    for entry in arguments.values():
        assert "default_value" in entry and len(entry["description"]) > 10


def test_the_planner_starts_with_the_parameter_file_and_only_given_overrides(load):
    _, started = load("planner.launch.py")
    (node,) = started()
    assert node.keywords["executable"] == "planner_node"
    assert node.keywords["parameters"] == ["FILE", {"use_sim_time": False, "autostart": True}]
    assert node.keywords["remappings"] == []
    (node,) = started(device="cuda:0", checkpoint="/c", use_sim_time="true", autostart="false")
    overrides = {"use_sim_time": True, "autostart": False, "device": "cuda:0", "checkpoint": "/c"}
    assert node.keywords["parameters"][1] == overrides
    assert set(overrides) - {"use_sim_time"} <= PARAMETERS["planner_node"]


def test_every_topic_can_be_remapped(load):
    arguments, started = load("planner.launch.py")
    offered = {entry["default_value"] for name, entry in arguments.items() if name.endswith("_topic")}
    inputs = {name for name in topics.INPUT_TOPICS if not name.endswith("/compressed") and not name.startswith("/tf")}
    outputs = {topics.PLAN_TOPIC, topics.PATH_TOPIC, topics.CANDIDATES_TOPIC, topics.MARKERS_TOPIC}
    assert offered == inputs | outputs
    (node,) = started(odometry_topic="/localization/kinematic_state", front_image_topic="/cam")
    assert set(node.keywords["remappings"]) == {
        ("odometry", "/localization/kinematic_state"),
        ("camera/front/image_raw", "/cam"),
        ("camera/front/image_raw/compressed", "/cam/compressed"),
    }


@pytest.mark.parametrize(("bag", "count"), [("somewhere", 3), ("", 2)])
def test_the_demo_starts_town_planner_and_recorder_with_parameters_they_have(load, bag, count):
    _, started = load("demo.launch.py")
    entities = started(bag=bag)
    nodes = [entity for entity in entities if type(entity).__name__ == "Node"]
    assert len(nodes) + 1 == count
    for node in nodes:
        executable = node.keywords["executable"]
        assert (ROOT / "pair_drive_ros" / "nodes" / "bin" / executable).is_file()
        for group in node.keywords["parameters"]:
            assert set(group) <= PARAMETERS[executable]
    (include,) = [entity for entity in entities if type(entity).__name__ == "IncludeLaunchDescription"]
    planner_arguments, _ = load("planner.launch.py")
    assert set(dict(include.keywords["launch_arguments"])) <= set(planner_arguments)


def test_the_follower_starts_with_its_file_and_its_topics_can_be_renamed(load):
    arguments, started = load("follower.launch.py")
    assert all(len(entry["description"]) > 10 for entry in arguments.values())
    (node,) = started(carla_topic="/carla/ego/vehicle_control_cmd", use_sim_time="True")
    assert node.keywords["executable"] == "trajectory_follower_node"
    assert node.keywords["parameters"] == ["FILE", {"use_sim_time": True, "autostart": True}]
    assert node.keywords["remappings"] == [("control/carla", "/carla/ego/vehicle_control_cmd")]
    offered = {entry["default_value"] for name, entry in arguments.items() if name.endswith("_topic")}
    assert offered == {"odometry", topics.PLAN_TOPIC, *(v for v in vars(topics).values() if str(v)[:8] == "control/")}


def nodes_of(entities):
    """By executable: the node's own keywords; and the arguments of what is included, by launch file."""
    nodes = {e.keywords["executable"]: e.keywords for e in entities if type(e).__name__ == "Node"}
    included = {}
    for entity in entities:
        if type(entity).__name__ == "IncludeLaunchDescription":
            path = entity.arguments[0].arguments[0].arguments[0]
            included[path[-1]] = dict(entity.keywords["launch_arguments"])
    return nodes, included


@pytest.mark.parametrize("name", ["autoware.launch.py", "carla.launch.py"])
def test_inside_other_systems_every_node_has_its_parameters_and_known_arguments(load, name):
    arguments, started = load(name)
    assert all("default_value" in entry and len(entry["description"]) > 10 for entry in arguments.values())
    nodes, included = nodes_of(started())
    for executable, keywords in nodes.items():
        assert (ROOT / "pair_drive_ros" / "nodes" / "bin" / executable).is_file()
        for group in keywords["parameters"]:
            assert set(group) - {"use_sim_time"} <= PARAMETERS[executable]
    for file, given in included.items():
        assert set(given) <= set(load(file)[0])


def test_autowares_names_are_joined_end_to_end(load):
    _, started = load("autoware.launch.py")
    nodes, included = nodes_of(started(use_sim_time="true"))
    planner = included["planner.launch.py"]
    route = dict(nodes["route_command_node"]["remappings"])
    adapter = dict(nodes["autoware_adapter_node"]["remappings"])
    assert planner["odometry_topic"] == "/localization/kinematic_state" == route["odometry"]
    assert route["driving_command"] == planner["driving_command_topic"]
    assert adapter["planning/trajectory"] == planner["trajectory_topic"]
    assert adapter["planning/candidates"] == planner["candidates_topic"]
    assert adapter["autoware/trajectory"] == "/planning/trajectory"
    assert nodes["route_command_node"]["parameters"] == [{"use_sim_time": True}]


def test_carlas_names_are_joined_end_to_end_and_one_control_is_given_back(load):
    _, started = load("carla.launch.py")
    nodes, included = nodes_of(started(role_name="hero", front_camera="rgb"))
    planner, follower = included["planner.launch.py"], included["follower.launch.py"]
    assert dict(nodes["rear_axle_node"]["remappings"])["odometry"] == "/carla/hero/odometry"
    assert nodes["rear_axle_node"]["parameters"][1] == {"offset_m": 1.4, "vehicle_frame": "hero"}
    assert planner["odometry_topic"] == follower["odometry_topic"] == "rear_axle/odometry"
    assert planner["front_image_topic"] == "/carla/hero/rgb/image"
    assert planner["front_left_info_topic"] == "/carla/hero/front_left/camera_info"
    assert planner["use_sim_time"] == "true" == follower["use_sim_time"]
    assert follower["carla_topic"] == "/carla/hero/vehicle_control_cmd" and "ackermann_drive_topic" not in follower
    other = nodes_of(started(control="ackermann"))[1]["follower.launch.py"]
    assert other["ackermann_drive_topic"] == "/carla/ego_vehicle/ackermann_cmd" and "carla_topic" not in other
    with pytest.raises(ValueError, match="vehicle, ackermann"):
        started(control="wheel")


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("planner.yaml", "planner_node"),
        ("demo.yaml", "planner_node"),
        ("autoware.yaml", "planner_node"),
        ("carla.yaml", "planner_node"),
        ("follower.yaml", "trajectory_follower_node"),
        ("carla_follower.yaml", "trajectory_follower_node"),
    ],
)
def test_parameter_files_name_only_parameters_of_their_node(name, node):
    document = yaml.safe_load((ROOT / "config" / name).read_text())
    groups = document["/**"]["ros__parameters"]
    dotted = {
        f"{group}.{leaf}" if leaf else group
        for group, value in groups.items()
        for leaf in (value if isinstance(value, dict) else [""])
    }
    assert dotted <= PARAMETERS[node]


def test_the_followers_file_holds_the_defaults():
    groups = yaml.safe_load((ROOT / "config" / "follower.yaml").read_text())["/**"]["ros__parameters"]
    for parameter in trajectory_follower_node.FOLLOWER_PARAMETERS:
        group, _, leaf = parameter.name.partition(".")
        if parameter.name != "autostart":
            assert (groups[group][leaf] if leaf else groups[group]) == pytest.approx(parameter.default)


def test_the_cores_list_of_node_only_parameters_is_the_nodes():
    from pair_drive_core.driving.planner_settings import NODE_ONLY
    from pair_drive_ros.planner_parameters import NODE_PARAMETERS

    assert {parameter.name for parameter in NODE_PARAMETERS} | {"use_sim_time"} == NODE_ONLY


def test_every_parameter_has_a_description_and_every_number_has_bounds():
    for module in (
        PLANNER_PARAMETERS,
        town_simulator_node.PARAMETERS,
        bag_recorder_node.PARAMETERS,
        route_command_node.PARAMETERS,
        rear_axle_node.PARAMETERS,
        autoware_adapter_node.PARAMETERS,
        shadow_node.PARAMETERS,
        trajectory_follower_node.FOLLOWER_PARAMETERS,
    ):
        for parameter in module:
            assert parameter.description.endswith((".", "]"))
            if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool):
                assert parameter.low is not None and parameter.low <= parameter.default <= parameter.high
