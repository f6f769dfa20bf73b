"""Shards of town moments: made once, resumed, refused when torn; and what they hold, against the exact scorer."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.models.features import FeatureConfig, sweep_of_age
from pair_drive_core.models.world_layers import LATERAL_SCALE_M, PROGRESS_SCALE_M, WorldLayer
from pair_drive_core.scene import LidarSweep
from pair_drive_core.scoring import prepare_scenes
from pair_drive_core.scoring.ego_areas import ego_areas
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.town_shards import MomentConfig, ShardConfig, make_shards, moments_of_town
from pair_drive_core.training.world_painting import paint_world, unpack_world

FEATURES = FeatureConfig(
    image_height_px=32,
    image_width_px=128,
    lidar_size_px=64,
    lidar_ahead_m=16.0,
    lidar_past_s=(0.5, 1.0),
    ground_image=True,
    area_interpolation=True,
)
FEW = ShardConfig(4, 1, 0, MomentConfig(scenes_a_town=4, simulated_s=9.0, full_picture_share=0.5), FEATURES)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    assert make_shards(folder, FEW) == 1
    return folder


@pytest.fixture(scope="module")
def samples(root):
    return ShardSamples.of_folder(root)


def test_a_shard_holds_the_moments_of_its_town(samples):
    moments = list(moments_of_town(4, 0, FEW.moments, FEATURES))
    assert len(samples) == len(moments) == 4
    features = samples.features(torch.arange(4))
    for i, moment in enumerate(moments):
        assert torch.allclose(features.camera[i], moment.features.camera[0], atol=1 / 255)
        assert torch.allclose(features.lidar[i], moment.features.lidar[0], atol=1 / 255)
        assert torch.equal(samples.human[i], moment.scene.human.poses.float())
        scene = samples.scene(i)
        assert scene.token == moment.scene.token
        assert scene.reference is not None
    assert features.lidar.shape == (4, 3, 64, 64)
    assert (features.lidar.sum((2, 3)) > 1).all()


def test_a_making_goes_on_where_it_stopped(root):
    (folder,) = root.glob("town_*")
    before = (folder / "index.json").stat().st_mtime_ns
    killed = root / ".town_00005_0000000.1.partial"
    killed.mkdir(exist_ok=True)
    assert make_shards(root, FEW) == 0
    assert (folder / "index.json").stat().st_mtime_ns == before
    assert len(ShardSamples.of_folder(root).folders) == 1


def test_torn_and_foreign_shards_are_refused(root, tmp_path):
    other = dataclasses.replace(FEW, moments=dataclasses.replace(FEW.moments, seed=1))
    with pytest.raises(DatasetError, match=f"expected a shard of recipe {other.recipe()}, got {FEW.recipe()}"):
        make_shards(root, other)
    shutil.copytree(next(root.glob("town_*")), tmp_path / "town_00004_0000000")
    torn = tmp_path / "town_00004_0000000" / "camera.npy"
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"camera\.npy.*torn shard"):
        ShardSamples.of_folder(tmp_path)
    torn.unlink()
    with pytest.raises(DatasetError, match="torn shard"):
        ShardSamples.of_folder(tmp_path)
    index = tmp_path / "town_00004_0000000" / "index.json"
    index.write_text(json.dumps({"format": "something/9"}))
    with pytest.raises(DatasetError, match="something/9"):
        ShardSamples.of_folder(tmp_path)
    with pytest.raises(DatasetError, match="at least one shard"):
        ShardSamples.of_folder(tmp_path / "nothing")


def places(config):
    cell = 2 * config.lidar_range_m / config.lidar_size_px
    center = (torch.arange(config.lidar_size_px, dtype=torch.float64) + 0.5) * cell - config.lidar_range_m
    return torch.stack(torch.meshgrid(center + config.lidar_ahead_m, center, indexing="ij"), dim=-1)


def layers_of(scene):
    painted = paint_world(scene, FEATURES)
    layers, known = unpack_world(
        torch.from_numpy(painted.flags.astype(np.int32))[None], torch.from_numpy(painted.line)[None]
    )
    return layers[0], known[0]


def test_map_layers_agree_with_the_scorers_areas(samples):
    """The scorer's own areas for a vehicle that shrank to a point, at every fifth cell."""
    for i in range(2):
        scene = samples.scene(i)
        layers, _ = layers_of(scene)
        point = dataclasses.replace(scene.vehicle, width_m=0.02, front_length_m=0.01, rear_length_m=0.01)
        tiny = dataclasses.replace(scene, vehicle=point)
        prepared = prepare_scenes([tiny], Metric.V2)
        where = places(FEATURES)[2::5, 2::5].reshape(-1, 2)
        turn = float(scene.ego.pose[2])
        cos, sin = np.cos(turn), np.sin(turn)
        states = torch.zeros(1, len(where), 41, 11)
        states[0, :, :, 0] = (where[:, 0] * cos - where[:, 1] * sin).float().unsqueeze(1)
        states[0, :, :, 1] = (where[:, 0] * sin + where[:, 1] * cos).float().unsqueeze(1)
        states[..., 2] = turn
        areas = ego_areas(Rollouts.from_states(states, prepared.vehicle), prepared, prepared.polygon_index)
        for layer, truth in (
            (WorldLayer.DRIVABLE, ~areas.non_drivable[0, :, 0]),
            (WorldLayer.ON_ROUTE, ~areas.oncoming[0, :, 0]),
            (WorldLayer.INTERSECTION, areas.center_in_intersection[0, :, 0]),
        ):
            painted = layers[layer][2::5, 2::5].reshape(-1) > 0.5
            assert (painted == truth).float().mean() > 0.97, (i, layer)
            assert painted.any()


