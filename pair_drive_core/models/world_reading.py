"""Reads imagined layers along trajectories: what is under the vehicle at each pose, at that pose's own time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pair_drive_core.geometry import transform_points, wrap_angle
from pair_drive_core.models.world_layers import (
    BINARY_LAYERS,
    OCCUPANCY_INTERVAL_S,
    WorldLayer,
)
from pair_drive_core.scene import PACIFICA, PLAN_INTERVAL_S, PLAN_STEPS, VehicleParameters

_ALONG, _ACROSS = 5, 3
POINTS = _ALONG * _ACROSS
"""Points of the footprint that are looked at."""
_CENTER = POINTS // 2
_LOOK_AHEAD_S = (0.5, 1.0)
"""How far ahead, at constant velocity, others are looked for (time to collision)."""
_RED_TIMES_S = (0.0, 2.0, 4.0)
READING_SIZE = POINTS * (6 + len(_LOOK_AHEAD_S)) + 7 + 5
"""Numbers a pose: six layers and the looks ahead at every point, seven readings of the centre, five of motion."""
SUMMARY_SIZE = 2 * (6 + len(_LOOK_AHEAD_S)) + 3


def footprint_grid(vehicle: VehicleParameters = PACIFICA) -> Tensor:
    """(POINTS, 2): an even grid over the vehicle's box, its edges included, the middle one at its centre; m."""
    along = torch.linspace(-vehicle.rear_length_m, vehicle.front_length_m, _ALONG)
    across = torch.linspace(-vehicle.width_m / 2.0, vehicle.width_m / 2.0, _ACROSS)
    return torch.cartesian_prod(along, across)


