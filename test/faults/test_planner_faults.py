"""What a sceptical integrator injects into the running planner node (its own process, over DDS)."""

import math
import struct
import zlib

from pair_drive_core.driving.messages.stamps import to_time

ERROR, WARN, OK = 2, 1, 0
CAMERAS = ("CAM_L0", "CAM_F0", "CAM_R0")


def level(planner, part):
    return planner.findings().get(part, (None, ""))[0]


def plans_again(planner, rig):
    """Whether new plans come when whole sets flow."""
    count = len(planner.plans)
    return rig.stream_until(lambda: len(planner.plans) > count, 10) is not None


def new_plans(planner, rig, duration_s, **stream):
    """How many plans come while a faulty stream flows, not counting those that were on their way."""
    rig.stream(0.8, **stream)
    before = len(planner.plans)
    rig.stream(duration_s, **stream)
    return len(planner.plans) - before


def becomes(planner, rig, part, wanted, **stream):
    """How long it takes until a part of the diagnostics has a level; None if it never does."""
    return rig.stream_until(lambda: level(planner, part) == wanted, 10, **stream)


def test_lost_frozen_and_late_inputs_are_errors_and_give_no_plan_until_they_are_back(planner_process, rig):
    planner = planner_process.start(stale_after_s=0.25, startup_s=0.5, plan_age_limit_s=1.0)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: len(planner.plans) >= 3, 30) is not None

    for camera in CAMERAS:
        took_s = becomes(planner, rig, f"input {camera}", ERROR, without=(camera,))
        # The limit of 0.25 s, the period of the diagnostics, and room for a busy machine.
        assert took_s is not None and took_s < 3.0, f"{camera}: {took_s}"
        assert new_plans(planner, rig, 0.3, without=(camera,)) == 0
        assert becomes(planner, rig, f"input {camera}", OK) is not None
        assert plans_again(planner, rig)

    def late(message):
        message.header.stamp.sec -= 1
        return message

    frozen = rig._messages(rig.now_us())["odometry"]
    for part, fault in (
        ("input odometry", {"odometry": lambda _: frozen}),
        ("input lidar", {"without": ("lidar",)}),
        ("input lidar", {"lidar": late}),
    ):
        assert becomes(planner, rig, part, OK) is not None
        assert becomes(planner, rig, part, ERROR, **fault) is not None
        assert new_plans(planner, rig, 0.3, **fault) == 0
        rig.peer.spin_for(0.6)
        assert plans_again(planner, rig)

    lost = {"without": ("acceleration",)}
    assert becomes(planner, rig, "input acceleration", WARN, **lost) is not None
    assert new_plans(planner, rig, 0.5, **lost) > 0, "the optional input's loss is told, and the planner goes on"
    assert "change of the velocity" in planner.findings()["input acceleration"][1]


def test_missing_unusable_and_stale_messages_are_reported_with_the_reason(planner_process, rig):
    planner = planner_process.start(stale_after_s=0.25, startup_s=0.3)
    rig.wait_for_planner()
    assert rig.peer.spin_until(lambda: level(planner, "input lidar") == ERROR, 20)
    assert planner.findings()["input lidar"][1] == "nothing received"
    assert "CAM_F0" in planner.findings()["camera_info"][1]
    assert plans_again(planner, rig)

    def unheard_of(message):
        message.encoding = "unheard_of"
        return message

    def without_z(message):
        message.fields = message.fields[:2]
        return message

    def not_a_number(message):
        message.pose.pose.position.x = math.nan
        return message

    for fault, part, words in (
        ({"CAM_F0": unheard_of}, "messages on camera/front/image_raw", "expected one of rgb8"),
        ({"lidar": without_z}, "messages on lidar/points", "field 'z'"),
        ({"odometry": not_a_number}, "messages on odometry", "finite"),
    ):
        assert becomes(planner, rig, part, ERROR, **fault) is not None
        assert words in planner.findings()[part][1]
        assert new_plans(planner, rig, 0.2, **fault) == 0
        assert becomes(planner, rig, part, None) is not None, "forgotten when it is right again"

    rig.peer.spin_for(0.3)
    count = len(planner.plans)
    for _ in range(8):
        rig.publish(rig.now_us() - 450_000)
        rig.peer.spin_for(0.1)
    assert len(planner.plans) == count
    assert rig.peer.spin_until(lambda: int(planner.values("synchronizer")["dropped: stale"]) >= 5, 10)
    for _ in range(4):
        rig.publish(rig.now_us() + 900_000)
        rig.peer.spin_for(0.1)
    assert len(planner.plans) == count
    assert rig.peer.spin_until(lambda: level(planner, "input CAM_F0") == ERROR, 10)
    assert "in the future" in planner.findings()["input CAM_F0"][1]


def png_that_declares(width, height):
    """68 bytes that say they are a picture of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_one_picture_that_no_decoder_takes_does_not_end_planning(planner_process, rig, peer):
    from sensor_msgs.msg import CompressedImage

    planner = planner_process.start(image_transport="both")
    bad = peer.node.create_publisher(CompressedImage, "camera/front/image_raw/compressed", 10)
    rig.wait_for_planner()
    assert peer.spin_until(lambda: bad.get_subscription_count(), 30)
    assert plans_again(planner, rig)

    def instead(message):
        bomb = png_that_declares(60_000, 60_000)
        bad.publish(CompressedImage(header=message.header, format="png", data=bomb))
        return message

    told = lambda: any(entry[0] == ERROR for entry in planner.findings().values())  # noqa: E731
    time_us = rig.now_us()
    for name, message in rig._messages(time_us).items():
        if name == "CAM_F0":
            instead(message)
        else:
            rig._publishers[name].publish(message)
    assert peer.spin_until(told, 20), "the reason is an error in the diagnostics"
    assert plans_again(planner, rig)
    assert peer.spin_until(lambda: level(planner, "output") == OK, 20)


def test_a_simulators_clock_that_jumps_back_starts_the_planner_anew(planner_process, rig, peer):
    from rosgraph_msgs.msg import Clock

    planner = planner_process.start(use_sim_time=True, sensor_reliability="reliable")
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    rig.wait_for_planner()
    assert peer.spin_until(lambda: clock.get_subscription_count() > 0, 30)

    def run(start_s, steps):
        from pair_drive_ros.message_types import ros_message

        before = len(planner.plans)
        for step in range(steps):
            time_us = round((start_s + 0.1 * step) * 1e6)
            clock.publish(Clock(clock=to_time(ros_message, time_us)))
            rig.publish(time_us)
            peer.spin_for(0.05)
        peer.spin_until(lambda: len(planner.plans) >= before + steps - 3, 15)
        return planner.plans[before:]

    assert len(run(100.0, 8)) >= 5
    # Standing still, as a paused simulator: nothing becomes stale on wall-clock time.
    peer.spin_for(0.8)
    assert level(planner, "input CAM_F0") == OK
    again = run(90.0, 8)
    assert len(again) >= 4, "it plans again within the first sets after the jump"
    assert {plan.header.stamp.sec for plan in again} == {90}