def test_occupancy_is_where_the_boxes_are(samples):
    """Every box near enough covers about its own area, at its own time, and nothing else is covered."""
    scene = samples.scene(0)
    layers, _ = layers_of(scene)
    objects, cell_area = scene.objects, 1.0
    for time in (0, 4, 8):
        seen = objects.is_agent & objects.present[time]
        offset = objects.states[time, seen, :2] - scene.ego.pose[:2]
        turn = float(scene.ego.pose[2])
        x = offset[:, 0] * np.cos(turn) + offset[:, 1] * np.sin(turn) - FEATURES.lidar_ahead_m
        y = offset[:, 1] * np.cos(turn) - offset[:, 0] * np.sin(turn)
        inside = (x.abs() < 26) & (y.abs() < 26)
        area = (objects.sizes[seen, 0] * objects.sizes[seen, 1])[inside].sum()
        covered = layers[int(WorldLayer.OCCUPIED) + time][6:-6, 6:-6].sum() * cell_area
        assert float(covered) == pytest.approx(float(area), rel=0.5, abs=14.0)
        for place_x, place_y in zip(x[inside].tolist(), y[inside].tolist(), strict=True):
            row, column = (int(np.floor(value + 32)) for value in (place_x, place_y))
            block = layers[int(WorldLayer.OCCUPIED) + time][row - 1 : row + 2, column - 1 : column + 2]
            assert float(block.max()) == 1.0 or float(area) < 2.0


def test_the_human_is_on_the_line_and_gets_on(samples):
    """Along the human's path the lateral distance is small and progress grows like the way driven."""
    moving = [i for i in range(4) if float(samples.human[i, -1, 0]) > 8.0]
    assert moving
    for i in moving:
        layers, known = layers_of(samples.scene(i))
        x, y = samples.human[i, :, 0] - FEATURES.lidar_ahead_m, samples.human[i, :, 1]
        inside = (x.abs() < 31) & (y.abs() < 31)
        rows, columns = (x[inside] + 32).long(), (y[inside] + 32).long()
        assert known[rows, columns].float().mean() > 0.8
        lateral = layers[WorldLayer.LATERAL][rows, columns][known[rows, columns]] * LATERAL_SCALE_M
        assert float(lateral.abs().median()) < 1.5
        progress = layers[WorldLayer.PROGRESS][rows, columns] * PROGRESS_SCALE_M
        assert float(progress[-1] - progress[0]) > 2.0


def test_a_missing_past_leaves_empty_rasters(samples):
    sweep = LidarSweep(np.zeros((1, 4), np.float32), 600_000)
    assert sweep_of_age((sweep,), 1_000_000, 0.5) is sweep
    assert sweep_of_age((sweep,), 1_000_000, 1.0) is None
    assert sweep_of_age((), 1_000_000, 0.5) is None


def test_nobody_drifts_by_more_than_fifteen_degrees_unless_asked_to():
    assert math.degrees(math.atan(MomentConfig().displaced_slope)) == pytest.approx(15.0, abs=0.2)
