from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pair_drive_core.scene import ALL_CAMERAS, FRONT_CAMERAS
from pair_drive_core.town import (
    CameraRenderer,
    Daylight,
    GroundTexture,
    LidarConfig,
    SceneCutter,
    TownSensors,
    World,
    cast_lidar,
    draw_daylight,
    navsim_calibration,
    stitch_calibrations,
)
from pair_drive_core.town.data.contact_sheet import SheetEntry, draw_sheet
from pair_drive_core.town.sensing.lidar import cast_ranges
from pair_drive_core.town.sensing.projection import project
from pair_drive_core.town.sensing.world import Shape

QUIET = LidarConfig(rings=5, columns=360, lowest_deg=-20.0, highest_deg=0.0, noise_m=0.0, drop_out=0.0)


def box_world(x: float, y: float, heading: float, size: tuple[float, float, float], rgb: tuple[int, int, int]) -> World:
    return World(
        np.array([[x, y, heading]]), np.array([size]), np.zeros(1), np.array([rgb], dtype=np.uint8),
        np.array([int(Shape.OBSTACLE)]), np.zeros(1, dtype=np.int64), np.full(1, -1),
    )  # fmt: skip


EMPTY = box_world(500.0, 0.0, 0.0, (1.0, 1.0, 1.0), (0, 0, 0)).select(np.zeros(0, dtype=np.int64))


def test_a_point_ahead_is_seen_where_the_pinhole_says() -> None:
    camera = navsim_calibration("CAM_F0")
    x, y, z = camera.ego_t_camera
    pixels, depth = project(camera, np.array([[x + 10.0, y - 2.0, z - 1.0]]))
    assert depth[0] == pytest.approx(10.0)
    assert pixels[0] == pytest.approx([960.0 + 1545.0 * 0.2, 560.0 + 1545.0 * 0.1])


