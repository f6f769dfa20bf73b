"""A command in each of the messages that vehicles and simulators take."""

import math

import pytest
from rosbags.typesys import get_types_from_msg

from pair_drive_core.driving.follower import VehicleCommand
from pair_drive_core.driving.messages import MessageError, bag_messages
from pair_drive_core.driving.messages.ackermann import to_ackermann_stamped
from pair_drive_core.driving.messages.carla import CarlaPedals, to_carla_control
from pair_drive_core.driving.messages.vehicle_commands import actuator_command, to_twist, to_vehicle_command

CARLA = "std_msgs/Header header\nfloat32 throttle\nfloat32 steer\nfloat32 brake\nbool hand_brake\nbool reverse\n"
ACKERMANN = "\n".join(
    f"float32 {name}" for name in ("steering_angle", "steering_angle_velocity", "speed", "acceleration", "jerk")
)


@pytest.fixture
def make(bag_types):
    """Makes messages, those of other packages from the published lists of their fields."""
    for text, kind in (
        (CARLA + "int32 gear\nbool manual_gear_shift", "carla_msgs/msg/CarlaEgoVehicleControl"),
        (ACKERMANN, "ackermann_msgs/msg/AckermannDrive"),
        ("std_msgs/Header header\nackermann_msgs/AckermannDrive drive", "ackermann_msgs/msg/AckermannDriveStamped"),
    ):
        if kind not in bag_types.fielddefs:
            bag_types.register(get_types_from_msg(text, kind))
    return bag_messages(bag_types)


def command(steering=0.1, acceleration=1.0, speed=5.0, reason=""):
    return VehicleCommand(3_000_000, steering, 0.2, speed, acceleration, 2_900_000, 0.1, 0.01, 0.2, reason)


def test_the_own_message_comes_back_as_what_the_actuators_do(make):
    message = to_vehicle_command(make, command(), "base_link")
    time_us, plan_us, actuators = actuator_command(message)
    assert (time_us, plan_us) == (3_000_000, 2_900_000)
    assert (actuators.steering_rad, actuators.acceleration_mps2) == (0.1, 1.0)
    with pytest.raises(MessageError, match="finite"):
        actuator_command(to_vehicle_command(make, command(steering=math.nan), "base_link"))


def test_a_wheel_to_the_left_is_a_positive_yaw_rate_and_angle_but_a_negative_carla_steer(make):
    assert to_twist(make, command(), "base_link", 3.0).twist.angular.z == pytest.approx(5.0 * math.tan(0.1) / 3.0)
    assert to_ackermann_stamped(make, command(), "base_link").drive.steering_angle == pytest.approx(0.1)
    carla = to_carla_control(make, command(steering=0.1), 5.0, CarlaPedals(full_steering_rad=0.5), "base_link")
    assert carla.steer == pytest.approx(-0.2)
    carla = to_carla_control(make, command(steering=-9.0), 5.0, CarlaPedals(), "base_link")
    assert carla.steer == 1.0


@pytest.mark.parametrize(
    ("acceleration", "speed", "throttle", "brake"),
    [(2.0, 5.0, 0.46, 0.0), (-0.1, 5.0, 0.04, 0.0), (-4.0, 5.0, 0.0, 0.4625), (-1.0, 0.0, 0.0, 0.3), (20.0, 5.0, 1, 0)],
)
def test_one_pedal_at_a_time_and_a_brake_that_holds(make, acceleration, speed, throttle, brake):
    message = to_carla_control(make, command(acceleration=acceleration), speed, CarlaPedals(), "base_link")
    assert (message.throttle, message.brake) == (pytest.approx(throttle), pytest.approx(brake))
    assert not message.reverse and not message.hand_brake


def test_a_braking_vehicle_is_told_to_come_to_a_stop_and_how_hard(make):
    drive = to_ackermann_stamped(make, command(acceleration=-3.0, speed=0.0, reason="no plan yet"), "base_link").drive
    assert (drive.speed, drive.acceleration) == (0.0, 3.0)
    stop = to_ackermann_stamped(make, command(acceleration=-3.0, speed=4.0, reason="no plan yet"), "base_link").drive
    assert stop.speed == 0.0, "whatever the speed now"
    drive = to_ackermann_stamped(make, command(acceleration=1.5, speed=5.0), "base_link").drive
    assert (drive.speed, drive.acceleration, drive.jerk) == (5.0, 1.5, 0.0)
    assert drive.steering_angle_velocity == pytest.approx(0.2)
