"""Mounts that the sensors themselves contradict, on a second of driving through the town."""

from dataclasses import replace

import numpy as np
import pytest

from pair_drive_core.driving.mount_check import MountCheck
from pair_drive_core.driving.picture_motion import SkyAndGround, sky_and_ground
from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.scene import AgentInput, CameraImage, LidarSweep

MOUNTS = SensorMounts()


@pytest.fixture(scope="module")
def driven():
    """What is seen in ten moments 0.1 s apart, straight on at about 7 m/s."""
    drive = TownDrive(20004, 3, image_width_px=480)
    inputs = []
    for _ in range(10):
        readings = drive.readings()
        inputs.append(AgentInput((readings.status,), readings.cameras, readings.lidar))
        drive.advance(None)
    return inputs


def found(inputs, mounts=MOUNTS, **options):
    """Findings by the sensor or parameter that they begin with."""
    check = MountCheck(mounts, **{"period_s": 0.0, "at_once": True, **options})
    for agent_input in inputs:
        check.look(agent_input)
    return {finding.text.split(":")[0]: finding for finding in check.findings}


def with_points(agent_input, change):
    points = change(agent_input.lidar.points.copy()).astype(np.float32)
    return replace(agent_input, lidar=LidarSweep(points, agent_input.lidar.time_us))


def with_cameras(agent_input, change):
    return replace(agent_input, cameras={name: change(image) for name, image in agent_input.cameras.items()})


def turned_points(matrix):
    def turn(points):
        points[:, :3] = points[:, :3] @ np.array(matrix).T
        return points

    return turn


def test_mounts_that_are_right_are_not_complained_of(driven):
    assert found(driven) == {}
    assert found(driven, mounts=None) == {}


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (np.diag([-1.0, -1.0, 1.0]), "turned by 180 degrees (yaw)"),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], "turned by 90 degrees to the right"),
        ([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], "turned by 90 degrees to the left"),
        (np.diag([1.0, -1.0, -1.0]), "upside down"),
    ],
)
def test_a_lidar_that_is_turned_is_found_by_what_stands_still(driven, turn, words):
    wrong = found([with_points(agent_input, turned_points(turn)) for agent_input in driven])
    assert set(wrong) == {"LiDAR"} and wrong["LiDAR"].certain
    assert words in wrong["LiDAR"].text and "mount.lidar = [0.0" in wrong["LiDAR"].text


def test_a_lidar_without_its_height_and_one_that_looks_back_are_found(driven):
    low = found([with_points(agent_input, lambda p: p - np.array([0, 0, 1.8, 0])) for agent_input in driven])
    ((cause, finding),) = low.items()
    assert "1.9 m below" in cause and not finding.certain

    def only_behind(points):
        ahead = points[points[:, 0] > 2.0]
        ahead[:, :2] *= -1.0
        return ahead

    standing = [with_points(driven[0], only_behind)] * 2
    later = replace(standing[0], status=(replace(driven[0].now, time_us=driven[0].now.time_us + 100_000),))
    away = found([standing[0], later])
    assert "none of its points lies in a camera's view" in away["LiDAR"].text


def test_pictures_that_are_upside_down_are_found_by_what_moves_in_them(driven):
    def flipped(image):
        return CameraImage(image.calibration, np.ascontiguousarray(image.rgb[::-1, ::-1]), image.time_us)

    wrong = found([with_cameras(agent_input, flipped) for agent_input in driven])
    assert set(wrong) == {"CAM_L0", "CAM_F0", "CAM_R0"}
    for finding in wrong.values():
        assert finding.certain and "contradicts mount.front" in finding.text and "upside down" in finding.text


