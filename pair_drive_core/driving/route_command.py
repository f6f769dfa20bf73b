"""From a route as a line to the driving command: where the route goes next, as NAVSIM's pipeline and the town say it.

Rules, in the order in which they are applied, with the route seen from the point nearest to the ego:

1. No route, a route that ends within `end_m`, or an ego farther than `off_route_m` from it: UNKNOWN.
2. The first bend that begins within reach (the distance of a plan at the present speed, at least `ahead_m`) and changes
   the heading by `turn_rad` or more in all: its side. So a turn is told before the vehicle slows down for it.
3. The side on which the route lies `ahead_m` ahead, if it is `side_m` or more beside the ego's own axis (the rule that
   NAVSIM's logs were labelled with).
4. STRAIGHT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pair_drive_core.scene import PACIFICA, DrivingCommand
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.scene.validation import SceneError

_SPACING_M = 1.0
_STRAIGHT_RAD_PER_M = 0.01
"""A stretch that turns less than this is no part of a bend (radius 100 m)."""
_GAP_M = 6
"""Bends nearer to each other than this are one: turns are drawn with straight pieces between their arcs."""
_BACK_M, _FORTH_M = 5.0, 60.0
"""How far from the last place on the route the next one is looked for first; a route may cross itself."""


@dataclass(frozen=True)
class RouteRules:
    """Distances and angles of the rules; see the module.

    Attributes:
        ahead_m: where the side of the route is taken, and the least reach.
        side_m: how far beside the ego's axis it must lie there to be a turn.
        reach_s: the reach is at least the distance driven in this time.
        turn_rad: least change of heading of a turn.
        off_route_m: farther than this from the route the ego is not on it.
        end_m: what is left of the route when it counts as driven.
    """

    ahead_m: float = 20.0
    side_m: float = 2.0
    reach_s: float = 4.0
    turn_rad: float = math.radians(35.0)
    off_route_m: float = 15.0
    end_m: float = 2.0


class RouteCommander:
    """Follows an ego along a route and says the command.

    Args:
        rules: distances and angles.
    """

    def __init__(self, rules: RouteRules | None = None) -> None:
        self._rules = rules or RouteRules()
        self._line: FloatArray | None = None
        self._heading: FloatArray = np.zeros(0)
        self._place = -1
        self.distance_m = math.inf
        """How far the ego was from the route at the last command."""

    @property
    def has_route(self) -> bool:
        """Whether there is a route."""
        return self._line is not None

    def set_route(self, points: FloatArray) -> None:
        """Take a new route; it replaces the one before.

        Args:
            points: (P, 2), in the direction of travel, in the frame of the ego's poses; m. None at all: no route.

        Raises:
            SceneError: for another shape, numbers that are not finite, or a line without length.
        """
        line = np.asarray(points, dtype=np.float64)
        if line.size == 0:
            self._line = None
            return
        if line.ndim != 2 or line.shape[1] != 2 or not np.isfinite(line).all():
            raise SceneError(f"route: expected (P, 2) finite numbers, got shape {line.shape}")
        self._line = _evenly_spaced(line)
        step = np.diff(self._line, axis=0)
        self._heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
        self._place = -1

    def command(self, pose: FloatArray, speed_mps: float) -> DrivingCommand:
        """Where the route goes next.

        Args:
            pose: (3,), rear axle x, y, heading, in the route's frame; m, rad.
            speed_mps: forwards.
        """
        rules, line = self._rules, self._line
        if line is None:
            self.distance_m = math.inf
            return DrivingCommand.UNKNOWN
        place = self._find(line, pose)
        if self.distance_m > rules.off_route_m or len(line) - 1 - place < rules.end_m / _SPACING_M:
            return DrivingCommand.UNKNOWN
        reach = PACIFICA.front_length_m + max(rules.ahead_m, rules.reach_s * speed_mps)
        turn = self._turn_ahead(place, round(reach / _SPACING_M))
        if turn:
            return DrivingCommand.LEFT if turn > 0 else DrivingCommand.RIGHT
        ahead = line[min(place + round(rules.ahead_m / _SPACING_M), len(line) - 1)] - pose[:2]
        side = float(ahead[1] * math.cos(pose[2]) - ahead[0] * math.sin(pose[2]))
        if abs(side) < rules.side_m:
            return DrivingCommand.STRAIGHT
        return DrivingCommand.LEFT if side > 0 else DrivingCommand.RIGHT

    def _find(self, line: FloatArray, pose: FloatArray) -> int:
        """The vertex nearest to the ego: near the last place if the route is near there, else anywhere."""
        distance = np.hypot(*(line - pose[:2]).T)
        if self._place >= 0:
            first = max(0, self._place - round(_BACK_M / _SPACING_M))
            near = distance[first : self._place + round(_FORTH_M / _SPACING_M)]
            if near.min() <= self._rules.off_route_m:
                self._place = first + int(near.argmin())
                self.distance_m = float(distance[self._place])
                return self._place
        self._place = int(distance.argmin())
        self.distance_m = float(distance[self._place])
        return self._place

    def _turn_ahead(self, place: int, reach: int) -> float:
        """Change of heading of the first turn that begins within reach and goes on 2 m ahead; 0 without one."""
        rate = np.diff(self._heading)
        smooth = np.convolve(rate, np.full(5, 0.2), mode="same") if rate.size >= 5 else rate
        side = np.where(np.abs(smooth) < _STRAIGHT_RAD_PER_M, 0, np.sign(smooth)).astype(int)
        for start, end in _runs(side):
            if end > place + 2 and start < place + reach:
                change = float(rate[start:end].sum())
                if abs(change) >= self._rules.turn_rad:
                    return change
        return 0.0


def _runs(side: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[tuple[int, int]]:
    """Stretches (from, to) that bend to one side; short straight gaps between two of the same side belong to them."""
    found: list[tuple[int, int]] = []
    for index in np.nonzero(side)[0].tolist():
        if found and index - found[-1][1] < _GAP_M and side[index] == side[found[-1][0]]:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found


def _evenly_spaced(points: FloatArray) -> FloatArray:
    """The same line with a vertex every metre."""
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    kept = np.concatenate(([True], np.diff(along) > 1e-6))
    points, along = points[kept], along[kept]
    if along[-1] < _SPACING_M:
        raise SceneError(f"route: expected a line of {_SPACING_M} m or more, got {along[-1]:.2f} m")
    at = np.append(np.arange(0.0, along[-1], _SPACING_M), along[-1])
    return np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)])
