"""A demonstrator who stands a little aside of where it drove, and comes back, so that a learner can correct itself.

Demonstrations alone never show how to return to the lane after a small error of one's own; disturbed ones do (Bansal,
Krizhevsky and Ogale, ChauffeurNet, RSS 2019, section 5.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.town.data.scenes import FUTURE_STEPS, HISTORY_STEPS
from pair_drive_core.town.streets.curves import FloatArray, snap, unit
from pair_drive_core.town.traffic.moments import Moment
from pair_drive_core.town.traffic.simulator import TownSimulator

_RETURN_S = 3.0
_SHORTEST_RETURN_M = 8.0


@dataclass(frozen=True)
class Displacement:
    """Where a vehicle is at t0, seen from where it was.

    Attributes:
        left_m: how far to the left.
        slope: how much further to the left it gets for each metre on.
    """

    left_m: float
    slope: float

    def offset(self, along_m: FloatArray, return_m: float) -> tuple[FloatArray, FloatArray]:
        """Distance to the left, m, and its slope, at given ways from t0: a straight drift, then a smooth return.

        Args:
            along_m: (S,), way driven since t0; negative before.
            return_m: way after which the vehicle is where it was.
        """
        u = np.clip(along_m / return_m, 0.0, 1.0)
        back = self.left_m * (2 * u**3 - 3 * u**2 + 1) + self.slope * return_m * (u**3 - 2 * u**2 + u)
        turn = self.left_m / return_m * 6 * (u**2 - u) + self.slope * (3 * u**2 - 4 * u + 1)
        past = along_m < 0.0
        return np.where(past, self.left_m + self.slope * along_m, back), np.where(past, self.slope, turn)


def draw_displacement(left_m: float, slope: float, rng: np.random.Generator) -> Displacement:
    """A random displacement of at most so much to either side."""
    return Displacement(float(rng.uniform(-left_m, left_m)), float(rng.uniform(-slope, slope)))


@contextmanager
def displaced(simulator: TownSimulator, step: int, vehicle: int, displacement: Displacement) -> Iterator[None]:
    """Inside this, one vehicle's poses around a step are displaced; scenes and sensors of that step show it.

    Speeds, routes and everybody else stay as they were.

    Args:
        simulator: whose moments are replaced meanwhile.
        step: t0; the past and future of a scene must be there.
        vehicle: row.
        displacement: at t0.
    """
    whole = simulator.moments
    steps = range(step - HISTORY_STEPS, step + FUTURE_STEPS + 1)
    around = [whole[k] for k in steps]
    pose = np.stack([moment.pose[vehicle] for moment in around])
    way = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(pose[:, :2], axis=0).T))))
    now = HISTORY_STEPS
    return_m = max(_RETURN_S * float(around[now].speed_mps[vehicle]), _SHORTEST_RETURN_M)
    left, slope = displacement.offset(way - way[now], return_m)
    moved = np.column_stack(
        (pose[:, :2] + left[:, None] * unit(pose[:, 2] + np.pi / 2.0), wrap_angle(pose[:, 2] + np.arctan(slope)))
    )
    changed = {k: _with_pose(moment, vehicle, row) for k, moment, row in zip(steps, around, snap(moved), strict=True)}
    simulator.moments = whole.replaced(changed)
    try:
        yield
    finally:
        simulator.moments = whole


def _with_pose(moment: Moment, vehicle: int, pose: FloatArray) -> Moment:
    poses = moment.pose.copy()
    poses[vehicle] = pose
    return replace(moment, pose=poses)
