"""The classes that the auxiliary BEV map learns, painted from a small scene by hand."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import PairModel
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    MapLayer,
    MapPolygons,
    ObjectType,
    PackedRings,
    Route,
    Scene,
    TrackedObjects,
    TrafficLights,
)
from pair_drive_core.training.bev_targets import BevClass, bev_loss, paint_bev


def box(x0, x1, y0, y1):
    return torch.tensor([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=torch.float64)


@pytest.fixture
def scene():
    """Heading north at (100, 50): a road 12 m wide, the route's lane 0 m to 4 m left, a car 10 m ahead."""
    pose = torch.tensor([100.0, 50.0, torch.pi / 2], dtype=torch.float64)
    road, lane, path = box(94.0, 106.0, 0.0, 200.0), box(96.0, 100.0, 0.0, 200.0), box(106.0, 109.0, 0.0, 200.0)
    layers = torch.tensor([int(MapLayer.ROADBLOCK), int(MapLayer.LANE), int(MapLayer.WALKWAYS)])
    polygons = MapPolygons(
        ("road", "lane", "path"),
        layers,
        PackedRings.from_sequences([road, lane, path]),
        torch.tensor([False, True, False]),
    )
    states = torch.zeros(9, 1, 5, dtype=torch.float64)
    states[:, 0, :3] = torch.tensor([100.0, 60.0, torch.pi / 2], dtype=torch.float64)
    car = TrackedObjects(
        ("car",),
        torch.tensor([int(ObjectType.VEHICLE)]),
        torch.tensor([[4.0, 2.0, 1.5]], dtype=torch.float64),
        states,
        torch.ones(9, 1, dtype=torch.bool),
        0.5,
    )
    zero = torch.zeros(2, dtype=torch.float64)
    history = EgoHistory(torch.tensor([0]), pose[None], zero[None], zero[None])
    route = Route(("lane",), torch.tensor([[98.0, 0.0, torch.pi / 2], [98.0, 200.0, torch.pi / 2]]))
    return Scene("s", 0, EgoState.at(pose, zero, zero), history, car, polygons, route, TrafficLights.empty(41))


def test_classes_lie_where_they_are(scene):
    """Rows ahead, columns to the left: 1 m a cell, the ego at row 32, column 32."""
    canvas = paint_bev(scene, 64, 32.0)
    assert canvas[50, 34] == BevClass.ROUTE_LANE
    assert canvas[20, 34] == BevClass.ROUTE_LANE
    assert canvas[50, 29] == BevClass.DRIVABLE
    assert canvas[50, 37] == BevClass.DRIVABLE
    assert canvas[50, 24] == BevClass.WALKWAY
    assert canvas[50, 45] == BevClass.BACKGROUND
    assert canvas[42, 32] == BevClass.VEHICLE
    assert (canvas == BevClass.VEHICLE).sum() == pytest.approx(8, abs=7)


def test_absent_objects_are_not_painted(scene):
    gone = dataclasses.replace(scene.objects, present=torch.zeros(9, 1, dtype=torch.bool))
    assert (paint_bev(dataclasses.replace(scene, objects=gone), 64, 32.0) == BevClass.VEHICLE).sum() == 0


def test_loss_falls_where_the_map_is_learnt(features, scene):
    torch.manual_seed(0)
    backbone = PairModel(tiny_config()).imitation.backbone
    target = torch.from_numpy(paint_bev(scene, 32, 32.0)).expand(3, -1, -1)
    optimiser = torch.optim.Adam(backbone.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = bev_loss(backbone, backbone(features), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
