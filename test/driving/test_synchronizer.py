import math

import numpy as np
import pytest

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.synchronizer import (
    ACCELERATION,
    COMMAND,
    LIDAR,
    ODOMETRY,
    Synchronizer,
    SynchronizerConfig,
)
from pair_drive_core.scene import DrivingCommand

CAMERAS = ("CAM_L0", "CAM_F0", "CAM_R0")


def ms(value):
    return round(value * 1000)


def motion(time_ms, speed=10.0):
    return MotionSample(ms(time_ms), np.array([speed * time_ms / 1000, 0.0, 0.0]), np.array([speed, 0.0]))


def feed(sync, time_ms, cameras=CAMERAS, lidar=True, odometry=True, command=True, acceleration=True):
    """One step of sensors that are all taken at the same time."""
    if acceleration:
        sync.add_acceleration(ms(time_ms), np.zeros(2))
    if command:
        sync.add_command(ms(time_ms), DrivingCommand.STRAIGHT)
    if odometry:
        sync.add_motion(motion(time_ms))
    if lidar:
        sync.add_frame(LIDAR, ms(time_ms), f"lidar {time_ms}")
    for name in cameras:
        sync.add_frame(name, ms(time_ms), f"{name} {time_ms}")
    return sync.take()


@pytest.fixture
def sync():
    return Synchronizer(SynchronizerConfig())


def test_readings_of_one_moment_become_one_set_stamped_with_the_reference_camera(sync):
    (ready,) = feed(sync, 100)
    assert ready.time_us == ms(100)
    assert {name: frame.payload for name, frame in ready.cameras.items()} == {n: f"{n} 100" for n in CAMERAS}
    assert ready.lidar.payload == "lidar 100"
    assert ready.status[-1].time_us == ms(100)


def test_the_order_of_arrival_does_not_matter(sync):
    for name in ("CAM_R0", "CAM_F0", "CAM_L0"):
        sync.add_frame(name, ms(100), name)
        assert sync.take() == []
    sync.add_frame(LIDAR, ms(100), "l")
    sync.add_command(ms(100), DrivingCommand.LEFT)
    assert sync.take() == []
    sync.add_motion(motion(100))
    assert sync.take() == []
    sync.add_acceleration(ms(100), np.zeros(2))
    (ready,) = sync.take()
    assert ready.status[-1].command is DrivingCommand.LEFT


def test_cameras_outside_the_tolerance_do_not_match(sync):
    sync.add_motion(motion(100))
    sync.add_command(ms(100), DrivingCommand.STRAIGHT)
    sync.add_frame(LIDAR, ms(100), "l")
    sync.add_frame("CAM_F0", ms(100), "f")
    sync.add_frame("CAM_L0", ms(70), "l")
    sync.add_frame("CAM_R0", ms(131), "r")
    assert sync.take() == []
    assert sync.report.dropped == {"no CAM_R0": 1}, "a frame after the tolerance makes waiting hopeless at once"
    apart = sync.report.last_apart
    assert (apart.time_us, apart.camera, apart.skew_s) == (ms(100), "CAM_R0", pytest.approx(0.031))


def test_pose_and_velocity_are_interpolated_at_t0_and_the_heading_goes_the_short_way(sync):
    sync.add_motion(MotionSample(ms(90), np.array([0.0, 0.0, math.pi - 0.1]), np.array([4.0, 0.0])))
    feed(sync, 100, odometry=False)
    sync.add_motion(MotionSample(ms(130), np.array([4.0, 2.0, -math.pi + 0.3]), np.array([8.0, 0.0])))
    (ready,) = sync.take()
    np.testing.assert_allclose(ready.status[-1].pose, [1.0, 0.5, -math.pi], atol=1e-9)
    np.testing.assert_allclose(ready.status[-1].velocity, [5.0, 0.0])