def test_side_cameras_look_to_their_side_and_rear_cameras_back() -> None:
    for name in ALL_CAMERAS:
        forward = navsim_calibration(name).ego_r_camera[:, 2]
        if "L" in name[4:]:
            assert forward[1] > 0.3
        if "R" in name[4:]:
            assert forward[1] < -0.3
        rotation = navsim_calibration(name).ego_r_camera
        assert np.allclose(rotation @ rotation.T, np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert navsim_calibration("CAM_B0").ego_r_camera[0, 2] == pytest.approx(-1.0)
    with pytest.raises(ValueError, match="camera: expected one of CAM_F0"):
        navsim_calibration("CAM_X")


def test_the_stitch_is_the_official_crop(sensors: TownSensors, cutter: SceneCutter) -> None:
    left, front, right = stitch_calibrations(1024, 256)
    assert left.width_px + front.width_px + right.width_px == 1024
    assert front.intrinsics[0, 0] == pytest.approx(1545.0 / 4)
    step = cutter.steps[3]
    pictures = sensors.cameras(step, 1, width_px=1920)
    parts = []
    for name in FRONT_CAMERAS:
        trim = 0 if name == "CAM_F0" else 416
        parts.append(pictures[name].rgb[28:-28, trim : 1920 - trim])
    joined = cv2.resize(np.concatenate(parts, axis=1), (256, 64), interpolation=cv2.INTER_AREA)
    fast = sensors.stitched(step, 1, 256, 64)
    assert fast.shape == (64, 256, 3)
    assert np.abs(joined.astype(float) - fast).mean() < 4.0


def test_a_box_is_painted_where_it_projects(sensors: TownSensors) -> None:
    renderer = CameraRenderer(sensors.ground)
    camera = navsim_calibration("CAM_F0").scaled(480, 270)
    world = box_world(20.0, 3.0, 0.4, (3.0, 2.0, 2.0), (255, 0, 255))
    town_pose = np.array([60.0, 60.0, 0.3])
    with_box = renderer.render(camera, world, town_pose)
    without = renderer.render(camera, EMPTY, town_pose)
    changed = np.argwhere((with_box.astype(int) - without).any(-1))
    pixels, _ = project(camera, np.array([[20.0, 3.0, 1.0]]))
    low, high = changed.min(0)[::-1], changed.max(0)[::-1]
    assert (low <= pixels[0]).all()
    assert (pixels[0] <= high).all()
    assert (high - low)[0] == pytest.approx(480 / 1920 * 1545 * 3.4 / 18.0, rel=0.35)


def test_the_ground_is_painted_where_it_projects(sensors: TownSensors, cutter: SceneCutter) -> None:
    """White squares laid on the texture appear at the pixels where the pinhole puts their centres."""
    simulator = sensors.simulator
    pose = simulator.moments[20].pose[0]
    ground = GroundTexture(simulator.town.network)
    for level, picture in enumerate(ground.levels):
        picture[:] = 0
        for ahead in (8.0, 16.0):
            at = pose[:2] + ahead * np.array([np.cos(pose[2]), np.sin(pose[2])])
            column, row = np.linalg.solve(ground.town_from_pixel(level), np.append(at, 1.0))[:2]
            half = 0.8 / ground.meters_per_px[level]
            top, left = round(row - half), round(column - half)
            picture[top : round(row + half), left : round(column + half)] = 255
    camera = navsim_calibration("CAM_F0").scaled(960, 540)
    seen = CameraRenderer(ground).render(camera, EMPTY, pose, Daylight(haze_m=1e6))
    pixels, _ = project(camera, np.array([[8.0, 0.0, 0.0], [16.0, 0.0, 0.0]]))
    for column, row in pixels.astype(int).tolist():
        assert seen[row, column].min() > 150
    below = seen[int(pixels[1, 1]) + 3 :]
    assert below[: int(pixels[0, 1] - pixels[1, 1]) - 40].max() < 120 or below.max() > 150


def test_the_paint_lies_on_the_middle_of_the_road(sensors: TownSensors) -> None:
    network = sensors.simulator.town.network
    for level, picture in enumerate(sensors.ground.levels[:2]):
        pixel_from_town = np.linalg.inv(sensors.ground.town_from_pixel(level))
        for road in network.roads:
            if not (road.lanes_forward and road.lanes_backward):
                continue
            x, y, heading = road.reference[len(road.reference) // 3]
            for offset, painted in ((0.2, True), (-0.2, True), (1.3, False)):
                at = (x - offset * np.sin(heading), y + offset * np.cos(heading), 1.0)
                column, row = np.round(pixel_from_town @ at)[:2].astype(int)
                red, _, blue = picture[row, column].astype(int)
                assert (red - blue > 25) == painted


def test_pictures_are_the_same_again_and_differ_between_cameras(sensors: TownSensors, cutter: SceneCutter) -> None:
    step = cutter.steps[5]
    one = sensors.cameras(step, 0, ALL_CAMERAS, width_px=320)
    two = sensors.cameras(step, 0, ALL_CAMERAS, width_px=320)
    for name in ALL_CAMERAS:
        one[name].validate()
        assert np.array_equal(one[name].rgb, two[name].rgb)
        assert one[name].rgb.std() > 10.0
    assert not np.array_equal(one["CAM_L0"].rgb, one["CAM_R0"].rgb)


@pytest.mark.parametrize("seed", range(6))
def test_any_weather_can_be_painted(sensors: TownSensors, cutter: SceneCutter, seed: int) -> None:
    light = draw_daylight(np.random.default_rng(seed))
    other = TownSensors(sensors.simulator, sensors.ground, light)
    picture = other.stitched(cutter.steps[4], 0, 256, 64)
    assert picture.std() > 5.0
    assert (picture != sensors.stitched(cutter.steps[4], 0, 256, 64)).any()


def test_light_heads_show_red_and_green(sensors: TownSensors) -> None:
    renderer = CameraRenderer(sensors.ground)
    camera = navsim_calibration("CAM_F0").scaled(960, 540)
    for lamp, bright, dark in ((2, 0, 1), (0, 1, 0)):
        head = box_world(25.0, 0.0, np.pi, (0.35, 0.65, 1.6), (25, 25, 22))
        head = replace(head, base_m=np.array([4.0]), shape=np.array([int(Shape.HEAD)]), lamp=np.array([lamp]))
        picture = renderer.render(camera, head, np.array([60.0, 60.0, 0.3])).astype(int)
        share = 0.8 if lamp == 2 else 0.2
        (pixel,), _ = project(camera, np.array([[25.0 - 0.175, 0.0, 4.0 + 1.6 * share]]))
        value = picture[int(pixel[1]), int(pixel[0])]
        assert value[bright] > value[dark] + 100


def test_ground_ranges_follow_from_height_and_elevation() -> None:
    ranges, _ = cast_ranges(EMPTY, QUIET)
    elevation = np.deg2rad(np.linspace(-20.0, 0.0, 5))
    for ring in range(4):
        expected = QUIET.position[2] / np.sin(-elevation[ring])
        assert ranges[ring] == pytest.approx(expected if expected < QUIET.range_m else np.inf, rel=1e-5)
    assert np.isinf(ranges[4]).all()


def test_a_wall_ahead_is_hit_at_its_distance() -> None:
    wall = box_world(1.2 + 10.5, 0.0, 0.0, (1.0, 40.0, 5.0), (0, 0, 0))
    points = cast_lidar(wall, np.random.default_rng(0), QUIET).points
    on_wall = points[(np.abs(points[:, 1]) < 5.0) & (points[:, 0] > 5.0) & (points[:, 2] > 0.02)]
    assert len(on_wall) > 50
    assert on_wall[:, 0] == pytest.approx(11.2, abs=1e-3)
    behind = points[(points[:, 0] > 11.3) & (np.abs(points[:, 1]) < 5.0)]
    assert len(behind) == 0


def test_a_turned_box_is_hit_on_its_near_faces_and_its_roof() -> None:
    box = box_world(8.0, 4.0, 0.7, (4.0, 2.0, 1.2), (0, 0, 0))
    points = cast_lidar(box, np.random.default_rng(0), replace(QUIET, rings=64, lowest_deg=-30.0)).points
    hit = points[points[:, 2] > 0.02].astype(float)
    offset = hit[:, :2] - np.array([8.0, 4.0])
    cos, sin = np.cos(0.7), np.sin(0.7)
    along, across = offset @ np.array([cos, sin]), offset @ np.array([-sin, cos])
    side = np.maximum(np.abs(along) - 2.0, np.abs(across) - 1.0)
    roof = np.abs(hit[:, 2] - 1.2)
    assert len(hit) > 30
    assert np.minimum(np.abs(side), roof).max() < 1e-3
    assert (roof < 1e-3).any()


def test_rays_pass_beneath_a_raised_box() -> None:
    raised = replace(box_world(10.0, 0.0, 0.0, (2.0, 2.0, 1.0), (0, 0, 0)), base_m=np.array([5.0]))
    with_box, _ = cast_ranges(raised, QUIET)
    without, _ = cast_ranges(EMPTY, QUIET)
    assert np.array_equal(with_box, without)


def test_noise_and_drop_out_have_the_asked_size() -> None:
    wall = box_world(1.2 + 10.5, 0.0, 0.0, (1.0, 400.0, 50.0), (0, 0, 0))
    config = LidarConfig(rings=16, columns=2000, lowest_deg=-1.0, highest_deg=1.0, noise_m=0.05, drop_out=0.3)
    full = cast_lidar(wall, np.random.default_rng(1), replace(config, drop_out=0.0, noise_m=0.0)).points
    noisy = cast_lidar(wall, np.random.default_rng(1), config).points
    assert len(noisy) / len(full) == pytest.approx(0.7, abs=0.02)
    ahead = noisy[(np.abs(noisy[:, 1]) < 1.0) & (noisy[:, 0] > 0.0)]
    assert (ahead[:, 0] - 11.2).std() == pytest.approx(0.05, rel=0.25)
    assert ((noisy[:, 3] >= 0.0) & (noisy[:, 3] <= 1.0)).all()


def test_cameras_and_lidar_see_the_same_car(sensors: TownSensors, cutter: SceneCutter) -> None:
    step = cutter.steps[2]
    for vehicle in range(8):
        world = sensors.world(step, vehicle)
        points = sensors.lidar(step, vehicle, world).points
        cars = np.nonzero((world.shape == int(Shape.BODY)) & (np.hypot(*world.pose[:, :2].T) < 18.0))[0]
        for car in cars:
            near = np.hypot(*(points[:, :2] - world.pose[car, :2]).T) < 0.6 * world.size[car, 0]
            if (near & (points[:, 2] > 0.3)).sum() > 20:
                return
    pytest.fail("no car near any vehicle returned points")


def test_agent_input_needs_no_future(sensors: TownSensors, cutter: SceneCutter) -> None:
    last = len(sensors.simulator.moments) - 1
    found = cutter.agent_input(sensors, last, 0, width_px=240).validate()
    assert set(found.cameras) == set(FRONT_CAMERAS)
    assert len(found.status) == 4
    assert found.now.time_us == found.cameras["CAM_F0"].time_us == found.lidar.time_us


def test_a_contact_sheet_has_a_tile_for_every_scene(sensors: TownSensors, cutter: SceneCutter) -> None:
    step = cutter.steps[4]
    entries = [
        SheetEntry(
            cutter.scene_at(step, v), sensors.cameras(step, v, width_px=160), sensors.lidar(step, v), f"vehicle {v}"
        )
        for v in range(3)
    ]
    one, three = draw_sheet(entries[:1], 2), draw_sheet(entries, 2)
    assert three.shape == (2 * one.shape[0], one.shape[1], 3)
    with pytest.raises(ValueError, match="at least one scene"):
        draw_sheet([])
