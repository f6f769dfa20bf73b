"""Refuses plans that no vehicle should be given, whatever the networks thought."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import EgoStatus, Trajectory

STANDING_STEP_M = 1.0
"""Steps shorter than this say nothing about curvature: noise of the pose dominates."""

SLOWING_MPS2 = 1.0
"""A vehicle that is faster than the limit must slow down at least this much."""
CRAB_STEPS = 3


@dataclass(frozen=True)
class GuardLimits:
    """Bounds of a plausible plan; wide on purpose: they catch defects, they do not drive.

    Attributes:
        max_speed_mps: between any two poses.
        max_reverse_speed_mps: likewise, backwards.
        max_acceleration_mps2: change of speed between steps, speeding up.
        max_deceleration_mps2: likewise, slowing down.
        max_jerk_mps3: change of that change, either way: no plan speeds up and brakes in turns.
        max_lateral_acceleration_mps2: speed times heading rate.
        max_curvature_per_m: change of heading a metre, on steps long enough to tell.
        max_standing_turn_rad: change of heading, over any part of the plan, beyond what its length and the greatest
            curvature explain: no turning on the spot.
        max_slip_m: sideways part of a step, against the mean heading of the step.
        max_crab_m: mean sideways part of the steps of 1.5 s: no crabbing.
        max_jump_m: how far a plan may lie beside the one before within the next 2 s, while that is fresh.
        previous_plan_s: how long a good plan may be driven on when none follows, before the ego stops.
        start_margin_m: how far the first pose may lie from where the ego can be, beyond what acceleration explains.
    """

    max_speed_mps: float = 30.0
    max_reverse_speed_mps: float = 1.0
    max_acceleration_mps2: float = 8.0
    max_deceleration_mps2: float = 10.0
    max_jerk_mps3: float = 30.0
    max_lateral_acceleration_mps2: float = 8.0
    max_curvature_per_m: float = 0.35
    max_standing_turn_rad: float = 0.5
    max_slip_m: float = 1.0
    max_crab_m: float = 0.45
    start_margin_m: float = 0.75
    max_jump_m: float = 4.0
    previous_plan_s: float = 0.5

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        named = {field.name: float(getattr(self, field.name)) for field in fields(self)}
        found = [f"{name}: expected a positive number, got {value}" for name, value in named.items() if not value > 0]
        if self.max_reverse_speed_mps > self.max_speed_mps:
            found.append(
                f"max_reverse_speed_mps: expected at most max_speed_mps = {self.max_speed_mps}, "
                f"got {self.max_reverse_speed_mps}"
            )
        return found


def guard_violations(poses: Tensor, status: EgoStatus, limits: GuardLimits, interval_s: float) -> list[str]:
    """What is wrong with a plan; empty for a plan that may be driven.

    Args:
        poses: (8, 3), ego frame at t0; m, rad.
        status: the ego at t0.
        limits: bounds.
        interval_s: time between poses.

    Returns:
        One line a violated bound, with the worst value and its time.
    """
    if poses.ndim != 2 or poses.shape[1] != 3 or poses.shape[0] < 1:
        return [f"expected poses of shape (8, 3), got {tuple(poses.shape)}"]
    if not bool(torch.isfinite(poses).all()):
        return ["not finite"]
    knots = Trajectory(poses.to(torch.float64), interval_s).with_start()
    step = knots[1:, :2] - knots[:-1, :2]
    turn = wrap_angle(knots[1:, 2] - knots[:-1, 2])
    middle = knots[:-1, 2] + 0.5 * turn
    forward = step[:, 0] * middle.cos() + step[:, 1] * middle.sin()
    sideways = -step[:, 0] * middle.sin() + step[:, 1] * middle.cos()
    speed = forward / interval_s
    change = speed.diff() / interval_s
    lateral = speed * turn / interval_s
    long_enough = step.norm(dim=-1) > STANDING_STEP_M
    curvature = torch.where(long_enough, turn / step.norm(dim=-1).clamp(min=STANDING_STEP_M), torch.zeros_like(turn))
    # A vehicle that is too fast already cannot but be it for a while; it shall slow down.
    time_s = interval_s * torch.arange(1, speed.shape[0] + 1, dtype=torch.float64)
    slowing = float(status.velocity[0]) - SLOWING_MPS2 * time_s + 1e-3
    checks = (
        ("speed", torch.where(speed > slowing, speed, 0.0 * speed), limits.max_speed_mps, "m/s"),
        ("reverse speed", -speed, limits.max_reverse_speed_mps, "m/s"),
        ("acceleration", change, limits.max_acceleration_mps2, "m/s^2"),
        ("deceleration", -change, limits.max_deceleration_mps2, "m/s^2"),
        ("jerk", (change.diff() / interval_s).abs(), limits.max_jerk_mps3, "m/s^3"),
        ("lateral acceleration", lateral.abs(), limits.max_lateral_acceleration_mps2, "m/s^2"),
        ("curvature", curvature.abs(), limits.max_curvature_per_m, "1/m"),
        ("turn on the spot", _standing_turn(step, turn, limits), limits.max_standing_turn_rad, "rad"),
        ("sideways step", sideways.abs(), limits.max_slip_m, "m"),
        ("mean sideways step", _window_mean(sideways, CRAB_STEPS).abs(), limits.max_crab_m, "m"),
    )
    found = [
        f"{name} {float(values.max()):.2f} {unit} above {limit} at {(int(values.argmax()) + 1) * interval_s:.1f} s"
        for name, values, limit, unit in checks
        if values.numel() and float(values.max()) > limit
    ]
    gap = _start_gap(float(forward[0]), float(status.velocity[0]), limits, interval_s)
    if gap > limits.start_margin_m:
        found.append(
            f"start {gap:.2f} m beyond what the ego at {float(status.velocity[0]):.1f} m/s can reach in {interval_s} s"
        )
    return found


def _standing_turn(step: Tensor, turn: Tensor, limits: GuardLimits) -> Tensor:
    """(steps,) greatest turn up to each step, from any before it, that the way between them does not explain; rad."""
    heading = torch.cat((turn.new_zeros(1), turn.cumsum(0)))
    way = torch.cat((turn.new_zeros(1), step.norm(dim=-1).cumsum(0)))
    turned = (heading.unsqueeze(1) - heading).abs() - limits.max_curvature_per_m * (way.unsqueeze(1) - way)
    return turned.tril().amax(1)[1:]


def _window_mean(values: Tensor, steps: int) -> Tensor:
    """Means over windows of so many steps (all of them where there are fewer)."""
    return values.unfold(0, min(steps, values.shape[0]), 1).mean(-1)


def _start_gap(first_step_m: float, speed_mps: float, limits: GuardLimits, interval_s: float) -> float:
    """Distance of the first pose from the stretch of road where the ego can be after one interval, m."""
    half_square = 0.5 * interval_s * interval_s
    farthest = speed_mps * interval_s + limits.max_acceleration_mps2 * half_square
    # A braking vehicle stops; it does not roll back.
    nearest = min(0.0, speed_mps * interval_s)
    if speed_mps > 0:
        braking_s = min(interval_s, speed_mps / limits.max_deceleration_mps2)
        nearest = speed_mps * braking_s - 0.5 * limits.max_deceleration_mps2 * braking_s * braking_s
    return max(first_step_m - farthest, nearest - first_step_m, 0.0)
