import math
from types import SimpleNamespace as Box

import numpy as np
import pytest

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.messages import MessageError, camera_calibration, driving_command, motion_sample, yaw_of
from pair_drive_core.driving.messages.camera_info import fit_calibration
from pair_drive_core.driving.sensor_feed import SensorFeed, SensorMounts, mounted_points, moved_points
from pair_drive_core.driving.synchronizer import SynchronizerConfig
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.scene import DrivingCommand, EgoStatus
from pair_drive_core.town import navsim_calibration

WIDTH, HEIGHT = 32, 18


def header(time_s, frame="odom"):
    return Box(stamp=Box(sec=int(time_s), nanosec=round((time_s % 1) * 1e9)), frame_id=frame)


def quaternion(yaw):
    return Box(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))


def odometry(time_s, x=0.0, yaw=0.0, speed=5.0):
    pose = Box(position=Box(x=x, y=0.0, z=0.0), orientation=quaternion(yaw))
    twist = Box(linear=Box(x=speed, y=0.0, z=0.0), angular=Box(x=0.0, y=0.0, z=0.0))
    return Box(header=header(time_s), child_frame_id="base_link", pose=Box(pose=pose), twist=Box(twist=twist))


def acceleration(time_s):
    return Box(header=header(time_s), accel=Box(accel=Box(linear=Box(x=0.5, y=0.0, z=0.0))))


def image(time_s, encoding="rgb8", width=WIDTH, height=HEIGHT):
    data = bytes(width * height * 3)
    size = {"width": width, "height": height, "step": width * 3, "is_bigendian": 0}
    return Box(header=header(time_s), encoding=encoding, data=data, **size)