@pytest.mark.parametrize("name", ["CAM_L0", "CAM_F0", "CAM_R0"])
def test_a_picture_of_the_other_direction_is_found_where_the_mount_looks_as_it_should(driven, name):
    """The camera really looks the other way: what moves in its pictures moves backwards."""

    def backwards(inputs):
        stamps = [agent_input.now for agent_input in inputs]
        pictures = [agent_input.cameras[name] for agent_input in reversed(inputs)]
        for now, agent_input, image in zip(stamps, inputs, pictures, strict=True):
            yield replace(agent_input, cameras={**agent_input.cameras, name: replace(image, time_us=now.time_us)})

    wrong = found(list(backwards(driven)))
    assert set(wrong) == {name}
    assert wrong[name].certain and "contradicts mount.front" in wrong[name].text


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (np.diag([-1.0, -1.0, 1.0]), "180 degrees away from where this camera looks"),
        (np.diag([1.0, -1.0, -1.0]), "upside down or on its side"),
    ],
)
def test_a_mount_that_looks_elsewhere_is_found_at_once_even_standing(driven, turn, words):
    def mounted(image):
        calibration = image.calibration
        if calibration.name == "CAM_F0":
            calibration = replace(calibration, ego_r_camera=turn @ calibration.ego_r_camera)
        return replace(image, calibration=calibration)

    wrong = found([with_cameras(driven[0], mounted)], mounts=None)
    assert set(wrong) == {"CAM_F0"} and wrong["CAM_F0"].certain
    assert words in wrong["CAM_F0"].text and "the transform of CAM_F0" in wrong["CAM_F0"].text


def test_angles_of_more_than_a_turn_are_degrees(driven):
    degrees = SensorMounts(front_left=(1.5, 0.4, 1.5, 0.0, 0.0, 55.0), lidar=(0.0, 0.0, 0.0, 0.0, 0.0, 90.0))
    check = MountCheck(degrees)
    assert [finding.text.split(":")[0] for finding in check.findings] == ["mount.front_left", "mount.lidar"]
    assert all("degrees? Expected rad" in finding.text for finding in check.findings)
    assert set(found(driven, degrees)) == {"mount.front_left", "mount.lidar"}, "said once, by the parameter's name"


def test_a_vehicle_that_stands_proves_nothing(driven):
    standing = [
        replace(driven[0], status=(replace(driven[0].now, time_us=driven[0].now.time_us + 100_000 * k),))
        for k in range(8)
    ]
    assert found(standing) == {}
    upside_down = [with_points(i, turned_points(np.diag([-1.0, -1.0, 1.0]))) for i in standing]
    assert found(upside_down) == {}


def test_a_running_node_looks_at_one_thing_at_a_time(driven):
    """A look costs some 10 ms, so each moment has at most one, and most have none."""
    check = MountCheck(replace(MOUNTS, odometry=(0.0, 0.0, 0.0, 0.0, 0.0, 90.0)), period_s=0.3)
    looks = []
    for agent_input in driven:
        before = check.findings
        check.look(agent_input)
        looks.append(check.findings is not before)
    assert 0 < sum(looks) < len(looks), "(findings are made anew by each look)"


def outdoors(sky, ground, size=(90, 160)):
    """A smooth sky over a rough ground."""
    picture = np.full((*size, 3), sky, dtype=np.int64)
    rough = np.random.default_rng(0).integers(-30, 30, (size[0] // 2, size[1], 1))
    picture[size[0] // 2 :] = ground + rough
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_a_bright_smooth_side_is_the_sky(driven):
    image = driven[0].cameras["CAM_F0"]
    calibration = replace(image.calibration.scaled(160, 90), distortion=np.zeros(5))
    upright = CameraImage(calibration, outdoors(210, 90), 0)
    assert sky_and_ground(upright) is SkyAndGround.UPRIGHT
    flipped = CameraImage(calibration, np.ascontiguousarray(upright.rgb[::-1, ::-1]), 0)
    assert sky_and_ground(flipped) is SkyAndGround.UPSIDE_DOWN
    night = CameraImage(calibration, outdoors(10, 60), 0)
    assert sky_and_ground(night) is SkyAndGround.UNKNOWN
    standing = [
        replace(
            driven[0],
            cameras={"CAM_F0": flipped},
            status=(replace(driven[0].now, time_us=100_000 * k, pose=np.array([0.8 * k, 0.0, 0.0])),),
        )
        for k in range(8)
    ]
    wrong = found(standing)
    assert "are they upside down" in wrong["CAM_F0"].text and not wrong["CAM_F0"].certain
