"""Inputs that come in time and are wrong all the same: each is told with its reason, and nothing is planned from it."""

import math
import time

import numpy as np

from pair_drive_core.driving.messages import stamp_us
from pair_drive_core.driving.messages.stamps import to_time

ERROR, WARN, OK = 2, 1, 0


def part(planner, name):
    return planner.findings().get(name, (None, ""))


def told(planner, rig, name, words, **stream):
    """Whether a part becomes an error with these words while the stream flows."""
    found = lambda: part(planner, name)[0] == ERROR and words in part(planner, name)[1]  # noqa: E731
    return rig.stream_until(found, 20, **stream) is not None


def none_planned(planner, rig, **stream):
    """Whether no plan comes while the stream flows, those on their way left out."""
    rig.stream(0.3, **stream)
    before = len(planner.plans)
    rig.stream(0.4, **stream)
    return len(planner.plans) == before


def plans_again(planner, rig, **stream):
    count = len(planner.plans)
    return rig.stream_until(lambda: len(planner.plans) > count + 1, 20, **stream) is not None


def camera_info(change):
    def altered(message):
        change(message)
        return message

    return {"CAM_F0 info": altered}


def of_a_smaller_picture(message):
    message.k = 0.25 * np.array(message.k)


def ten_times_the_focal_length(message):
    message.k[0] *= 10.0
    message.k[4] *= 10.0


def distortion_of_no_number(message):
    message.d = [math.nan] * 5


def of_another_shape(message):
    message.height *= 2
    message.k[5] *= 2.0


def test_a_calibration_that_does_not_fit_the_pictures_is_refused(planner_process, rig):
    planner = planner_process.start(startup_s=0.3)
    rig.wait_for_planner()
    for change, words in (
        (of_a_smaller_picture, "expected the optical axis near the middle"),
        (ten_times_the_focal_length, "expected an angle of view"),
        (distortion_of_no_number, "expected finite distortion coefficients"),
    ):
        wrong = camera_info(change)
        assert told(planner, rig, "messages on camera/front/camera_info", words, **wrong), planner.findings()
        assert planner.plans == []
    wrong = camera_info(of_another_shape)
    assert told(planner, rig, "messages on camera/front/image_raw", "aspect ratio", **wrong), planner.findings()
    assert planner.plans == []
    assert plans_again(planner, rig)

    def twice_the_size(message):
        """Pictures of 32 x 18 with the numbers of 64 x 36: the same camera, read out at half the resolution."""
        message.width, message.height = 64, 36
        message.k = np.array(message.k) * 2.0
        message.k[8] = 1.0

    assert plans_again(planner, rig, **camera_info(twice_the_size)), "rescaled"


def frozen_pose(rig):
    place = rig._messages(rig.now_us())["odometry"].pose

    def change(message):
        message.pose = place
        return message

    return change


def no_velocity(message):
    message.twist.twist.linear.x = 0.0
    return message


def beyond_all_measure(message):
    message.twist.twist.linear.x = 1e300
    return message


def another_frame(message):
    message.header.frame_id = "map"
    return message


def another_child(message):
    message.child_frame_id = "imu_link"
    return message


def empty(message):
    message.width, message.data = 0, b""
    return message


