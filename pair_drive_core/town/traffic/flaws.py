"""What human drivers do wrong, drawn by their profile.

A flaw is either a bend put into the driver's path (drifting, cutting a corner, passing on the wrong side) or a lapse in
how the driver reacts (running a red light, braking late, hesitating, pressing on). Flaws are drawn at fixed times from
one random source, so a town's life stays reproducible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.streets.deviation import Deviation
from pair_drive_core.town.streets.network import RoadNetwork, Turn
from pair_drive_core.town.streets.signals import Light, SignalPlan
from pair_drive_core.town.traffic.paths import PathBank


class Profile(IntEnum):
    """Temper of a driver."""

    ATTENTIVE = 0
    HURRIED = 1
    DISTRACTED = 2
    TIMID = 3


class Flaw(str, Enum):
    """Labels of `Scene.flaws`."""

    RED_LIGHT = "red_light"
    LANE_DRIFT = "lane_drift"
    CORNER_CUT = "corner_cut"
    LATE_BRAKE = "late_brake"
    WRONG_SIDE = "wrong_side"
    CLIP = "clip"
    HESITATION = "hesitation"
    HARSH = "harsh"


PRONE_TO: dict[Profile, tuple[Flaw, ...]] = {
    Profile.ATTENTIVE: (),
    Profile.HURRIED: (Flaw.RED_LIGHT, Flaw.CORNER_CUT, Flaw.CORNER_CUT, Flaw.WRONG_SIDE, Flaw.WRONG_SIDE, Flaw.HARSH),
    Profile.DISTRACTED: (
        Flaw.LATE_BRAKE,
        Flaw.LATE_BRAKE,
        Flaw.LATE_BRAKE,
        Flaw.RED_LIGHT,
        Flaw.LANE_DRIFT,
        Flaw.CLIP,
        Flaw.CLIP,
    ),
    Profile.TIMID: (Flaw.HESITATION,),
}
"""What each profile gets wrong; a flaw named twice is intended twice as often (some find an occasion less easily)."""

_INATTENTIVE_SHARE = 0.7
"""Of the late brakers."""
_CLIP_M = 0.45
"""Who clips something drives this far right of the lane's middle: into cones, barriers and debris."""
_BEND_REACH_M = 90.0
"""Bends of flawed drivers begin and end within this distance."""
_EPISODE_S = 8.0
"""A flaw is in the four seconds of about this many seconds' worth of scenes."""
_SUCCESS = 0.32
"""Share of the intents for which the road offers an occasion in time."""
_PATIENCE_S = 60.0
"""How long a driver stays intent on a flaw."""
_INTENT_AT_START = 7.0
"""Share of the flawed drivers who are intent on a flaw at the start, for a flaw rate of 1."""
_FLAWED_SHARE = 0.6
"""Of the demonstrators; see `draw_profiles`."""
DRAW_INTERVAL_STEPS = 10


@dataclass
class Episode:
    """A flaw in progress.

    Attributes:
        flaw: what goes wrong.
        until_s: when a lapse ends at the latest; paths end by themselves.
        lane: the connector whose light is run; -1 for the other flaws.
        inattentive: whether a late braker does not look ahead at all until only full braking helps.
    """

    flaw: Flaw
    until_s: float
    lane: int = -1
    inattentive: bool = False


@dataclass(frozen=True)
class _Intent:
    """A flaw that waits for its occasion."""

    flaw: Flaw
    side: float
    until_s: float


@dataclass(frozen=True)
class Surroundings:
    """What the draw looks at.

    Attributes:
        time_s: now.
        along_m: (V,), arc length on the paths.
        speed_mps: (V,).
        pose: (V, 3), rear axles.
        gap_m: (V,), to the leader.
    """

    time_s: float
    along_m: FloatArray
    speed_mps: FloatArray
    pose: FloatArray
    gap_m: FloatArray


