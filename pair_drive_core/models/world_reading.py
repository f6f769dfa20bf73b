"""Reads imagined layers along trajectories: what is under the vehicle at each pose, at that pose's own time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pair_drive_core.geometry import transform_points, wrap_angle
from pair_drive_core.models.world_layers import (
    BINARY_LAYERS,
    OCCUPANCY_INTERVAL_S,
    OCCUPANCY_TIMES,
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
    time: Tensor
    occupied_at: Tensor
    red_at: Tensor

    def __init__(self, range_m: float, ahead_m: float, substeps: int = 1) -> None:
        super().__init__()
        self.range_m = range_m
        self.substeps = substeps
        self.register_buffer("grid", footprint_grid(), persistent=False)
        self.register_buffer("middle", torch.tensor([ahead_m, 0.0]), persistent=False)
        time = torch.arange(1, self.steps + 1) * (PLAN_INTERVAL_S / substeps)
        looks = torch.stack([time + look_s for look_s in _LOOK_AHEAD_S])
        occupied_at = torch.stack([_weights(at, OCCUPANCY_TIMES, OCCUPANCY_INTERVAL_S) for at in (time, *looks)])
        self.register_buffer("time", time, persistent=False)
        self.register_buffer("occupied_at", occupied_at, persistent=False)
        self.register_buffer("red_at", _weights(time, len(_RED_TIMES_S), _RED_TIMES_S[1]), persistent=False)

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
        time = self.time
        under = self._sample(layers, fine)
        occupied = _at_time(under[..., WorldLayer.OCCUPIED : BINARY_LAYERS], self.occupied_at[0])
        red = _at_time(under[..., WorldLayer.RED_NOW : WorldLayer.STATIC], self.red_at)
        static = under[..., WorldLayer.STATIC]
        ahead = self._ahead(layers, fine, speed)
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

    def _ahead(self, layers: Tensor, poses: Tensor, speed: Tensor) -> list[Tensor]:
        """(B, K, S, POINTS) each: whether somebody is where the vehicle would be after going on for a while."""
        way = speed.clamp(min=0.0)
        step = torch.stack((poses[..., 2].cos() * way, poses[..., 2].sin() * way, torch.zeros_like(way)), dim=-1)
        gone = torch.cat([poses + look_s * step for look_s in _LOOK_AHEAD_S], dim=2)
        there = self._sample(layers[:, WorldLayer.STATIC : BINARY_LAYERS], gone).chunk(len(_LOOK_AHEAD_S), dim=2)
        return [
            torch.maximum(_at_time(part[..., 1:], self.occupied_at[1 + k]), part[..., 0])
            for k, part in enumerate(there)
        ]


def refined_poses(poses: Tensor, substeps: int) -> tuple[Tensor, Tensor]:
    """Poses and speeds, m/s, at `substeps` times the rate: cubic Hermite between the poses, from the origin on."""
    knots = functional.pad(poses, (0, 0, 1, 0))
    chord = (knots[..., 1:, :2] - knots[..., :-1, :2]).norm(dim=-1, keepdim=True)
    if substeps == 1:
        return poses, (chord / PLAN_INTERVAL_S).squeeze(-1)
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


def _weights(time: Tensor, count: int, interval_s: float) -> Tensor:
    """(S, T): how much each of T layers, `interval_s` apart, counts at times, (S,), s; the last holds on."""
    place = (time / interval_s).clamp(max=count - 1)
    return (1.0 - (place.unsqueeze(1) - torch.arange(count)).abs()).clamp(min=0.0)


def _at_time(channels: Tensor, weights: Tensor) -> Tensor:
    """(B, K, S, P) from (B, K, S, P, T) readings of layers and the weights of each pose, (S, T)."""
    return (channels * weights.to(channels.dtype).unsqueeze(1)).sum(-1)


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
    heading = functional.pad(poses[..., 2], (1, 0))
    turn = wrap_angle(heading[..., 1:] - heading[..., :-1]) / interval_s
    gain = (speed - before) / PLAN_INTERVAL_S
    return torch.stack((speed / 10.0, gain / 4.0, turn, turn * speed / 4.0), dim=-1)