def test_a_gap_in_the_odometry_is_not_interpolated_over(sync):
    sync.add_motion(motion(0))
    feed(sync, 100, odometry=False)
    sync.add_motion(motion(260))
    assert sync.take() == []
    sync.add_frame(LIDAR, ms(450), "later")
    assert sync.take() == []
    assert sync.report.dropped == {f"no {ODOMETRY}": 1}


def test_without_a_measured_acceleration_it_is_the_change_of_velocity(sync):
    for time_ms, speed in ((0, 4.0), (100, 4.2), (200, 4.4)):
        sync.add_motion(motion(time_ms, speed))
    assert feed(sync, 200, acceleration=False, odometry=False) == [], "it may still come"
    (ready,) = feed(sync, 300, acceleration=False, cameras=())
    np.testing.assert_allclose(ready.status[-1].acceleration, [2.0, 0.0], atol=1e-9)
    assert sync.report.without_acceleration == 1


def test_the_first_measured_acceleration_may_come_last_of_all(sync):
    assert feed(sync, 100, acceleration=False) == []
    sync.add_acceleration(ms(100), np.array([0.5, 0.1]))
    (ready,) = sync.take()
    np.testing.assert_allclose(ready.status[-1].acceleration, [0.5, 0.1])
    assert sync.report.without_acceleration == 0


def test_once_given_up_an_acceleration_is_not_waited_for_until_one_comes_again(sync):
    sync.add_acceleration(ms(100), np.array([2.0, 0.0]))
    (ready,) = feed(sync, 100, acceleration=False)
    assert ready.status[-1].acceleration[0] == 2.0
    assert feed(sync, 200, acceleration=False) == []
    stopped = feed(sync, 300, acceleration=False)
    assert [ready.time_us for ready in stopped] == [ms(200), ms(300)], "it goes on when accelerations stop"
    assert len(feed(sync, 400, acceleration=False)) == 1
    assert sync.report.without_acceleration == 3
    sync.add_acceleration(ms(450), np.array([1.0, 0.0]))
    assert feed(sync, 500, acceleration=False) == [], "and waits when they come again"


def test_a_late_sweep_is_waited_for_then_the_older_one_is_taken_with_its_skew(sync):
    sync.add_motion(motion(50))
    sync.add_frame(LIDAR, ms(50), "old")
    assert feed(sync, 200, lidar=False) == []
    assert feed(sync, 250, lidar=False, cameras=()) == []
    (ready,) = feed(sync, 300, lidar=False, cameras=())
    assert ready.lidar.payload == "old"
    assert ready.skew_s[LIDAR] == pytest.approx(-0.15)
    assert ready.lidar_motion.pose[0] == pytest.approx(0.5)


def test_a_sweep_a_second_old_is_refused(sync):
    for time_ms in range(0, 1400, 100):
        assert all(ready.time_us <= ms(200) for ready in feed(sync, time_ms, lidar=time_ms == 0))
    assert sync.report.dropped[f"no {LIDAR}"] >= 6


def test_a_command_holds_until_its_age_limit(sync):
    feed(sync, 0)
    assert len(feed(sync, 1500, command=False)) == 1
    assert len(feed(sync, 3400, command=False)) == 1
    assert len(feed(sync, 4900, command=False)) == 1
    assert feed(sync, 5100, command=False) == []
    feed(sync, 5500, command=False)
    assert sync.report.dropped[f"no {COMMAND}"] == 1


def test_a_command_stamped_ahead_does_not_hurry_the_sensors(sync):
    sync.add_command(ms(0), DrivingCommand.LEFT)
    sync.add_command(ms(1500), DrivingCommand.RIGHT)
    for name in CAMERAS:
        sync.add_frame(name, ms(100), name)
    sync.take()
    assert not sync.report.dropped


def test_a_command_of_the_future_is_not_used(sync):
    feed(sync, 0)
    sync.add_command(ms(150), DrivingCommand.RIGHT)
    (ready,) = feed(sync, 100, command=False)
    assert ready.status[-1].command is DrivingCommand.STRAIGHT


