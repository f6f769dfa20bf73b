"""Recordings at the size and in the encodings of real cameras, with a published calibration, built here."""

import dataclasses
import json
import re
import sys

import cv2
import numpy as np
import pytest

from pair_drive_core.cli.main import main
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_replay import ReplayOptions, ReplayWatcher
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.scene import CameraCalibration, CameraImage

SIZE = (1920, 1080)
PUBLISHED_K = np.array([[1545.0, 0.0, 960.0], [0.0, 1545.0, 560.0], [0.0, 0.0, 1.0]])
PUBLISHED_D = np.array([-0.356123, 0.172545, -0.00213, 0.000464, -0.05231])
"""Of the cameras of nuPlan and NAVSIM."""
FRAMES = 3


@pytest.fixture(scope="module")
def seen():
    """What the town's sensors give at one moment."""
    return TownDrive(20004, 3, image_width_px=480).readings()


def full_size(image):
    return np.asarray(cv2.resize(image.rgb, SIZE, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def mosaic(rgb):
    """bayer_rggb8: each pixel keeps one of its colours."""
    data = rgb[..., 1].copy()
    data[::2, ::2], data[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
    return data


def packed(rgb):
    """yuv422_yuy2: luminance of every pixel, colour of every other (BT.601)."""
    weights = np.array([[65.738, 129.057, 25.064], [-37.945, -74.494, 112.439], [112.439, -94.154, -18.285]]) / 256.0
    yuv = np.round(rgb.astype(np.float32) @ weights.T.astype(np.float32) + np.float32([16, 128, 128])).astype(np.uint8)
    data = np.empty((*rgb.shape[:2], 2), dtype=np.uint8)
    data[..., 0] = yuv[..., 0]
    data[:, ::2, 1], data[:, 1::2, 1] = yuv[:, ::2, 1], yuv[:, ::2, 2]
    return data


ENCODINGS = {
    "CAM_L0": ("bayer_rggb8", mosaic),
    "CAM_F0": ("yuv422_yuy2", packed),
    "CAM_R0": ("bgra8", lambda rgb: np.dstack((rgb[..., ::-1], np.full(rgb.shape[:2], 255, np.uint8)))),
}


class Seen(ReplayWatcher):
    """Keeps what the planner saw."""

    def __init__(self):
        self.inputs = []

    def planned(self, agent_input, result):
        self.inputs.append(agent_input)


def of_full_size(small_bag, seen, make_picture):
    """A small recording with every picture, calibration and cloud replaced by a real-sized one."""
    bag = small_bag(frames=FRAMES)
    cameras = {namespace: name for name, namespace in CAMERA_TOPICS.items()}
    for entry in bag.entries:
        parts = entry.topic.strip("/").split("/")
        name = cameras.get("/".join(parts[:2]))
        stamp = getattr(entry.message, "header", None)
        if name is None and entry.topic != "/lidar/points":
            continue
        time_us = stamp.stamp.sec * 1_000_000 + stamp.stamp.nanosec // 1000
        if name is None:
            entry.message = to_point_cloud(bag.make, dataclasses.replace(seen.lidar, time_us=time_us), "lidar")
            continue
        k = CameraCalibration(name, *SIZE, PUBLISHED_K, np.eye(3), np.zeros(3), PUBLISHED_D)
        if parts[-1] == "camera_info":
            entry.message = to_camera_info(bag.make, k, time_us, "cam")
        else:
            entry.message = make_picture(bag.make, CameraImage(k, full_size(seen.cameras[name]), time_us))
            entry.topic = entry.topic.removesuffix("/compressed")
    return bag


def test_cameras_of_full_size_in_their_own_encodings_reach_the_planner_as_what_they_saw(small_bag, seen, tmp_path):
    def encoded(make, image):
        encoding, encode = ENCODINGS[image.calibration.name]
        data = encode(image.rgb)
        header = to_image(make, image, "cam").header
        return make(
            "sensor_msgs/msg/Image",
            header=header,
            height=SIZE[1],
            width=SIZE[0],
            encoding=encoding,
            is_bigendian=0,
            step=data.reshape(SIZE[1], -1).shape[1],
            data=data.reshape(-1),
        )

    watcher = Seen()
    path = of_full_size(small_bag, seen, encoded).write(tmp_path / "bag")
    settings = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY)
    report, _ = evaluate_bag(path, settings, watcher=watcher, options=ReplayOptions())
    assert (report.frames, report.dropped, report.skipped) == (FRAMES, 0, [])
    for name, image in watcher.inputs[0].cameras.items():
        error = np.abs(image.rgb.astype(np.int16) - full_size(seen.cameras[name]))
        assert error.mean() < 4.0, f"{name}: {ENCODINGS[name][0]}"
        np.testing.assert_allclose(image.calibration.distortion, PUBLISHED_D)
        np.testing.assert_allclose(image.calibration.intrinsics, PUBLISHED_K)


def test_pictures_calibration_cloud_and_odometry_of_one_camera_are_enough_for_the_report(
    small_bag, seen, tmp_path, monkeypatch, capsys
):
    """The shipped networks on four topics with other names, one front camera and a command on the command line."""
    bag = of_full_size(small_bag, seen, lambda make, image: to_image(make, image, "cam"))
    bag.drop("/driving_command").drop("front_left").drop("front_right").rename(
        {
            "/camera/front/image_raw": "/zed/left/image",
            "/camera/front/camera_info": "/zed/left/camera_info",
            "/lidar/points": "/ouster/points",
            "/odometry": "/vehicle/odom",
        }
    )
    path = bag.write(tmp_path / "bag")
    assert {entry.message.__msgtype__ for entry in bag.entries} == {
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/PointCloud2",
        "nav_msgs/msg/Odometry",
    }
    topics = {
        "camera/front/image_raw": "/zed/left/image",
        "camera/front/camera_info": "/zed/left/camera_info",
        "lidar/points": "/ouster/points",
        "odometry": "/vehicle/odom",
    }
    options = [part for name, topic in topics.items() for part in ("--topic", f"{name}:={topic}")]
    command = ["bag-eval", str(path), "--command", "straight", "--report", str(tmp_path / "out"), *options]
    monkeypatch.setattr(sys, "argv", ["pair-drive", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert f"plans: {FRAMES} of {FRAMES} frames" in capsys.readouterr().out
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img[^>]*src="data:image/png;base64,([^"]{1000,})', page)
    assert len(pictures) >= 2, "points in the picture; cameras with the plan and the LiDAR from above"
    numbers = json.loads((tmp_path / "out" / "report.json").read_text())
    assert numbers["planner"] == "pair"
    assert [entry["command"] for entry in numbers["shadow"]] == ["straight"] * FRAMES
    assert all(0.0 <= entry["score"] <= 1.0 for entry in numbers["shadow"]), "the predicted reward"
    assert any("out of distribution: no CAM_L0, CAM_R0" in note for note in numbers["notes"])
