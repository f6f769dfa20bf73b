"""The ego's motion from odometry that speaks of another frame fixed to the vehicle."""

import math
from types import SimpleNamespace as Box

import numpy as np
import pytest

from pair_drive_core.driving.ego_odometry import EgoOdometry
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.odometry import linear_acceleration


def odometry(x, y, yaw, velocity, rate):
    pose = Box(position=Box(x=x, y=y, z=0.0), orientation=Box(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2)))
    twist = Box(linear=Box(x=velocity[0], y=velocity[1], z=0.0), angular=Box(x=0.0, y=0.0, z=rate))
    header = Box(stamp=Box(sec=1, nanosec=0), frame_id="odom")
    return Box(header=header, child_frame_id="imu", pose=Box(pose=pose), twist=Box(twist=twist))


def turned(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.parametrize(
    ("x", "speed", "words"),
    [
        (1.1e8, 5.0, "a position on earth, at most 1e\\+08 m"),
        (0.0, 151.0, "a velocity of a road vehicle, at most 150 m/s"),
        (0.0, -151.0, "a velocity of a road vehicle"),
    ],
)
def test_what_no_vehicle_can_do_is_refused(x, speed, words):
    with pytest.raises(MessageError, match=words):
        EgoOdometry().motion(odometry(x, 0.0, 0.0, (speed, 0.0), 0.0), None)
    EgoOdometry().motion(odometry(0.9e8, 0.0, 0.0, (149.0, 0.0), 0.0), None)


def test_what_no_vehicle_can_accelerate_is_refused():
    def message(x):
        return Box(accel=Box(accel=Box(linear=Box(x=x, y=0.0, z=0.0))))

    assert linear_acceleration(message(-99.0)).tolist() == [-99.0, 0.0]
    with pytest.raises(MessageError, match="acceleration: one of a road vehicle, at most 100 m/s"):
        linear_acceleration(message(101.0))


@pytest.mark.parametrize("turn", [0.0, 0.5, math.pi / 2, -2.5])
def test_a_turned_and_shifted_sensor_gives_the_motion_of_the_ego(turn):
    """The ego at (10, 5) heads 0.3 rad at 6 m/s and turns at 0.2 rad/s; the sensor sits at (1.5, 0.4) on it."""
    ego, heading, velocity, rate, place = np.array([10.0, 5.0]), 0.3, np.array([6.0, 0.0]), 0.2, np.array([1.5, 0.4])
    sensor = ego + turned(heading) @ place
    at_sensor = velocity + rate * np.array([-place[1], place[0]])
    message = odometry(*sensor, heading + turn, turned(-turn) @ at_sensor, rate)
    ego_from_child = np.eye(4)
    ego_from_child[:2, :2], ego_from_child[:2, 3] = turned(turn), place
    motion = EgoOdometry().motion(message, ego_from_child)
    np.testing.assert_allclose(motion.pose, [10.0, 5.0, 0.3], atol=1e-9)
    np.testing.assert_allclose(motion.velocity, [6.0, 0.0], atol=1e-9)