@pytest.mark.parametrize("lost", CAMERAS)
def test_a_lost_camera_gives_no_sets_and_is_counted_by_name(sync, lost):
    feed(sync, 0)
    rest = tuple(name for name in CAMERAS if name != lost)
    assert all(feed(sync, t, cameras=rest) == [] for t in range(100, 1000, 100))
    if lost != "CAM_F0":
        assert set(sync.report.dropped) == {f"no {lost}"}
        assert sync.report.dropped[f"no {lost}"] >= 5
    assert sync.report.last_apart is None, "it is lost, not out of step"
    assert len(feed(sync, 1000)) == 1, "it recovers with the next whole set"


def test_frozen_odometry_gives_no_sets(sync):
    feed(sync, 0)
    for time_ms in range(100, 1000, 100):
        sync.add_motion(motion(0))
        assert feed(sync, time_ms, odometry=False) == []
    assert sync.report.refused[ODOMETRY] == 9


def test_time_running_backwards_forgets_everything_and_starts_anew(sync):
    for time_ms in range(10_000, 11_000, 100):
        feed(sync, time_ms)
    assert sync.newest_us("CAM_F0") == ms(10_900)
    (ready,) = feed(sync, 900)
    assert sync.report.time_jumps >= 1
    assert [status.time_us for status in ready.status] == [ms(900)], "no history from before the jump"


def test_what_waits_when_everything_is_forgotten_is_counted(sync):
    sync.add_frame("CAM_F0", ms(100), "f")
    sync.add_frame("CAM_F0", ms(200), "f")
    sync.reset()
    sync.reset()
    assert sync.report.dropped == {"forgotten in a jump": 2}
    for number in range(sync.config.capacity + 3):
        sync.add_frame("CAM_F0", ms(300 + number), "f")
    assert sync.report.dropped["too many waiting"] == 3
    assert sync.report.last_apart is None


def test_a_leap_forward_forgets_everything(sync):
    for time_ms in (0, 100, 200):
        feed(sync, time_ms)
    feed(sync, 60_000)
    (ready,) = feed(sync, 60_100)
    assert sync.report.time_jumps == 1
    assert len(ready.status) == 1


def test_a_repeated_or_late_stamp_is_refused_and_counted(sync):
    feed(sync, 100)
    assert feed(sync, 100) == []
    assert feed(sync, 50) == []
    assert sync.report.refused["CAM_F0"] == 2
    assert sync.report.time_jumps == 0


def test_history_is_handed_on_as_far_as_it_is_known(sync):
    for time_ms in range(0, 1300, 100):
        sets = feed(sync, time_ms)
    assert [status.time_us for status in sets[0].status] == [ms(200), ms(700), ms(1200)]


def test_earlier_sweeps_are_handed_on_with_the_motion_of_their_own_moment(sync):
    assert feed(sync, 0)[0].earlier_lidar == ()
    for time_ms in range(100, 1300, 100):
        (ready,) = feed(sync, time_ms)
    assert [sweep.time_us for sweep, _ in ready.earlier_lidar] == [ms(200), ms(700)]
    assert [then.time_us for _, then in ready.earlier_lidar] == [ms(200), ms(700)]
    assert ready.earlier_lidar[0][1].pose[0] < ready.earlier_lidar[1][1].pose[0] < ready.status[-1].pose[0]
    sync.reset()
    assert feed(sync, 1300)[0].earlier_lidar == ()


def test_sweeps_of_other_ages_are_no_earlier_sweeps(sync):
    for time_ms in (0, 100, 200):
        (ready,) = feed(sync, time_ms)
    assert ready.earlier_lidar == ()


