"""Faults of sensors by their names: what comes of messages, and which texts are refused."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, bag_messages, cloud_points, driving_command, image_rgb
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.odometry import motion_sample, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import stamp_us
from pair_drive_core.driving.sensor_faults import FaultySensor, SensorFault, parse_fault, spoil
from pair_drive_core.scene import CameraImage, DrivingCommand, EgoStatus, LidarSweep


def make_time(kind, **fields):
    return SimpleNamespace(**fields)


def sensor(text):
    faulty = FaultySensor(make_time, seed=0)
    faulty.set_fault(parse_fault(text))
    return faulty


def message(time_us, content=0):
    stamp = SimpleNamespace(sec=time_us // 10**6, nanosec=time_us % 10**6 * 1000)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), content=content)


def test_texts_name_faults():
    assert parse_fault("") == SensorFault()
    assert parse_fault("drop") == SensorFault(drop=1.0)
    text = " drop:0.25, delay:0.2,freeze,corrupt , stamp:-1.5"
    assert parse_fault(text) == SensorFault(0.25, 0.2, True, True, -1.5)


@pytest.mark.parametrize(
    "text", ["lose", "drop:2", "drop:-1", "delay", "delay:-0.1", "delay:soon", "freeze:1", "drop,drop", "stamp"]
)
def test_texts_that_name_none_are_refused(text):
    with pytest.raises(ValueError, match="fault"):
        parse_fault(text)


def test_a_share_is_dropped():
    faulty = sensor("drop:0.3")
    passed = sum(len(faulty.send(message(step))) for step in range(1000))
    assert 640 < passed < 760
    assert sensor("drop").send(message(0)) == []


def test_late_messages_come_in_their_time_with_their_own_stamps():
    faulty = sensor("delay:0.25")
    assert faulty.send(message(1_000_000)) == [] == faulty.due(1_200_000)
    (late,) = faulty.due(1_250_000)
    assert stamp_us(late.header.stamp) == 1_000_000 and faulty.due(9_000_000) == []
    faulty.send(message(2_000_000))
    faulty.set_fault(SensorFault())
    assert len(faulty.send(message(2_100_000))) == 1
    assert len(faulty.due(2_300_000)) == 1, "what was on its way still comes"


def test_a_frozen_sensor_repeats_its_content_under_new_stamps():
    faulty = sensor("freeze")
    sent = [faulty.send(message(time_us, time_us))[0] for time_us in (1_000_000, 1_100_000, 1_200_000)]
    assert [m.content for m in sent] == [1_000_000] * 3
    assert [stamp_us(m.header.stamp) for m in sent] == [1_000_000, 1_100_000, 1_200_000]


def test_a_wrong_stamp_leaves_the_senders_message_alone():
    given = message(1_000_000)
    (sent,) = sensor("stamp:-0.2").send(given)
    assert (stamp_us(sent.header.stamp), stamp_us(given.header.stamp)) == (800_000, 1_000_000)


def test_spoilt_messages_of_every_sensor_are_refused_or_empty(bag_types):
    make, rng = bag_messages(bag_types), np.random.default_rng(0)
    status = EgoStatus(0, np.zeros(3), np.zeros(2), np.zeros(2), DrivingCommand.LEFT)
    odometry = to_odometry(make, status, 0.0, "odom", "base_link")
    spoil(odometry, rng)
    with pytest.raises(MessageError, match="finite"):
        motion_sample(odometry)
    picture = CameraImage(None, np.zeros((18, 32, 3), np.uint8), 0)
    raw, compressed = to_image(make, picture, "optical"), to_compressed_image(make, picture, "optical")
    spoil(raw, rng)
    assert image_rgb(raw).std() > 50.0, "noise"
    spoil(compressed, rng)
    assert compressed.data[:2].tolist() != [0xFF, 0xD8]
    cloud = to_point_cloud(make, LidarSweep(np.ones((50, 4), np.float32), 0), "base_link")
    spoil(cloud, rng)
    assert len(cloud_points(cloud)) == 0
    command = SimpleNamespace(command=0)
    spoil(command, rng)
    with pytest.raises(MessageError):
        driving_command(command)
    accel = SimpleNamespace(accel=SimpleNamespace(accel=SimpleNamespace(linear=SimpleNamespace(x=0.0))))
    spoil(accel, rng)
    assert math.isnan(accel.accel.accel.linear.x)
    with pytest.raises(TypeError, match="spoil"):
        spoil(SimpleNamespace(), rng)