def info(width=WIDTH, height=HEIGHT, model="plumb_bob", k=(20.0, 0, 16.0, 0, 20.0, 9.0, 0, 0, 1)):
    whole = Box(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    p = [0.0 if i % 4 == 3 else k[i // 4 * 3 + i % 4] for i in range(12)]
    return Box(
        header=header(0),
        width=width,
        height=height,
        distortion_model=model,
        k=k,
        d=[0.0] * 5,
        r=np.eye(3).reshape(-1),
        p=p,
        binning_x=0,
        binning_y=0,
        roi=whole,
    )


def cloud(time_s, points=((10.0, 0.0, 1.0),)):
    data = np.array(points, dtype="<f4")
    fields = [Box(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    return Box(
        header=header(time_s),
        height=1,
        width=len(data),
        fields=fields,
        is_bigendian=False,
        point_step=12,
        row_step=12 * len(data),
        data=data.tobytes(),
    )


def command(time_s, number=1):
    return Box(header=header(time_s), command=number)


@pytest.fixture
def feed():
    return SensorFeed(SynchronizerConfig(), SensorMounts())


def fill(feed, time_s, images=image, with_info=True, x=None, sweep=cloud):
    for namespace in CAMERA_TOPICS.values():
        if with_info:
            feed.receive(f"{namespace}/camera_info", info())
        feed.receive(f"{namespace}/image_raw", images(time_s))
    feed.receive("odometry", odometry(time_s, 5.0 * (time_s - 1.0) if x is None else x))
    feed.receive("acceleration", acceleration(time_s))
    feed.receive("driving_command", command(time_s))
    feed.receive("lidar/points", sweep(time_s))


def test_one_moment_of_messages_becomes_one_agent_input(feed):
    fill(feed, 1.0)
    (readings,) = feed.take()
    agent_input = feed.decode(readings).validate()
    assert set(agent_input.cameras) == {"CAM_L0", "CAM_F0", "CAM_R0"}
    assert agent_input.now.command is DrivingCommand.STRAIGHT
    assert agent_input.now.velocity.tolist() == [5.0, 0.0]
    assert agent_input.lidar.points[0, :3].tolist() == [10.0, 0.0, 1.0]
    assert feed.odometry_frame == "odom"


def test_earlier_sweeps_are_seen_from_where_the_ego_is_now(feed):
    """At 5 m/s, what was 10 m ahead is 7.5 m ahead half a second later and 5 m ahead a second later."""
    for tick in range(11):
        fill(feed, 1.0 + 0.1 * tick, x=0.5 * tick)
    taken = feed.take()
    assert taken[0].earlier_lidar == ()
    agent_input = feed.decode(taken[-1]).validate()
    ages = [(agent_input.now.time_us - sweep.time_us) / 1e6 for sweep in agent_input.earlier_lidar]
    assert ages == pytest.approx([1.0, 0.5])
    ahead = [float(sweep.points[0, 0]) for sweep in agent_input.earlier_lidar]
    assert ahead == pytest.approx([5.0, 7.5], abs=1e-4)


def test_an_earlier_sweep_that_cannot_be_read_is_left_out_and_counted(feed):
    def broken(time_s):
        return Box(**{**vars(cloud(time_s)), "data": b""})

    for tick in range(11):
        fill(feed, 1.0 + 0.1 * tick, sweep=cloud if tick else broken)
    readings = feed.take()[-1]
    _, kept = readings.earlier_lidar
    agent_input = feed.decode(readings)
    assert [sweep.time_us for sweep in agent_input.earlier_lidar] == [kept[0].time_us]
    assert sum(feed.report.unusable.values()) == 1


def test_nothing_is_planned_before_all_cameras_are_calibrated(feed):
    fill(feed, 1.0, with_info=False)
    assert feed.take() == []
    assert feed.cameras_without_calibration == ("CAM_L0", "CAM_F0", "CAM_R0")
    fill(feed, 1.1)
    assert [readings.time_us for readings in feed.take()] == [1_000_000, 1_100_000], "kept until then"


def test_a_wrong_encoding_gives_no_input_and_a_reason_until_it_is_right_again(feed):
    fill(feed, 1.0, images=lambda t: image(t, encoding="32FC1"))
    (readings,) = feed.take()
    assert feed.decode(readings) is None
    assert "got '32FC1'" in feed.report.last_error["camera/front_left/image_raw"]
    fill(feed, 1.1)
    (readings,) = feed.take()
    assert feed.decode(readings) is not None
    assert feed.report.last_error == {}
    assert feed.report.unusable == {"camera/front_left/image_raw": 1}


def test_a_picture_of_another_resolution_takes_a_scaled_calibration(feed):
    fill(feed, 1.0, images=lambda t: image(t, width=2 * WIDTH, height=2 * HEIGHT))
    (readings,) = feed.take()
    calibration = feed.decode(readings).cameras["CAM_F0"].calibration
    assert (calibration.width_px, calibration.intrinsics[0, 0]) == (2 * WIDTH, 40.0)


def test_a_picture_of_another_shape_is_refused_with_both_sizes(feed):
    fill(feed, 1.0, images=lambda t: image(t, width=WIDTH, height=WIDTH))
    (readings,) = feed.take()
    assert feed.decode(readings) is None
    assert "(32 x 18), got 32 x 32" in feed.report.last_error["camera/front_left/image_raw"]


def test_bad_numbers_are_refused_where_they_come_in(feed):
    feed.receive("odometry", odometry(1.0, x=math.nan))
    feed.receive("driving_command", command(1.0, 9))
    assert "finite" in feed.report.last_error["odometry"]
    assert "0 left, 1 straight, 2 right, 3 unknown, got 9" in feed.report.last_error["driving_command"]


def test_the_default_mounts_are_those_of_the_town(feed):
    for name, namespace in CAMERA_TOPICS.items():
        calibration = camera_calibration(info(), name, SensorMounts().of_camera(name))
        town = navsim_calibration(name)
        np.testing.assert_allclose(calibration.ego_r_camera, town.ego_r_camera, atol=1e-9, err_msg=namespace)
        np.testing.assert_allclose(calibration.ego_t_camera, town.ego_t_camera, atol=1e-9)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            Box(**{**vars(info(model="ptlens")), "d": [0.1] * 5}),
            "expected a distortion model of 'plumb_bob', .*'fisheye' or none, got 'ptlens'",
        ),
        (info(k=[0.0] * 9), "positive focal lengths"),
        (info(k=[200.0, 0, 16.0, 0, 200.0, 9.0, 0, 0, 1]), "angle of view"),
        (info(width=4 * WIDTH, height=4 * HEIGHT), "of another size of picture"),
        (info(width=0), "expected a size, got 0 x 18"),
    ],
)
def test_camera_infos_that_cannot_be_used_are_refused(broken, words):
    with pytest.raises(MessageError, match=words):
        camera_calibration(broken, "CAM_F0", SensorMounts().front)


def test_a_calibration_fits_only_pictures_of_its_shape():
    calibration = camera_calibration(info(), "CAM_F0", SensorMounts().front)
    assert fit_calibration(calibration, WIDTH, HEIGHT) is calibration
    with pytest.raises(MessageError, match="aspect ratio"):
        fit_calibration(calibration, 100, 100)


def test_orientations_that_are_no_rotations_are_refused():
    with pytest.raises(MessageError, match="unit quaternion"):
        yaw_of(Box(x=0.0, y=0.0, z=0.0, w=0.0))
    assert motion_sample(odometry(2.0, yaw=-2.5)).pose[2] == pytest.approx(-2.5)


def test_driving_commands_have_navsims_order():
    assert [driving_command(Box(command=i)).name for i in range(4)] == ["LEFT", "STRAIGHT", "RIGHT", "UNKNOWN"]


def test_points_are_moved_with_the_ego_between_sweep_and_t0():
    # 0.1 s before t0 the ego was 1 m behind and turned 90 degrees to the left: what it saw ahead is left of it now.
    points = np.array([[5.0, 0.0, 1.0, 0.5]], dtype=np.float32)
    then = MotionSample(0, np.array([9.0, 0.0, math.pi / 2]), np.zeros(2))
    now = EgoStatus(100_000, np.array([10.0, 0.0, 0.0]), np.zeros(2), np.zeros(2), DrivingCommand.STRAIGHT)
    np.testing.assert_allclose(moved_points(points, then, now), [[-1.0, 5.0, 1.0, 0.5]], atol=1e-5)


def test_a_lidar_on_the_roof_that_looks_back_gives_points_in_the_ego_frame():
    points = np.array([[5.0, 1.0, 0.0, 0.5]], dtype=np.float32)
    moved = mounted_points(points, (1.0, 0.0, 2.0, 0.0, 0.0, math.pi))
    np.testing.assert_allclose(moved, [[-4.0, -1.0, 2.0, 0.5]], atol=1e-5)


def test_mounts_must_be_six_finite_numbers():
    with pytest.raises(ValueError, match=r"mount of lidar: expected 6 finite numbers .* got \[0.0, 1.0\]"):
        SensorFeed(SynchronizerConfig(), SensorMounts(lidar=(0.0, 1.0)))


def test_a_cloud_without_a_finite_point_is_told(feed):
    fill(feed, 1.0)
    feed.take()
    feed.receive("lidar/points", cloud(1.1, [(math.nan,) * 3] * 4))
    for namespace in CAMERA_TOPICS.values():
        feed.receive(f"{namespace}/image_raw", image(1.1))
    feed.receive("odometry", odometry(1.1, x=0.5))
    feed.receive("acceleration", acceleration(1.1))
    (readings,) = feed.take()
    assert feed.decode(readings) is None
    assert "none that is finite among 4" in feed.report.last_error["lidar/points"]


@pytest.mark.parametrize(
    ("moves_mps", "says_mps", "agrees"), [(5.0, 5.0, True), (0.0, 5.0, False), (5.0, 0.0, False), (0.0, 0.0, True)]
)
def test_odometry_whose_pose_and_velocity_contradict_each_other_is_refused(feed, moves_mps, says_mps, agrees):
    for step in range(20):
        time_s = 1.0 + 0.05 * step
        feed.receive("odometry", odometry(time_s, x=moves_mps * time_s, speed=says_mps))
    assert ("odometry" not in feed.report.last_error) is agrees
    if not agrees:
        assert "expected pose and velocity to agree" in feed.report.last_error["odometry"]
        assert feed.synchronizer.newest_us("odometry") < 1_700_000


@pytest.mark.parametrize("field", ["frame_id", "child_frame_id"])
def test_odometry_in_other_frames_than_before_is_refused(feed, field):
    feed.receive("odometry", odometry(1.0))
    other = odometry(1.1, x=0.5)
    setattr(other.header if field == "frame_id" else other, field, "elsewhere")
    feed.receive("odometry", other)
    assert "elsewhere" in feed.report.last_error["odometry"]


def test_a_pose_that_jumps_makes_everything_before_forgotten_and_is_counted(feed):
    fill(feed, 1.0)
    feed.receive("odometry", odometry(1.05, x=3.25))
    assert feed.odometry_check.jumps == 1
    assert feed.take() == []
    for step in range(10):
        feed.receive("odometry", odometry(1.1 + 0.05 * step, x=3.5 + 0.25 * step))
    assert feed.report.last_error == {} and feed.odometry_check.jumps == 1


@pytest.mark.parametrize("speed", [1e300, 200.0, -200.0])
def test_speeds_that_no_vehicle_has_are_refused(feed, speed):
    feed.receive("odometry", odometry(1.0, speed=speed))
    assert "road vehicle" in feed.report.last_error["odometry"]


@pytest.mark.parametrize(
    ("topic", "value", "accepted"),
    [
        ("odometry", 149.0, True),
        ("odometry", 151.0, False),
        ("acceleration", 99.0, True),
        ("acceleration", -101.0, False),
    ],
)
def test_what_a_vehicle_can_do_has_bounds(feed, topic, value, accepted):
    message = odometry(1.0, speed=value) if topic == "odometry" else acceleration(1.0)
    if topic == "acceleration":
        message.accel.accel.linear.y = value
    feed.receive(topic, message)
    assert (topic not in feed.report.last_error) is accepted