def of_no_number(message):
    message.data = np.full(len(message.data) // 4, np.nan, dtype="<f4").tobytes()
    return message


def test_odometry_and_clouds_that_cannot_be_are_told_and_nothing_is_planned(planner_process, rig):
    planner = planner_process.start(stale_after_s=0.5)
    rig.wait_for_planner()
    assert plans_again(planner, rig)
    for name, words, fault in (
        ("messages on odometry", "expected pose and velocity to agree", {"odometry": frozen_pose(rig)}),
        ("messages on odometry", "expected pose and velocity to agree", {"odometry": no_velocity}),
        ("messages on odometry", "a velocity of a road vehicle, at most", {"odometry": beyond_all_measure}),
        ("messages on odometry", "expected frames", {"odometry": another_frame}),
        ("messages on odometry", "expected frames", {"odometry": another_child}),
        ("messages on lidar/points", "none that is finite among 0", {"lidar": empty}),
        ("messages on lidar/points", "none that is finite among 1", {"lidar": of_no_number}),
    ):
        assert told(planner, rig, name, words, **fault), (fault, planner.findings())
        assert none_planned(planner, rig, **fault), fault
        rig.peer.spin_for(0.6)
        assert plans_again(planner, rig), fault

    def big_endian(message):
        message.is_bigendian = True
        message.data = np.frombuffer(bytes(message.data), "<f4").astype(">f4").tobytes()
        return message

    assert plans_again(planner, rig, lidar=big_endian)

    def beside(message):
        message.pose.pose.position.y += 30.0
        return message

    places = [(point.pose.position, point.longitudinal_velocity_mps) for plan in planner.plans for point in plan.points]
    assert all(map(math.isfinite, (n for p, v in places for n in (p.x, p.y, v)))), "whatever came in"
    assert told(planner, rig, "odometry", "the pose jumped by 30", odometry=beside)
    assert plans_again(planner, rig, odometry=beside), "after a jump it goes on from there"


def later(seconds):
    def change(message):
        from pair_drive_ros.message_types import ros_message

        message.header.stamp = to_time(ros_message, stamp_us(message.header.stamp) - round(seconds * 1e6))
        return message

    return change


def test_a_late_lidar_is_compensated_within_its_bound_with_its_skew_and_rejected_beyond(planner_process, rig):
    planner = planner_process.start(stale_after_s=1.0)
    rig.wait_for_planner()
    assert plans_again(planner, rig, lidar=later(0.15), period_s=0.1), planner.findings()
    skew = lambda: float(planner.values("planner").get("skew_s: lidar", "nan"))  # noqa: E731
    # The nearest sweep may be that of the next moment: it is late by 0.15 s less a period.
    assert rig.stream_until(lambda: -0.151 <= skew() <= -0.02, 20, lidar=later(0.15), period_s=0.1) is not None
    assert planner.transition("deactivate") and planner.transition("cleanup")
    assert planner.set_parameters(stale_after_s=0.25)[0]
    assert planner.transition("configure") and planner.transition("activate")
    rig.wait_for_planner()
    for seconds in (0.26, 1.0):
        assert told(planner, rig, "input lidar", "stale", lidar=later(seconds)), seconds
        assert none_planned(planner, rig, lidar=later(seconds)), seconds
        rig.peer.spin_for(0.3)
    assert plans_again(planner, rig)


def test_cameras_out_of_step_are_named_and_planned_with_a_wider_tolerance(planner_process, rig):
    """Side cameras 17 ms and 33 ms behind the front one: the first is within the usual tolerance, the second not."""
    planner = planner_process.start()
    rig.wait_for_planner()
    behind = {"CAM_L0": later(0.017), "CAM_R0": later(0.033)}
    words = "the nearest picture of CAM_R0 is -33 ms from t0, beyond sync.camera_tolerance_s = 0.03"
    warned = lambda: part(planner, "synchronizer")[0] == WARN and words in part(planner, "synchronizer")[1]  # noqa: E731
    assert rig.stream_until(warned, 20, period_s=0.12, **behind) is not None, planner.findings()
    assert planner.plans == []
    assert planner.transition("deactivate") and planner.transition("cleanup")
    assert planner.set_parameters(sync__camera_tolerance_s=0.04)[0]
    assert planner.transition("configure") and planner.transition("activate")
    rig.wait_for_planner()
    assert plans_again(planner, rig, period_s=0.12, **behind), planner.findings()
    skew = lambda name: float(planner.values("planner").get(f"skew_s: {name}", "nan"))  # noqa: E731
    in_step = lambda: (round(skew("CAM_L0"), 3), round(skew("CAM_R0"), 3)) == (-0.017, -0.033)  # noqa: E731
    assert rig.stream_until(in_step, 20, period_s=0.12, **behind) is not None, planner.values("planner")
    assert part(planner, "synchronizer")[0] == OK


def test_cameras_that_run_freely_at_30_frames_a_second_are_planned_as_they_are(planner_process, rig):
    """Each in its own phase, 17 ms and 33 ms off: the nearest picture is never farther than half a period."""
    planner = planner_process.start()
    rig.wait_for_planner()
    behind = {"CAM_L0": later(0.017), "CAM_R0": later(0.033)}
    end = time.monotonic() + 30.0
    while len(planner.plans) < 3 and time.monotonic() < end:
        now_us = rig.now_us()
        for frames_ago in (2, 1, 0):  # together, so that a busy machine does not part them
            rig.publish(now_us - round(frames_ago * 1e6 / 30.0), **behind)
        rig.peer.spin_for(0.2)
    assert len(planner.plans) >= 3, planner.findings()
    assert rig.peer.spin_until(lambda: "skew_s: CAM_R0" in planner.values("planner"), 20)
    offsets = {round(float(planner.values("planner")[f"skew_s: {name}"]), 3) for name in ("CAM_L0", "CAM_R0")}
    assert offsets <= {-0.017, 0.016, 0.0, 0.017}, offsets


def test_a_planner_that_is_killed_is_started_anew_and_plans_at_once(planner_process, rig):
    planner_process.start()
    rig.wait_for_planner()
    assert plans_again(planner_process, rig)
    planner_process.process.kill()
    planner_process.process.wait(30)
    rig.stream(0.3)
    count = len(planner_process.plans)
    rig.stream(0.3)
    assert len(planner_process.plans) == count, "nothing speaks for the dead"
    start = time.monotonic()
    planner_process.start()
    assert rig.stream_until(lambda: len(planner_process.plans) > count, 90) is not None
    assert time.monotonic() - start < 90
