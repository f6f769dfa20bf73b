"""The ego's motion from odometry that speaks of another frame fixed to the vehicle."""

import math
from types import SimpleNamespace as Box

import numpy as np
import pytest

from pair_drive_core.driving.ego_odometry import EgoOdometry


def odometry(x, y, yaw, velocity, rate):
    pose = Box(position=Box(x=x, y=y, z=0.0), orientation=Box(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2)))
    twist = Box(linear=Box(x=velocity[0], y=velocity[1], z=0.0), angular=Box(x=0.0, y=0.0, z=rate))
    header = Box(stamp=Box(sec=1, nanosec=0), frame_id="odom")
    return Box(header=header, child_frame_id="imu", pose=Box(pose=pose), twist=Box(twist=twist))


def turned(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


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
