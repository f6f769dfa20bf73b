"""Layers read under trajectories, and a reward model that learns from true ones."""

import dataclasses

import pytest
import torch

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.reward_world_model import (
    LayerRewardModel,
    RewardFormula,
    RewardModelConfig,
    RewardReader,
    build_reward_model,
)
from pair_drive_core.models.world_layers import BINARY_LAYERS, LAYERS, WorldLayer
from pair_drive_core.models.world_reading import POINTS, READING_SIZE, SUMMARY_SIZE, WorldReading, refined_poses

SIZE, REACH, AHEAD = 64, 32.0, 16.0
OCCUPIED, LOOK = 4, 6
"""Places of the readings at a point: occupied now, occupied half a second ahead."""


def straight(speed_mps):
    poses = torch.zeros(1, 1, 8, 3)
    poses[0, 0, :, 0] = torch.arange(1, 9) * 0.5 * speed_mps
    return poses


def empty():
    layers = torch.zeros(1, LAYERS, SIZE, SIZE)
    layers[:, WorldLayer.DRIVABLE] = 1.0
    layers[:, WorldLayer.LINE_COS] = 1.0
    return layers


def cell(x, y):
    return int(x - AHEAD + REACH), int(y + REACH)


def at_points(readings):
    return readings[0, 0, :, : POINTS * 8].reshape(-1, POINTS, 8)


def test_occupancy_is_read_at_the_time_of_each_pose():
    """10 m/s: after 2 s the vehicle is at 20 m. A car is there at 2 s only."""
    layers = empty()
    row, column = cell(20.0 + 1.5, 0.0)
    layers[:, int(WorldLayer.OCCUPIED) + 4, row - 1 : row + 2, column - 1 : column + 1] = 1.0
    readings, summary = WorldReading(REACH, AHEAD)(layers, straight(10.0))
    assert readings.shape == (1, 1, 8, READING_SIZE)
    assert summary.shape == (1, 1, SUMMARY_SIZE)
    met = at_points(readings)[..., OCCUPIED].amax(1)
    assert met[3] > 0.9
    assert met[[0, 1, 2, 4, 5, 6, 7]].max() == 0.0
    early, _ = WorldReading(REACH, AHEAD)(layers, straight(5.0))
    assert at_points(early)[..., OCCUPIED].max() == 0.0


def test_a_look_ahead_sees_who_will_be_there():
    """At 1.5 s the vehicle is at 15 m and, going on for half a second, where the car stands at 2 s."""
    layers = empty()
    row, column = cell(20.0 + 1.5, 0.0)
    layers[:, int(WorldLayer.OCCUPIED) + 4, row - 1 : row + 2, column - 1 : column + 1] = 1.0
    readings, _ = WorldReading(REACH, AHEAD)(layers, straight(10.0))
    assert at_points(readings)[2, :, LOOK].max() > 0.9
    assert at_points(readings)[0, :, LOOK].max() == 0.0


def test_leaving_the_road_is_seen_at_the_corner_that_leaves_it():
    layers = empty()
    layers[:, WorldLayer.DRIVABLE, :, : int(REACH) - 1] = 0.0
    readings, _ = WorldReading(REACH, AHEAD)(layers, straight(6.0))
    blocked = at_points(readings)[0, :, 0]
    assert blocked.min() < 0.1
    assert blocked.max() > 0.4


def test_readings_between_poses_follow_the_curve():
    """A quarter circle of 10 m radius: half-way poses are on it within centimetres."""
    angle = torch.arange(1, 9) * (torch.pi / 16)
    poses = torch.stack((10 * angle.sin(), 10 * (1 - angle.cos()), angle), dim=-1)[None, None]
    fine, _ = refined_poses(poses, 2)
    distance = (fine[0, 0, :, :2] - torch.tensor([0.0, 10.0])).norm(dim=-1)
    assert fine.shape == (1, 1, 16, 3)
    assert (distance - 10.0).abs().max() < 0.02
    assert torch.allclose(fine[0, 0, 1::2], poses[0, 0], atol=1e-6)


def test_a_model_learns_from_true_layers_who_collides():
    torch.manual_seed(0)
    config = RewardModelConfig(RewardFormula.PDMS, RewardReader.LAYERS, width=16, hidden=32)
    model = LayerRewardModel(config, REACH, AHEAD)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    speed = torch.rand(12, 8, 1) * 10.0
    poses = torch.zeros(12, 8, 8, 3)
    poses[..., 0] = speed * torch.arange(1, 9) * 0.5
    layers = empty().repeat(12, 1, 1, 1)
    wall = torch.randint(12, 30, (12,))
    for i, x in enumerate(wall.tolist()):
        row, column = cell(float(x), 0.0)
        layers[i, WorldLayer.OCCUPIED : BINARY_LAYERS, row : row + 3, column - 2 : column + 2] = 1.0
    hit = (poses[:, :, -1, 0] + 4.0 > wall[:, None]).float()
    bev = BevFeatures(torch.zeros(12, 0), torch.zeros(12, 0), torch.zeros(12, 8), layers, torch.zeros(12))
    for _ in range(60):
        logits = model(bev, poses)[..., 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, 1.0 - hit)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert ((logits < 0) == (hit > 0.5)).float().mean() > 0.95


def test_without_layers_it_says_so():
    model = LayerRewardModel(RewardModelConfig(reader=RewardReader.LAYERS), REACH, AHEAD)
    bev = BevFeatures(torch.zeros(1, 0), torch.zeros(1, 0), torch.zeros(1, 8))
    with pytest.raises(ValueError, match="expected some in F_BEV, got none"):
        model.predict(bev, straight(5.0))


def test_a_reader_of_both_looks_at_layers_map_and_tokens():
    torch.manual_seed(0)
    config = RewardModelConfig(RewardFormula.EPDMS, RewardReader.BOTH, width=16, heads=2, hidden=32)
    model = build_reward_model(config, memory_width=12, bev_channels=3, range_m=REACH, ahead_m=AHEAD)
    size = empty().shape[-1]
    bev = BevFeatures(
        torch.rand(1, 3, size, size), torch.rand(1, 5, 12), torch.zeros(1, 8), torch.rand_like(empty()), torch.ones(1)
    )
    said = model(bev, straight(5.0))
    changes = {
        "layers": dataclasses.replace(bev, layers=bev.layers.flip(1)),
        "map": dataclasses.replace(bev, bev_map=bev.bev_map + 1.0),
        "tokens": dataclasses.replace(bev, tokens=bev.tokens.flip(1, 2)),
        "progress": dataclasses.replace(bev, best_progress=torch.zeros(1)),
    }
    for name, changed in changes.items():
        assert not torch.allclose(model(changed, straight(5.0)), said), name


def test_a_reader_of_both_needs_layers_too():
    model = build_reward_model(RewardModelConfig(reader=RewardReader.BOTH), 12, 3, REACH, AHEAD)
    bev = BevFeatures(torch.zeros(1, 3, 8, 8), torch.zeros(1, 5, 12), torch.zeros(1, 8))
    with pytest.raises(ValueError, match="expected some in F_BEV, got none"):
        model.predict(bev, straight(5.0))