class WorldReading(nn.Module):
    """Layers and trajectories to numbers; it has no weights.

    Args:
        range_m: half the side of the layers.
        ahead_m: how far their middle lies ahead of the rear axle.
        substeps: readings a pose, the pose itself included.
    """

    grid: Tensor
    middle: Tensor

    def __init__(self, range_m: float, ahead_m: float, substeps: int = 1) -> None:
        super().__init__()
        self.range_m = range_m
        self.substeps = substeps
        self.register_buffer("grid", footprint_grid(), persistent=False)
        self.register_buffer("middle", torch.tensor([ahead_m, 0.0]), persistent=False)

    @property
    def steps(self) -> int:
        """Poses that are read."""
        return PLAN_STEPS * self.substeps

    def forward(self, layers: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Read.

        Args:
            layers: (B, LAYERS, h, w), in the order of `WorldLayer`.
            poses: (B, K, 8, 3), ego frame at t0; m, rad.

        Returns:
            (B, K, steps, READING_SIZE), and (B, K, SUMMARY_SIZE): the worst of the readings over all poses.
        """
        fine, speed = refined_poses(poses, self.substeps)
        time = torch.arange(1, self.steps + 1, device=poses.device) * (PLAN_INTERVAL_S / self.substeps)
        under = self._sample(layers, fine)
        occupied = _at_time(under[..., WorldLayer.OCCUPIED : BINARY_LAYERS], time, OCCUPANCY_INTERVAL_S)
        red = _at_time(under[..., WorldLayer.RED_NOW : WorldLayer.STATIC], time, _RED_TIMES_S[1])
        static = under[..., WorldLayer.STATIC]
        ahead = [self._ahead(layers, fine, speed, time, look) for look in _LOOK_AHEAD_S]
        blocked = 1.0 - under[..., WorldLayer.DRIVABLE]
        at_points = torch.stack(
            (blocked, -under[..., WorldLayer.EDGE], under[..., WorldLayer.ON_ROUTE], red, occupied, static, *ahead), -1
        )
        center = under[..., _CENTER, :]
        motion = _motion(fine, speed, self.substeps)
        clock = (time / time[-1]).expand(speed.shape).unsqueeze(-1)
        readings = torch.cat((at_points.flatten(3), _along_line(center, fine), motion, clock), dim=-1)
        over_points = at_points.amax(3)
        off = (center[..., WorldLayer.LATERAL].abs() - 0.125).clamp(0.0, 0.25)
        progress = center[..., -1, WorldLayer.PROGRESS : WorldLayer.PROGRESS + 1]
        counted = off * (1.0 - center[..., WorldLayer.INTERSECTION])
        tail = torch.stack((off.mean(2), counted.mean(2)), dim=-1)
        summary = torch.cat((over_points.amax(2), over_points.mean(2), progress, tail), dim=-1)
        return readings, summary

    def _sample(self, layers: Tensor, poses: Tensor) -> Tensor:
        """(B, K, S, POINTS, C): layers under the footprint at poses, (B, K, S, 3); zero outside."""
        points = transform_points(poses.unsqueeze(-2), self.grid.to(poses.dtype))
        batch, count = poses.shape[:2]
        place = ((points - self.middle) / self.range_m).flip(-1).reshape(batch, count, -1, 2)
        read = functional.grid_sample(layers, place, mode="bilinear", align_corners=False)
        return read.permute(0, 2, 3, 1).reshape(*poses.shape[:3], POINTS, -1)

    def _ahead(self, layers: Tensor, poses: Tensor, speed: Tensor, time: Tensor, look_s: float) -> Tensor:
        """(B, K, S, POINTS): whether somebody is where the vehicle would be after going on for a while."""
        way = look_s * speed.clamp(min=0.0)
        forward = torch.stack((poses[..., 2].cos(), poses[..., 2].sin()), dim=-1) * way.unsqueeze(-1)
        gone = torch.cat((poses[..., :2] + forward, poses[..., 2:]), dim=-1)
        there = self._sample(layers[:, WorldLayer.STATIC : BINARY_LAYERS], gone)
        occupied = _at_time(there[..., 1:], time + look_s, OCCUPANCY_INTERVAL_S)
        return torch.maximum(occupied, there[..., 0])


def refined_poses(poses: Tensor, substeps: int) -> tuple[Tensor, Tensor]:
    """Poses and speeds, m/s, at `substeps` times the rate: cubic Hermite between the poses, from the origin on."""
    knots = torch.cat((torch.zeros_like(poses[..., :1, :]), poses), dim=-2)
    chord = (knots[..., 1:, :2] - knots[..., :-1, :2]).norm(dim=-1, keepdim=True)
    direction = torch.stack((knots[..., 2].cos(), knots[..., 2].sin()), dim=-1)
    start, end = direction[..., :-1, :] * chord, direction[..., 1:, :] * chord
    turn = wrap_angle(knots[..., 1:, 2:] - knots[..., :-1, 2:])
    parts = []
    for k in range(1, substeps + 1):
        u = k / substeps
        xy = (
            (2 * u**3 - 3 * u**2 + 1) * knots[..., :-1, :2]
            + (u**3 - 2 * u**2 + u) * start
            + (3 * u**2 - 2 * u**3) * knots[..., 1:, :2]
            + (u**3 - u**2) * end
        )
        parts.append(torch.cat((xy, knots[..., :-1, 2:] + u * turn), dim=-1))
    fine = torch.stack(parts, dim=-2).flatten(-3, -2)
    speed = (chord / PLAN_INTERVAL_S).expand(*chord.shape[:-1], substeps).flatten(-2)
    return fine, speed


def _at_time(channels: Tensor, time: Tensor, interval_s: float) -> Tensor:
    """(B, K, S, P) from (B, K, S, P, T) readings of layers every `interval_s`, at the time of each pose, (S,)."""
    place = (time / interval_s).clamp(max=channels.shape[-1] - 1)
    index = torch.arange(channels.shape[-1], device=time.device)
    weight = (1.0 - (place.unsqueeze(1) - index).abs()).clamp(min=0.0).to(channels.dtype)
    return torch.einsum("bkspt,st->bksp", channels, weight)


def _along_line(center: Tensor, poses: Tensor) -> Tensor:
    """(B, K, S, 7): on the route, in an intersection, lateral distance, progress, its gain, turn against the line."""
    cos, sin = poses[..., 2].cos(), poses[..., 2].sin()
    line_cos, line_sin = center[..., WorldLayer.LINE_COS], center[..., WorldLayer.LINE_SIN]
    return torch.stack(
        (
            center[..., WorldLayer.ON_ROUTE],
            center[..., WorldLayer.INTERSECTION],
            center[..., WorldLayer.LATERAL],
            center[..., WorldLayer.LATERAL].abs(),
            center[..., WorldLayer.PROGRESS],
            cos * line_cos + sin * line_sin,
            sin * line_cos - cos * line_sin,
        ),
        dim=-1,
    )


def _motion(poses: Tensor, speed: Tensor, substeps: int) -> Tensor:
    """(B, K, S, 4): speed, its change, turn and lateral acceleration, each about 1 at most."""
    interval_s = PLAN_INTERVAL_S / substeps
    before = torch.cat((speed[..., :1], speed[..., :-1]), dim=-1)
    heading = torch.cat((torch.zeros_like(poses[..., :1, 2]), poses[..., 2]), dim=-1)
    turn = wrap_angle(heading.diff(dim=-1)) / interval_s
    gain = (speed - before) / PLAN_INTERVAL_S
    return torch.stack((speed / 10.0, gain / 4.0, turn, turn * speed / 4.0), dim=-1)
