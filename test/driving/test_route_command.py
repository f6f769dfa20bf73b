"""The driving command of a route: by hand on lines, and against what the town says of its own routes."""

from types import SimpleNamespace

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.route_command import RouteCommander
from pair_drive_core.driving.route_feed import RouteFeed
from pair_drive_core.scene import DrivingCommand, SceneError
from pair_drive_core.town import SceneCutter, Town, TownSimulator

LEFT, STRAIGHT, RIGHT, UNKNOWN = DrivingCommand


def arc(radius_m, degrees):
    """A quarter or so of a circle that begins at the origin along x; bends left for positive degrees."""
    angle = np.radians(np.linspace(0, abs(degrees), 30))
    line = np.column_stack((radius_m * np.sin(angle), radius_m * (1 - np.cos(angle))))
    return line * (1.0, np.sign(degrees))


def turn_after(straight_m, degrees):
    """Straight on, then a bend of 10 m radius, then 60 m straight."""
    bend = arc(10.0, degrees) + np.array([straight_m, 0.0])
    direction = np.radians(degrees)
    exit_line = bend[-1] + 60.0 * np.array([[np.cos(direction), np.sin(direction)]])
    return np.concatenate(([[-20.0, 0.0], [0.0, 0.0]], bend, exit_line))


def command(route, x=0.0, y=0.0, heading=0.0, speed=5.0):
    commander = RouteCommander()
    commander.set_route(np.asarray(route, dtype=float))
    return commander.command(np.array([x, y, heading]), speed)


def test_a_straight_route_is_straight():
    assert command([[-10, 0], [200, 0]]) is STRAIGHT


@pytest.mark.parametrize(("degrees", "wanted"), [(90, LEFT), (-90, RIGHT), (20, STRAIGHT), (-20, STRAIGHT)])
def test_a_bend_within_reach_is_a_turn_to_its_side_if_it_turns_enough(degrees, wanted):
    assert command(turn_after(20.0, degrees)) is wanted


def test_a_turn_beyond_reach_is_not_told_yet_and_reach_grows_with_speed():
    route = turn_after(45.0, 90)
    assert command(route, speed=5.0) is STRAIGHT
    assert command(route, speed=12.0) is LEFT


def test_the_turn_is_told_until_it_is_driven():
    route = turn_after(20.0, 90)
    assert command(route, x=27.07, y=2.93, heading=np.pi / 4) is LEFT
    assert command(route, x=30.0, y=25.0, heading=np.pi / 2) is STRAIGHT


def test_the_first_of_two_turns_is_told():
    route = np.concatenate((turn_after(10.0, 90)[:-1], [[20.0, 12.0]], [[45.0, 12.0]]))
    assert command(route) is LEFT


def test_a_curve_too_gentle_for_a_turn_is_told_when_it_leads_far_to_the_side():
    assert command(arc(60.0, 30), x=0.5, y=0.0) is LEFT
    assert command(arc(400.0, 20)) is STRAIGHT


def test_far_from_the_route_and_at_its_end_there_is_no_command():
    assert command([[0, 0], [100, 0]], y=20.0) is UNKNOWN
    assert command([[0, 0], [100, 0]], x=99.5) is UNKNOWN
    assert RouteCommander().command(np.zeros(3), 5.0) is UNKNOWN


def test_a_route_that_crosses_itself_is_followed_in_order():
    loop = np.array([[-60, 0], [60, 0], [60, 60], [0, 60], [0, -60]], dtype=float)
    commander = RouteCommander()
    commander.set_route(loop)
    for x in np.arange(-60.0, 20.0, 5.0):
        first = commander.command(np.array([x, 0.0, 0.0]), 5.0)
    assert first is STRAIGHT, "the crossing line to the right is not the route yet"


def test_lines_that_are_no_route_are_refused():
    for line in (np.zeros((3, 2)), np.zeros((3, 3)), np.full((3, 2), np.nan)):
        with pytest.raises(SceneError, match="route"):
            RouteCommander().set_route(line)


def test_the_towns_own_command_is_found_from_its_routes_line():
    simulator = TownSimulator(Town.build(20001), 1)
    simulator.run(20.0)
    cutter = SceneCutter(simulator)
    asked = agreed = opposite = 0
    for vehicle in range(12):
        for step in range(20, 200, 10):
            now = simulator.moments[step]
            lanes = [span.lane for span in now.spans[vehicle] if span.start_m < now.along_m[vehicle] + 200.0]
            line = np.concatenate([cutter.map.network.lanes[lane].centerline[:, :2] for lane in lanes])
            commander = RouteCommander()
            commander.set_route(line)
            got, wanted = commander.command(now.pose[vehicle], now.speed_mps[vehicle]), cutter.command_at(step, vehicle)
            asked, agreed = asked + 1, agreed + (got is wanted)
            opposite += {got, wanted} == {LEFT, RIGHT}
    assert agreed / asked > 0.9, f"{agreed} of {asked}"
    assert opposite / asked < 0.01


def path(points, frame="map"):
    poses = [SimpleNamespace(pose=SimpleNamespace(position=SimpleNamespace(x=x, y=y))) for x, y in points]
    return SimpleNamespace(header=SimpleNamespace(frame_id=frame), poses=poses)


def odometry(x, y, z=0.0, w=1.0, frame="odom"):
    pose = SimpleNamespace(position=SimpleNamespace(x=x, y=y), orientation=SimpleNamespace(x=0.0, y=0.0, z=z, w=w))
    linear = SimpleNamespace(x=5.0, y=0.0)
    stamp = SimpleNamespace(sec=7, nanosec=500_000_000)
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame, stamp=stamp),
        pose=SimpleNamespace(pose=pose),
        twist=SimpleNamespace(twist=SimpleNamespace(linear=linear)),
    )


def transform(parent, child, x, z, w):
    translation, rotation = SimpleNamespace(x=x, y=0.0, z=0.0), SimpleNamespace(x=0.0, y=0.0, z=z, w=w)
    inner = SimpleNamespace(translation=translation, rotation=rotation)
    entry = SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child, transform=inner)
    return SimpleNamespace(transforms=[entry])


def test_a_route_in_map_and_odometry_in_odom_meet_through_the_transform():
    feed = RouteFeed()
    assert feed.command(odometry(0.0, 0.0)) == (7_500_000, UNKNOWN) and "no route" in feed.problem
    feed.receive_route(path(turn_after(20.0, 90)))
    assert feed.command(odometry(0.0, 0.0))[1] is UNKNOWN and "'odom'" in feed.problem
    # odom is turned by 180 degrees and lies 5 m ahead on the route.
    feed.receive_transforms(transform("map", "odom", 5.0, 1.0, 0.0))
    assert feed.command(odometry(5.0, 0.0, z=1.0, w=0.0)) == (7_500_000, LEFT) and feed.problem == ""
    assert feed.command(odometry(5.0, 40.0, z=1.0, w=0.0))[1] is UNKNOWN and "m away" in feed.problem


def test_an_empty_route_takes_it_back_and_a_broken_one_changes_nothing():
    feed = RouteFeed()
    feed.receive_route(path([(0.0, 0.0), (100.0, 0.0)], "odom"))
    assert feed.command(odometry(1.0, 0.0))[1] is STRAIGHT
    with pytest.raises(MessageError, match="finite"):
        feed.receive_route(path([(0.0, float("nan"))], "odom"))
    assert feed.command(odometry(1.0, 0.0))[1] is STRAIGHT
    feed.receive_route(path([], "odom"))
    assert feed.command(odometry(1.0, 0.0))[1] is UNKNOWN
