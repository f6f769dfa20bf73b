"""When drivers change lanes: to pass somebody slow, or because they feel like it, and only into a gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.traffic.paths import PathBank

CONSIDER_INTERVAL_STEPS = 10
_WHIM_CHANCE = 0.06
"""A second, on a road with a lane to spare."""
_PASSING_CHANCE = 0.35
"""A second, behind somebody slow."""
_DURATION_S = 4.0
_LENGTH_M = (24.0, 46.0)
_BEFORE_JUNCTION_M = 12.0
_BESIDE_M = 2.6
_GAP_AHEAD_M = 9.0
_GAP_BEHIND_M = 9.0
_CLOSING_S = 2.5


@dataclass(frozen=True)
class Movement:
    """Where everybody is.

    Attributes:
        along_m: (V,), arc length on the paths.
        pose: (V, 3), rear axles.
        speed_mps: (V,).
        wanted_mps: (V,), speed that the driver would like.
        gap_m: (V,), to the leader.
        leader_mps: (V,), its speed.
    """

    along_m: FloatArray
    pose: FloatArray
    speed_mps: FloatArray
    wanted_mps: FloatArray
    gap_m: FloatArray
    leader_mps: FloatArray


def change_lanes(
    network: RoadNetwork, paths: PathBank, able: npt.NDArray[np.bool_], now: Movement, rng: np.random.Generator
) -> list[int]:
    """Let drivers decide, once; the random numbers drawn do not depend on the decisions.

    Args:
        network: the map.
        paths: changed in place.
        able: (V,) bool, who may change lanes at all.
        now: where everybody is.
        rng: source of all randomness.

    Returns:
        Rows of those who begin a change.
    """
    draws = rng.random((len(able), 2))
    slow = (now.gap_m < 28.0) & (now.leader_mps < 0.7 * now.wanted_mps) & (now.leader_mps > 0.5)
    keen = draws[:, 0] < np.where(slow, _PASSING_CHANCE, _WHIM_CHANCE)
    changed = []
    for vehicle in np.nonzero(able & keen & (now.speed_mps > 3.5))[0].tolist():
        target = _target(network, paths, vehicle, float(now.along_m[vehicle]), bool(draws[vehicle, 1] < 0.5))
        if target is None:
            continue
        speed = float(now.speed_mps[vehicle])
        begin = float(now.along_m[vehicle]) + max(0.4 * speed, 3.0)
        over = float(np.clip(_DURATION_S * speed, *_LENGTH_M))
        lane, side, end = target
        fits = end - begin > over + _BEFORE_JUNCTION_M
        if fits and _has_gap(now, vehicle, side) and paths.change_lane(vehicle, lane, begin, over):
            changed.append(vehicle)
    return changed


def _target(
    network: RoadNetwork, paths: PathBank, vehicle: int, along_m: float, left_first: bool
) -> tuple[int, float, float] | None:
    """A neighbouring lane, its distance to the left and where the present lane ends on the path."""
    span = next((s for s in paths.spans[vehicle] if s.start_m <= along_m < s.end_m), None)
    if span is None or span.leg.into is not None:
        return None
    lane = network.lanes[span.lane]
    choices = [(lane.left, lane.width_m), (lane.right, -lane.width_m)]
    for target, side in choices if left_first else reversed(choices):
        # Round a construction zone everybody stays in lane.
        if target is not None and span.lane not in paths.detours and target not in paths.detours:
            return target, side, span.end_m
    return None


def _has_gap(now: Movement, vehicle: int, side_m: float) -> bool:
    """Whether nobody is, or soon will be, beside the vehicle in the lane that it wants."""
    pose = now.pose[vehicle]
    offset = now.pose[:, :2] - pose[:2]
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    ahead, left = cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]
    closing = now.speed_mps - now.speed_mps[vehicle]
    front = _GAP_AHEAD_M + 4.0 + _CLOSING_S * np.maximum(-closing, 0.0)
    behind = _GAP_BEHIND_M + 4.0 + _CLOSING_S * np.maximum(closing, 0.0)
    beside = (np.abs(left - side_m) < _BESIDE_M) & (ahead < front) & (ahead > -behind)
    beside[vehicle] = False
    return not bool(beside.any())