def draw_profiles(demonstrator: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(V,): `Profile` of each driver; those of other vehicles than the demonstrators are attentive."""
    drawn = rng.choice(4, len(demonstrator), p=(0.4, 0.25, 0.25, 0.1))
    return np.where(demonstrator, drawn, int(Profile.ATTENTIVE)).astype(np.int64)


class FlawModel:
    """Begins and ends the flaws of all drivers.

    Attributes:
        profile: (V,) `Profile`.
        episodes: flaw in progress by vehicle.
    """

    def __init__(
        self,
        network: RoadNetwork,
        plans: dict[int, SignalPlan],
        paths: PathBank,
        profile: npt.NDArray[np.int64],
        rate: float,
        shut: frozenset[int],
        rng: np.random.Generator,
    ) -> None:
        """Prepare.

        Args:
            network: the map.
            plans: the lights.
            paths: where bends are put in.
            profile: (V,).
            rate: wanted share of the demonstrators' scenes with a flaw.
            shut: lanes that something blocks; whoever is near one has other worries.
            rng: source of all randomness.
        """
        self.network = network
        self.plans = plans
        self.paths = paths
        self.profile = profile
        self.episodes: dict[int, Episode] = {}
        self._shut = shut
        self._rng = rng
        self._intents: dict[int, _Intent] = {}
        self._chance = rate / (_EPISODE_S * _SUCCESS * _FLAWED_SHARE)
        self._begin_intents(rate)

    def _begin_intents(self, rate: float) -> None:
        """Let some drivers be intent on a flaw from the start, so that short lives hold as many as long ones."""
        for vehicle in np.nonzero(self.profile != int(Profile.ATTENTIVE))[0].tolist():
            kinds = PRONE_TO[Profile(int(self.profile[vehicle]))]
            attempt, which, side = self._rng.random(), int(self._rng.integers(0, len(kinds))), self._rng.random()
            if attempt < _INTENT_AT_START * rate:
                self._intents[vehicle] = _Intent(kinds[which], float(side), float(self._rng.uniform(0.0, _PATIENCE_S)))

    def step(self, around: Surroundings) -> None:
        """End what is over and, at the draw times, begin something new."""
        for vehicle in list(self.episodes):
            if self._is_over(vehicle, self.episodes[vehicle], around):
                del self.episodes[vehicle]
        if round(around.time_s * 10.0) % DRAW_INTERVAL_STEPS:
            return
        for vehicle in np.nonzero(self.profile != int(Profile.ATTENTIVE))[0].tolist():
            kinds = PRONE_TO[Profile(int(self.profile[vehicle]))]
            attempt, which, side = self._rng.random(), int(self._rng.integers(0, len(kinds))), self._rng.random()
            if attempt < self._chance:
                self._intents.setdefault(vehicle, _Intent(kinds[which], float(side), around.time_s + _PATIENCE_S))
            intent = self._intents.get(vehicle)
            if intent is None or vehicle in self.episodes:
                continue
            self._begin(vehicle, intent.flaw, intent.side, around)
            if vehicle in self.episodes or around.time_s > intent.until_s:
                del self._intents[vehicle]

    def active(self, vehicle: int, along_m: float, acceleration_mps2: float, red_ahead: bool) -> tuple[str, ...]:
        """Labels of what a driver does wrong at this very moment.

        Args:
            vehicle: row.
            along_m: arc length of the rear axle.
            acceleration_mps2: along the path.
            red_ahead: whether the connector that the vehicle is about to enter or on shows red.
        """
        labels = [d.label for d in self.paths.deviations[vehicle] if d.start_m - 2.0 < along_m < d.end_m]
        episode = self.episodes.get(vehicle)
        if episode is None:
            return tuple(labels)
        if episode.flaw is Flaw.RED_LIGHT and red_ahead:
            labels.append(episode.flaw.value)
        if episode.flaw is Flaw.LATE_BRAKE and acceleration_mps2 < -3.0:
            labels.append(episode.flaw.value)
        if episode.flaw is Flaw.HARSH and acceleration_mps2 > 2.3:
            labels.append(episode.flaw.value)
        if episode.flaw is Flaw.HESITATION:
            labels.append(episode.flaw.value)
        return tuple(labels)

    def doing(self, flaw: Flaw) -> npt.NDArray[np.bool_]:
        """(V,) bool: who is in an episode of a flaw."""
        mask = np.zeros(len(self.profile), dtype=bool)
        mask[[v for v, episode in self.episodes.items() if episode.flaw is flaw]] = True
        return mask

    def inattentive(self) -> npt.NDArray[np.bool_]:
        """(V,) bool: who does not look ahead."""
        mask = np.zeros(len(self.profile), dtype=bool)
        mask[[v for v, episode in self.episodes.items() if episode.inattentive]] = True
        return mask

    def _is_over(self, vehicle: int, episode: Episode, around: Surroundings) -> bool:
        if episode.flaw is Flaw.HESITATION and around.speed_mps[vehicle] > 0.3:
            return True
        return around.time_s > episode.until_s

    def _begin(self, vehicle: int, flaw: Flaw, side: float, around: Surroundings) -> None:
        now, speed = around.time_s, float(around.speed_mps[vehicle])
        if flaw is Flaw.LATE_BRAKE:
            if speed > 6.0 and (around.gap_m[vehicle] < 40.0 or self._meets_red(vehicle, around)):
                self.episodes[vehicle] = Episode(flaw, now + 10.0, inattentive=side < _INATTENTIVE_SHARE)
        elif flaw is Flaw.HARSH:
            if speed < 2.0 and around.gap_m[vehicle] > 20.0:
                self.episodes[vehicle] = Episode(flaw, now + 10.0)
        elif flaw is Flaw.HESITATION and speed < 0.2 and around.gap_m[vehicle] > 8.0:
            self.episodes[vehicle] = Episode(flaw, now + 5.0)
        elif flaw is Flaw.RED_LIGHT:
            self._run_light(vehicle, around)
        elif speed > 3.0:
            bends = {
                Flaw.LANE_DRIFT: self._drift,
                Flaw.CORNER_CUT: self._cut,
                Flaw.WRONG_SIDE: self._pass_wrong,
                Flaw.CLIP: self._clip,
            }
            bend = bends.get(flaw)
            found = bend(vehicle, side, around) if bend is not None and not self._near_shut(vehicle, around) else None
            if found is not None:
                self.paths.deviate(vehicle, found)
                self.episodes[vehicle] = Episode(flaw, now + 8.0)

    def _near_shut(self, vehicle: int, around: Surroundings) -> bool:
        along = float(around.along_m[vehicle])
        near = [s.lane for s in self.paths.spans[vehicle] if s.end_m > along and s.start_m < along + _BEND_REACH_M]
        return not self._shut.isdisjoint(near)

    def _next_connector(self, vehicle: int, along_m: float) -> tuple[int, float, float] | None:
        """The first connector whose beginning is still ahead."""
        for span in self.paths.spans[vehicle]:
            if span.start_m > along_m and self.network.lanes[span.lane].is_connector:
                return span.lane, span.start_m, span.end_m
        return None

    def _run_light(self, vehicle: int, around: Surroundings) -> None:
        ahead = self._next_connector(vehicle, float(around.along_m[vehicle]))
        if ahead is not None and self._meets_red(vehicle, around):
            self.episodes[vehicle] = Episode(Flaw.RED_LIGHT, around.time_s + 14.0, ahead[0])

    def _meets_red(self, vehicle: int, around: Surroundings) -> bool:
        """Whether the light ahead will be red, if the driver goes on like this."""
        along, speed = float(around.along_m[vehicle]), float(around.speed_mps[vehicle])
        ahead = self._next_connector(vehicle, along)
        if ahead is None or ahead[1] - along > 45.0 or speed < 2.0:
            return False
        lane = self.network.lanes[ahead[0]]
        plan = self.plans.get(lane.junction) if lane.junction is not None else None
        return plan is not None and plan.light(lane.arm, around.time_s + (ahead[1] - along) / speed) is Light.RED

    def _drift(self, vehicle: int, side: float, around: Surroundings) -> Deviation | None:
        """Over the edge line or over the middle while looking elsewhere."""
        along, speed = float(around.along_m[vehicle]), float(around.speed_mps[vehicle])
        start = along + 4.0 + 1.2 * speed
        ahead = self._next_connector(vehicle, along)
        if ahead is None or ahead[1] - start < 34.0:
            return None
        offset = -(1.7 + 0.9 * side) if side < 0.6 else 1.6 + 1.2 * side
        return Deviation(start, 14.0, 6.0, offset, Flaw.LANE_DRIFT.value)

    def _cut(self, vehicle: int, side: float, around: Surroundings) -> Deviation | None:
        """Across the inside of the next turn."""
        along = float(around.along_m[vehicle])
        ahead = self._next_connector(vehicle, along)
        if ahead is None or not 12.0 < ahead[1] - along < 45.0:
            return None
        turn = self.network.lanes[ahead[0]].turn
        if turn not in (Turn.LEFT, Turn.RIGHT):
            return None
        length = ahead[2] - ahead[1]
        offset = (2.6 + 1.0 * side) if turn is Turn.LEFT else -(3.2 + 1.2 * side)
        ramp = 0.5 * length + 2.0
        return Deviation(ahead[1] - 4.0, ramp, 2.0, offset, Flaw.CORNER_CUT.value)

    def _clip(self, vehicle: int, side: float, around: Surroundings) -> Deviation | None:
        """Into what stands or lies in the lane instead of round it."""
        along = float(around.along_m[vehicle])
        for span in self.paths.spans[vehicle]:
            detour = self.paths.detours.get(span.lane)
            if detour is not None and 2.0 < span.start_m + detour.start_m - along < 60.0:
                offset = -(detour.offset_m + _CLIP_M)
                return replace(detour, start_m=detour.start_m + span.start_m, offset_m=offset, label=Flaw.CLIP.value)
        return None

    def _pass_wrong(self, vehicle: int, side: float, around: Surroundings) -> Deviation | None:
        """Out into the oncoming lane, as if round an obstacle, when nobody comes."""
        along = float(around.along_m[vehicle])
        span = next((s for s in self.paths.spans[vehicle] if s.start_m <= along < s.end_m), None)
        if span is None or self.network.lanes[span.lane].is_connector or self.network.lanes[span.lane].left is not None:
            return None
        start = along + 6.0 + 0.8 * float(around.speed_mps[vehicle])
        if span.end_m - start < 52.0:
            return None
        pose = around.pose[vehicle]
        offset = around.pose[:, :2] - pose[:2]
        opposing = np.cos(around.pose[:, 2] - pose[2]) < 0.0
        if bool((opposing & (np.hypot(offset[:, 0], offset[:, 1]) < 85.0)).any()):
            return None
        return Deviation(start, 16.0, 12.0 + 6.0 * side, 3.4, Flaw.WRONG_SIDE.value)