def test_an_older_set_that_completes_after_a_newer_one_is_dropped(sync):
    sync.add_frame("CAM_F0", ms(0), "f")
    sync.add_frame("CAM_F0", ms(100), "f")
    for name in ("CAM_L0", "CAM_R0"):
        sync.add_frame(name, ms(100), name)
    (ready,) = feed(sync, 100, cameras=())
    assert ready.time_us == ms(100)
    assert sum(sync.report.dropped.values()) == 1


def test_contradicting_tolerances_are_refused_together():
    config = SynchronizerConfig(reference_camera="CAM_B0", camera_tolerance_s=0.5, max_wait_s=0.3)
    with pytest.raises(ValueError, match=r"camera_tolerance_s.*reference_camera.*lidar_tolerance_s"):
        Synchronizer(config)


def test_an_unknown_stream_is_refused(sync):
    with pytest.raises(KeyError):
        sync.add_frame("CAM_B0", 0, "b")


def test_an_acceleration_stamped_far_ahead_decides_nothing(sync):
    for time_ms in range(0, 3000, 100):
        feed(sync, time_ms, acceleration=time_ms < 1000)
        if time_ms == 1000:
            sync.add_acceleration(ms(1_001_000), np.zeros(2))
            sync.add_acceleration(ms(1_900), np.zeros(2))
    assert sync.report.time_jumps == 0
    assert sync.report.complete >= 29 and not sync.report.dropped
    assert sync.report.refused == {ACCELERATION: 1}


def test_accelerations_and_commands_from_before_replace_what_was_there_without_forgetting_the_rest(sync):
    sync.add_acceleration(ms(10_000), np.array([9.0, 0.0]))
    sync.add_command(ms(10_000), DrivingCommand.LEFT)
    (ready,) = feed(sync, 100)
    assert ready.status[-1].acceleration[0] == 0.0
    assert ready.status[-1].command is DrivingCommand.STRAIGHT
    assert sync.report.time_jumps == 0


def test_a_command_with_stamp_zero_holds_from_its_arrival_on(sync):
    feed(sync, 1_000_000, command=False)
    sync.add_command(0, DrivingCommand.LEFT)
    *_, ready = feed(sync, 1_000_100, command=False)
    assert ready.status[-1].command is DrivingCommand.LEFT
    assert sync.report.time_jumps == 0


def test_a_command_with_stamp_zero_from_before_all_sensors_holds_from_the_first_of_them_on(sync):
    sync.add_command(0, DrivingCommand.LEFT)
    (ready,) = feed(sync, 1_000_000, command=False)
    assert ready.status[-1].command is DrivingCommand.LEFT
    assert all(feed(sync, 1_000_000 + later, command=False) for later in (1_500, 3_000, 4_500))
    assert feed(sync, 1_000_000 + 5_001, command=False) == [], "no longer than any other"
    sync.reset()
    sync.add_command(0, DrivingCommand.LEFT)
    sync.reset()
    assert feed(sync, 2_000_000, command=False) == [], "what was before a reset is forgotten"


def test_after_a_reset_a_measured_acceleration_is_waited_for_again(sync):
    feed(sync, 0, acceleration=False)
    assert len(feed(sync, 150, acceleration=False)) == 2, "given up"
    sync.reset()
    assert feed(sync, 200, acceleration=False) == []


def test_an_acceleration_taken_from_the_velocity_knows_of_the_turn(sync):
    rate, speed = 0.3, 10.0
    for time_ms in range(0, 400, 50):
        heading = rate * time_ms / 1000
        pose = np.array([speed / rate * math.sin(heading), speed / rate * (1 - math.cos(heading)), heading])
        sync.add_motion(MotionSample(ms(time_ms), pose, np.array([speed, 0.0])))
    feed(sync, 300, odometry=False, acceleration=False)
    sync.add_frame(LIDAR, ms(450), "later")
    (ready,) = sync.take()
    np.testing.assert_allclose(ready.status[-1].acceleration, [0.0, 3.0], atol=1e-9)
