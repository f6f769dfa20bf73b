"""Recordings as other people make them: what is unrelated, damaged, lost, wrong or merely different in them."""

import dataclasses
import math
import shutil

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode

from pair_drive_core.driving.ego_odometry import TwistSource
from pair_drive_core.driving.planner_settings import Pictures, PlannerKind, PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorMounts
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_reader import BagError
from pair_drive_core.evaluation.bag_replay import ReplayOptions, ReplayWatcher

SETTINGS = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY)
FRONT = "/camera/front/image_raw/compressed"


class Seen(ReplayWatcher):
    """Keeps what the planner saw."""

    def __init__(self):
        self.inputs = []

    def planned(self, agent_input, result):
        self.inputs.append(agent_input)


def evaluated(path, settings=SETTINGS, **options):
    seen = Seen()
    report, outcome = evaluate_bag(path, settings, watcher=seen, options=ReplayOptions(**options))
    return report, outcome, seen.inputs


def change(entries, **fields):
    for entry in entries:
        entry.message = dataclasses.replace(entry.message, **fields)


# --- A. nothing unrelated refuses a recording

BAR = "=" * 80 + "\n"
FOREIGN = {
    "definition with includes": (
        "x_msgs/msg/Speed",
        f'{BAR}IDL: x_msgs/msg/Speed\n#include "std_msgs/msg/Header.idl"\nmodule x_msgs {{ }};\n',
        "ros2idl",
        "cdr",
    ),
    "service event": ("x_msgs/srv/Add_Event", f"{BAR}SRV: x_msgs/srv/Add\nint64 a\n---\nint64 sum\n", "ros2msg", "cdr"),
    "json schema": ("foxglove.Log", "{}", "jsonschema", "json"),
    "protobuf": ("foxglove.Log", b"\x0a\xff\xfe\x80 no text", "protobuf", "protobuf"),
    "carriage returns": ("x_msgs/msg/A", "float32 a\r\n# b\r\n", "ros2msg", "cdr"),
    "nothing at all": ("x_msgs/msg/B", "", "", "cdr"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_topics_that_the_planner_does_not_read_may_be_anything(small_bags, small_bag, tmp_path, name):
    path = small_bags.with_foreign_topic(small_bag().write(tmp_path / "bag"), *FOREIGN[name])
    report, _, _ = evaluated(path)
    assert (report.frames, report.dropped, report.notes, report.skipped) == (6, 0, [], [])


def transforms(bag, *entries):
    make = bag.make
    made = []
    for child, quaternion in entries:
        stamp = make("builtin_interfaces/msg/Time", sec=0, nanosec=0)
        header = make("std_msgs/msg/Header", stamp=stamp, frame_id="base_link")
        x, y, z, w = quaternion
        rotation = make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
        place = make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=1.5)
        inner = make("geometry_msgs/msg/Transform", translation=place, rotation=rotation)
        made.append(make("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=inner))
    return make("tf2_msgs/msg/TFMessage", transforms=made)


@pytest.mark.parametrize("quaternion", [(math.nan,) * 4, (0.0,) * 4])
def test_transforms_that_are_none_do_not_matter_or_are_left_out_alone(small_bag, small_bags, tmp_path, quaternion):
    bag = small_bag()
    good = (0.0, 0.0, 0.0, 1.0)
    message = transforms(bag, ("cam", (-0.5, 0.5, -0.5, 0.5)), ("wheel", quaternion), ("lidar", good))
    bag.put("/tf", small_bags.T0_US - 100_000, message)
    path = bag.write(tmp_path / "bag")
    report, _, _ = evaluated(path)
    assert (report.dropped, report.skipped) == (0, []), "mounts come from parameters"
    report, _, _ = evaluated(path, dataclasses.replace(SETTINGS, extrinsics=Extrinsics.TF))
    assert report.dropped == 0
    assert [entry["topic"] for entry in report.skipped] == ["/tf"]
    assert "transform of 'wheel'" in report.skipped[0]["reason"]


# --- B. one bad message is skipped, counted and named


def damaged_picture(bag):
    entry = bag.of(FRONT)[3]
    entry.message = dataclasses.replace(entry.message, data=entry.message.data[: len(entry.message.data) // 2])


def odometry_without_place(bag):
    entry = bag.of("/odometry")[60]
    entry.message.pose.pose.position.x = math.nan


def odometry_without_rotation(bag):
    entry = bag.of("/odometry")[60]
    entry.message.pose.pose.orientation.w = 0.0


def short_cloud(bag):
    entry = bag.of("/lidar")[2]
    entry.message = dataclasses.replace(entry.message, data=entry.message.data[:50])


def early_calibration_of_zeros(bag):
    change(bag.of("front/camera_info")[:1], k=np.zeros(9))


BROKEN = {
    damaged_picture: (FRONT, 3, "damaged or cut off", 5),
    odometry_without_place: ("/odometry", 60, "expected finite numbers", 6),
    odometry_without_rotation: ("/odometry", 60, "unit quaternion", 6),
    short_cloud: ("/lidar/points", 2, "point cloud data: expected", 5),
    early_calibration_of_zeros: ("/camera/front/camera_info", 0, "positive focal lengths", 6),
}


@pytest.mark.parametrize("break_it", BROKEN)
def test_one_bad_message_is_skipped_and_named_and_strict_refuses_it(small_bag, tmp_path, break_it):
    topic, index, words, plans = BROKEN[break_it]
    bag = small_bag()
    break_it(bag)
    path = bag.write(tmp_path / "bag")
    report, _, _ = evaluated(path)
    (skipped,) = report.skipped
    assert (skipped["topic"], skipped["index"], sum(report.plans.values())) == (topic, index, plans)
    assert words in skipped["reason"] and skipped["stamp_us"] is not None
    assert report.dropped == sum(report.drop_reasons.values()) == 6 - plans
    with pytest.raises(BagError, match=rf"topic {topic}: .*{words}.* \(message {index}, stamp"):
        evaluated(path, strict=True)


def test_bytes_that_are_no_message_are_skipped_and_named(small_bags, small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag", "sqlite3")
    with small_bags.database(path) as base:
        (number,) = base.execute("SELECT id FROM topics WHERE name = '/odometry'").fetchone()
        rows = [row for (row,) in base.execute("SELECT id FROM messages WHERE topic_id = ? ORDER BY id", (number,))]
        base.execute("UPDATE messages SET data = ? WHERE id = ?", (b"\0\1\0\0torn", rows[30]))
    report, _, _ = evaluated(path)
    (skipped,) = report.skipped
    assert (skipped["index"], skipped["stamp_us"], report.dropped) == (30, None, 0)
    assert "8 bytes cannot be decoded as nav_msgs/msg/Odometry" in skipped["reason"]


# --- C. nothing is lost in silence, and the true cause is named


def test_quality_of_service_in_the_file_may_differ_from_the_metadata(small_bags, small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag", "sqlite3")
    with small_bags.database(path) as base:
        base.execute("UPDATE topics SET offered_qos_profiles = '- history: 1\n  depth: 5'")
    assert evaluated(path)[0].dropped == 0


def test_a_write_ahead_log_is_read_and_left_as_it_is(small_bags, small_bag, tmp_path):
    source = small_bag().write(tmp_path / "source", "sqlite3")
    with small_bags.database(source) as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA wal_autocheckpoint=0")
        late = (1000 * (small_bags.T0_US + 250_000),)
        rows = base.execute("SELECT * FROM messages WHERE timestamp >= ?", late).fetchall()
        base.execute("DELETE FROM messages WHERE timestamp >= ?", late)
        base.commit()
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows)
        base.commit()
        shutil.copytree(source, tmp_path / "bag")
    before = {p.name: p.read_bytes() for p in (tmp_path / "bag").iterdir()}
    report, _, _ = evaluated(tmp_path / "bag")
    assert (report.frames, report.dropped) == (6, 0)
    assert any("write-ahead log was left over" in note for note in report.notes)
    assert {p.name: p.read_bytes() for p in (tmp_path / "bag").iterdir()} == before


def test_a_rollback_journal_takes_back_what_was_being_written(small_bags, small_bag, tmp_path):
    """A recorder that was killed in the middle of a transaction that had spilled into the file already."""
    source = small_bag().write(tmp_path / "source", "sqlite3")
    with small_bags.database(source) as base:
        base.isolation_level = None
        base.execute("PRAGMA cache_size=1")
        base.execute("BEGIN")
        base.execute("DELETE FROM messages")
        base.executemany("INSERT INTO messages VALUES (?, 1, 1, ?)", [(9000 + i, b"x" * 3000) for i in range(200)])
        shutil.copytree(source, tmp_path / "bag")
        base.execute("ROLLBACK")
    before = {p.name: p.read_bytes() for p in (tmp_path / "bag").iterdir()}
    assert any(name.endswith("-journal") for name in before)
    report, _, _ = evaluated(tmp_path / "bag")
    assert (report.frames, report.dropped, report.skipped) == (6, 0, [])
    assert any("a rollback journal was left over" in note for note in report.notes)
    assert {p.name: p.read_bytes() for p in (tmp_path / "bag").iterdir()} == before


def test_metadata_stands_for_its_folder(small_bag, tmp_path):
    assert evaluated(small_bag().write(tmp_path / "bag") / "metadata.yaml")[0].dropped == 0


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_folder_without_metadata_is_opened_by_the_file_inside(small_bag, tmp_path, storage):
    path = small_bag().write(tmp_path / "bag", storage)
    (path / "metadata.yaml").unlink()
    report, _, _ = evaluated(path)
    assert report.dropped == 0
    assert any("metadata.yaml is missing" in note for note in report.notes)


def test_messages_that_the_metadata_promises_and_the_file_lacks_are_counted(small_bags, small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag", "sqlite3")
    with small_bags.database(path) as base:
        (number,) = base.execute("SELECT id FROM topics WHERE name = '/lidar/points'").fetchone()
        base.execute(
            "DELETE FROM messages WHERE topic_id = ? AND timestamp > ?", (number, 1000 * small_bags.T0_US + 450_000_000)
        )
    report, _, _ = evaluated(path)
    assert "topic /lidar/points: metadata.yaml states 6 messages, the files hold 5" in report.notes


@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE])
@pytest.mark.parametrize("alone", [True, False])
def test_compressed_recordings_are_read_with_and_without_their_metadata(small_bag, tmp_path, mode, alone):
    path = small_bag().write(tmp_path / "bag", "sqlite3", mode)
    if alone:
        (path,) = [p for p in path.iterdir() if p.name != "metadata.yaml"]
    report, _, _ = evaluated(path)
    assert report.dropped == 0
    assert any("compressed" in note for note in report.notes)


def test_own_messages_without_a_definition_in_the_file_are_known(small_bags, small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag", "sqlite3")
    with small_bags.database(path) as base:
        base.execute("DROP TABLE message_definitions")
        base.execute("DELETE FROM schema")
        base.execute("INSERT INTO schema VALUES (3, 'humble')")
    report, _, inputs = evaluated(small_bags.file_of(path))
    assert (report.dropped, inputs[0].now.command.name) == (0, "STRAIGHT")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#ROSBAG V2.0\n\x45\0\0\0", r"ROS 1 bag \(V2.0\): convert it with `rosbags-convert"),
        (b"hello, this is no bag", "expected MCAP or SQLite data, found a file beginning with 68656c6c6f"),
    ],
)
def test_files_that_are_something_else_are_named(tmp_path, content, words):
    path = tmp_path / "drive.bag"
    path.write_bytes(content)
    with pytest.raises(BagError, match=words):
        evaluated(path)


def test_messages_of_ros_1_in_an_mcap_file_are_named(small_bags, small_bag, tmp_path):
    path = small_bag().drop("/lidar").write(tmp_path / "bag")
    path = small_bags.with_foreign_topic(path, "sensor_msgs/PointCloud2", "", "ros1msg", "ros1")
    words = r"1 more topics hold messages of encoding 'ros1', not of ROS 2: convert .* `rosbags-convert`"
    with pytest.raises(BagError, match=words):
        evaluated(path)


def test_a_file_that_is_cut_off_says_how_to_save_it(small_bags, small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag")
    data = small_bags.file_of(path)
    data.write_bytes(data.read_bytes()[:-40])
    with pytest.raises(BagError, match=r"truncated: bag.mcap is cut off .*`mcap recover bag.mcap -o NEW.mcap`"):
        evaluated(path)


def shifted(bag, part, offset_us):
    for entry in bag.of(part):
        stamp = entry.message.header.stamp
        total = 1_000_000 * stamp.sec + stamp.nanosec // 1000 + offset_us
        stamp = dataclasses.replace(stamp, sec=total // 1_000_000, nanosec=1000 * (total % 1_000_000))
        entry.message = dataclasses.replace(
            entry.message, header=dataclasses.replace(entry.message.header, stamp=stamp)
        )


def test_a_lidar_with_another_clock_is_named_with_its_offset(small_bag, tmp_path):
    bag = small_bag()
    shifted(bag, "/lidar", 37_000_000)
    with pytest.raises(
        BagError, match=r"sets? of readings in \d+ messages \(lidar \(/lidar/points\): its clock is 36.98 s ahead"
    ):
        evaluated(bag.write(tmp_path / "bag"))


def test_cameras_that_were_recorded_late_are_named_with_their_delay(small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("/camera"):
        entry.logged_us += 400_000
    with pytest.raises(BagError, match=r"CAM_F0 \(/camera/front/.*\): recorded 0.43 s after its stamps, others 0.00 s"):
        evaluated(bag.write(tmp_path / "bag"))


def unstamped(bag, part, seconds=0):
    """Stamps that count from another moment; all the same with 0 seconds."""
    for index, entry in enumerate(bag.of(part)):
        total = (10 * seconds + index) * 100_000_000 if seconds else 0
        stamp = dataclasses.replace(entry.message.header.stamp, sec=total // 10**9, nanosec=total % 10**9)
        entry.message = dataclasses.replace(
            entry.message, header=dataclasses.replace(entry.message.header, stamp=stamp)
        )


@pytest.mark.parametrize("part", ["/lidar", "/odometry", "/camera"])
def test_messages_without_a_time_are_named(small_bag, tmp_path, part):
    bag = small_bag()
    unstamped(bag, part)
    with pytest.raises(BagError, match=rf"{part}.*: its messages carry no time \(header.stamp is 0"):
        evaluated(bag.write(tmp_path / "bag"))


def test_a_clock_that_counts_from_its_start_is_named(small_bag, tmp_path):
    bag = small_bag()
    unstamped(bag, "/lidar", seconds=123)
    words = r"lidar \(/lidar/points\): its stamps are of another clock .* begin at 123.0 s, others' at 1700000000.0 s"
    with pytest.raises(BagError, match=words):
        evaluated(bag.write(tmp_path / "bag"))


def test_side_cameras_out_of_step_are_named_with_their_offset(small_bag, tmp_path):
    bag = small_bag()
    shifted(bag, "front_left/image", 45_000)
    with pytest.raises(
        BagError, match=r"CAM_L0 .*: its stamps lie \+45 ms from the nearest of CAM_F0; sync.camera_tol"
    ):
        evaluated(bag.write(tmp_path / "bag"))


@pytest.mark.parametrize("frames", [20, 25])
def test_frames_before_the_calibration_are_explained(small_bags, small_bag, tmp_path, frames):
    """Those that waited to the end, and those that newer ones pushed out before the calibration came."""
    bag = small_bag(frames=frames)
    bag.entries = [e for e in bag.entries if "info" not in e.topic or e.logged_us > small_bags.T0_US + 1_850_000]
    report, _, _ = evaluated(bag.write(tmp_path / "bag"))
    assert report.dropped == sum(report.drop_reasons.values()) > 0
    assert set(report.drop_reasons) == {"before all cameras were calibrated"}


def test_a_jump_of_time_is_told(small_bags, small_bag, tmp_path):
    bag = small_bag()
    again = small_bag()
    for part in ("/odometry", "/camera", "/lidar", "/driving"):
        for entry in again.of(part):
            entry.logged_us += 5_000_000
    bag.entries += again.entries
    report, _, _ = evaluated(bag.write(tmp_path / "bag"))
    assert any(note.startswith("time jumped") for note in report.notes)


def test_equal_stamps_are_repeats_and_not_out_of_order(small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("/lidar"):
        bag.put(entry.topic, entry.logged_us + 1_000, entry.message)
    report, _, _ = evaluated(bag.write(tmp_path / "bag"))
    assert report.drop_reasons == {}
    assert "lidar (/lidar/points): 6 messages repeat the stamp of the one before" in report.notes


def test_a_remap_to_a_topic_that_is_not_there_lists_the_topics_that_are(small_bag, tmp_path):
    path = small_bag().write(tmp_path / "bag")
    with pytest.raises(
        BagError, match=r"topic /odom \(for odometry\): the recording holds no such topic; .*/odometry \(nav"
    ):
        evaluated(path, remaps={"odometry": "/odom"})


def test_topics_that_can_only_be_the_ones_that_are_missing_are_offered(small_bag, tmp_path):
    bag = small_bag().drop("/driving_command").drop("front_left").drop("front_right")
    bag.rename({FRONT: "/zed/rgb/compressed", "/camera/front/camera_info": "/zed/info", "/odometry": "/odom"})
    second = bag.of("/odom")[0]
    path = bag.write(tmp_path / "bag")
    words = (
        "likely: --topic odometry:=/odom --topic camera/front/camera_info:=/zed/info "
        "--topic camera/front/image_raw:=/zed/rgb/compressed$"
    )
    with pytest.raises(BagError, match=words):
        evaluated(path, command="straight")
    bag.put("/odom2", second.logged_us, second.message)
    with pytest.raises(BagError, match="likely: --topic camera/front/camera_info"):
        evaluated(bag.write(tmp_path / "two"), command="straight")


# --- D. what was accepted and wrong


def test_a_topic_of_rectified_pictures_takes_p(small_bag, tmp_path):
    bag = small_bag().rename({FRONT: "/camera/front/image_rect_color/compressed"})
    p = (40.0, 0, 31, 0, 0, 40.0, 17, 0, 0, 0, 1, 0)
    change(bag.of("camera_info"), p=np.array(p), d=np.array([-0.3, 0.1, 0, 0, 0]))
    path = bag.write(tmp_path / "bag")
    report, _, inputs = evaluated(path, remaps={"camera/front/image_raw": "/camera/front/image_rect_color"})
    cameras = inputs[0].cameras
    assert (cameras["CAM_F0"].calibration.intrinsics[0, 0], cameras["CAM_L0"].calibration.intrinsics[0, 0]) == (40, 48)
    assert not cameras["CAM_F0"].calibration.distortion.any() and cameras["CAM_L0"].calibration.distortion.any()
    (note,) = report.notes
    assert "CAM_L0" in note and "CAM_F0" not in note and "taken for raw pictures" in note
    told = dataclasses.replace(SETTINGS, pictures=Pictures.RECTIFIED)
    report, _, inputs = evaluated(path, told, remaps={"camera/front/image_raw": "/camera/front/image_rect_color"})
    assert inputs[0].cameras["CAM_L0"].calibration.intrinsics[0, 0] == 40
    assert report.notes == []


def test_a_calibration_without_numbers_leaves_no_plan_and_is_named(small_bag, tmp_path):
    bag = small_bag()
    change(bag.of("camera_info"), d=np.full(5, math.nan))
    with pytest.raises(BagError, match=r"/camera/front_left/camera_info: .*finite distortion coefficients"):
        evaluated(bag.write(tmp_path / "bag"))


def test_a_region_of_interest_of_the_same_shape_moves_the_principal_point(small_bags, small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("camera_info"):
        roi = dataclasses.replace(entry.message.roi, x_offset=32, y_offset=18, width=64, height=36)
        k = np.array([48.0, 0, 64, 0, 48.0, 36, 0, 0, 1])
        entry.message = dataclasses.replace(entry.message, roi=roi, k=k, width=128, height=72)
    _, _, inputs = evaluated(bag.write(tmp_path / "bag"))
    np.testing.assert_array_equal(inputs[0].cameras["CAM_F0"].calibration.intrinsics, small_bags.K)


@pytest.mark.parametrize(
    ("velocity", "yaw", "words"),
    [
        ((0.0, 0.0), 0.0, "is zero while the pose moves at 8.0 m/s"),
        ((8.0 * math.cos(1.9), 8.0 * math.sin(1.9)), 1.9, "is given in the frame of the pose"),
        ((-8.0, 0.0), 0.0, "points backwards"),
        ((4.0, 0.0), 0.0, "differs from the change of the pose by 4.0 m/s at 8.0 m/s"),
    ],
)
def test_a_twist_that_the_pose_contradicts_is_told_and_can_be_replaced(small_bag, tmp_path, velocity, yaw, words):
    bag = small_bag(yaw=yaw)
    for entry in bag.of("/odometry"):
        entry.message.twist.twist.linear.x, entry.message.twist.twist.linear.y = velocity
    path = bag.write(tmp_path / "bag")
    report, _, inputs = evaluated(path)
    assert any(words in note for note in report.notes)
    assert inputs[-1].now.velocity == pytest.approx(velocity)
    report, _, inputs = evaluated(path, dataclasses.replace(SETTINGS, odometry_twist=TwistSource.POSES))
    assert report.notes == []
    assert inputs[-1].now.velocity == pytest.approx((8.0, 0.0), abs=1e-6)


def test_poses_alone_are_enough_where_the_twist_is_not_a_number(small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("/odometry"):
        entry.message.twist.twist.linear.x = entry.message.twist.twist.angular.z = math.nan
    path = bag.write(tmp_path / "bag")
    with pytest.raises(BagError, match=r"/odometry: odometry: expected finite numbers"):
        evaluated(path)
    settings = dataclasses.replace(
        SETTINGS, odometry_twist=TwistSource.POSES, mount=SensorMounts(odometry=(0.5, 0.0, 0.0, 0.0, 0.0, 0.0))
    )
    report, _, inputs = evaluated(path, settings)
    assert (report.dropped, report.skipped, report.notes) == (0, [], [])
    assert inputs[-1].now.velocity == pytest.approx((8.0, 0.0), abs=1e-6)


def test_odometry_of_another_frame_is_told_until_its_place_is_known(small_bag, tmp_path):
    bag = small_bag()
    change(bag.of("/odometry"), child_frame_id="imu_link")
    path = bag.write(tmp_path / "bag")
    report, _, before = evaluated(path)
    assert any("speaks of 'imu_link', not of 'base_link'" in note for note in report.notes)
    turned = SensorMounts(odometry=(1.0, 0.5, 0.0, 0.0, 0.0, math.pi / 2))
    report, _, after = evaluated(path, dataclasses.replace(SETTINGS, mount=turned))
    assert not any("imu_link" in note for note in report.notes)
    x, y, _ = before[0].now.pose
    # The imu looks to the ego's left, so the ego looks to the right of it: heading -90 degrees.
    np.testing.assert_allclose(after[0].now.pose, [x - 0.5, y + 1.0, -math.pi / 2], atol=1e-9)
    np.testing.assert_allclose(after[0].now.velocity, [0.0, 8.0], atol=1e-9)


def test_mounts_that_cannot_be_right_are_told_with_the_likely_cause(small_bags, small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("/lidar"):
        high = small_bags.sweep(0).points - np.array([0, 0, 1.8, 0], dtype=np.float32)
        data = np.ascontiguousarray(high, dtype="<f4").view(np.uint8).reshape(-1)
        entry.message = dataclasses.replace(entry.message, data=data)
    path = bag.write(tmp_path / "bag")
    report, _, _ = evaluated(path)
    (note,) = report.notes
    assert "ground lies 1.8 m below" in note and "mount.lidar" in note
    degrees = SensorMounts(front=(1.6, 0.0, 1.5, 0.0, 0.0, 90.0), lidar=(0.0, 0.0, 1.8, 0.0, 0.0, 0.0))
    report, _, _ = evaluated(path, dataclasses.replace(SETTINGS, mount=degrees))
    assert report.notes == ["mount.front: angles [0.0, 0.0, 90.0] are more than a turn: degrees? Expected rad"]
    millimetres = SensorMounts(front=(1600.0, 0.0, 1500.0, 0.0, 0.0, 0.0), lidar=(0.0, 0.0, 1.8, 0.0, 0.0, 0.0))
    report, _, _ = evaluated(path, dataclasses.replace(SETTINGS, mount=millimetres))
    assert "mount.front: place [1600.0, 0.0, 1500.0] is far outside the vehicle: mm? Expected m" in report.notes


# --- what the planner is told, and with which sensors


@pytest.mark.parametrize("command", ["left", "straight", "right", "unknown"])
def test_a_command_can_be_given(small_bag, tmp_path, command):
    path = small_bag().drop("/driving_command").write(tmp_path / "bag")
    report, _, inputs = evaluated(path, command=command)
    assert {i.now.command.name.lower() for i in inputs} == {command}
    assert report.dropped == 0


def test_without_a_command_the_path_driven_afterwards_says_it_and_the_report_says_so(small_bag, tmp_path):
    path = small_bag(frames=12).drop("/driving_command").write(tmp_path / "bag")
    report, _, inputs = evaluated(path)
    assert inputs[0].now.command.name == "STRAIGHT"
    assert any("follows the path that was driven afterwards" in note for note in report.notes)
    assert evaluated(path, command="driven")[0].notes == []


@pytest.mark.parametrize(("side", "command"), [(1, "LEFT"), (-1, "RIGHT"), (0, "STRAIGHT")])
@pytest.mark.parametrize("kind", ["metres", "degrees", "topic"])
def test_a_route_gives_the_command(small_bag, tmp_path, side, command, kind):
    bag = small_bag().drop("/driving_command")
    line = [(-30.0, 0.0), (15.0, 0.0), (15.0 + 40 * (side == 0), 40.0 * side)]
    options = {"route": str(tmp_path / "route.geojson")}
    if kind == "degrees":
        scale = 180.0 / math.pi / 6_378_137.0
        line = [(9.0 + x * scale / math.cos(math.radians(48.0)), 48.0 + y * scale) for x, y in line]
        options["route_origin"] = (48.0, 9.0)
    document = f'{{"type": "Feature", "geometry": {{"type": "LineString", "coordinates": {[list(p) for p in line]}}}}}'
    (tmp_path / "route.geojson").write_text(document)
    if kind == "topic":
        options = {"route": "/route"}
        header = bag.of("/odometry")[0].message.header
        pose = bag.of("/odometry")[0].message.pose.pose
        poses = [
            bag.make(
                "geometry_msgs/msg/PoseStamped",
                header=header,
                pose=dataclasses.replace(pose, position=dataclasses.replace(pose.position, x=x, y=y)),
            )
            for x, y in line
        ]
        bag.put("/route", bag.entries[0].logged_us, bag.make("nav_msgs/msg/Path", header=header, poses=poses))
    _, _, inputs = evaluated(bag.write(tmp_path / "bag"), **options)
    assert {i.now.command.name for i in inputs} == {command}


def test_one_front_camera_with_foreign_names_is_planned_and_said_to_be_out_of_distribution(small_bag, tmp_path):
    bag = small_bag().drop("/driving_command").drop("front_left").drop("front_right")
    bag.rename({FRONT: "/zed/rgb/compressed", "/camera/front/camera_info": "/zed/info", "/lidar/points": "/os/points"})
    remaps = {
        "camera/front/image_raw": "/zed/rgb/compressed",
        "camera/front/camera_info": "/zed/info",
        "lidar/points": "/os/points",
    }
    report, _, inputs = evaluated(bag.write(tmp_path / "bag"), command="straight", remaps=remaps)
    assert report.dropped == 0
    assert not inputs[0].cameras["CAM_L0"].rgb.any() and inputs[0].cameras["CAM_F0"].rgb.any()
    assert any("out of distribution: no CAM_L0, CAM_R0" in note for note in report.notes)


def test_a_camera_of_which_there_is_only_the_calibration_is_missing(small_bag, tmp_path):
    report, _, inputs = evaluated(small_bag().drop("front_left/image").write(tmp_path / "bag"))
    assert report.dropped == 0 and not inputs[0].cameras["CAM_L0"].rgb.any()
    assert any("out of distribution: no CAM_L0" in note for note in report.notes)


def test_raw_formats_reach_the_planner_as_colours(small_bags, small_bag, tmp_path):
    """One raw format on behalf of all (the readers have tests of their own), under the name of the raw topic."""
    bag = small_bag()
    for entry in bag.of("image_raw/compressed"):
        data = np.ascontiguousarray(small_bags.PICTURE[..., ::-1]).reshape(-1)
        size = {"height": small_bags.HEIGHT, "width": small_bags.WIDTH, "step": 3 * small_bags.WIDTH}
        header = entry.message.header
        entry.message = bag.make(
            "sensor_msgs/msg/Image", header=header, encoding="8UC3", is_bigendian=0, data=data, **size
        )
        entry.topic = entry.topic.removesuffix("/compressed")
    _, _, inputs = evaluated(bag.write(tmp_path / "bag"))
    np.testing.assert_array_equal(inputs[0].cameras["CAM_F0"].rgb, small_bags.PICTURE)


def test_a_file_that_wants_to_be_turned_is_not(small_bags, small_bag, tmp_path):
    bag = small_bag()
    for entry in bag.of("image_raw/compressed"):
        jpeg = cv2.imencode(".jpg", small_bags.PICTURE[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"
        data = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
        entry.message = dataclasses.replace(entry.message, format="jpeg", data=np.frombuffer(data, np.uint8))
    _, _, inputs = evaluated(bag.write(tmp_path / "bag"))
    error = np.abs(inputs[0].cameras["CAM_F0"].rgb.astype(int) - small_bags.PICTURE)
    assert error.mean() < 4.0
