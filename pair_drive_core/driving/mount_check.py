"""Whether the sensors sit where the mounts say: judged by what they see while the ego drives."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.picture_motion import (
    READINGS,
    Reading,
    SkyAndGround,
    mean_over,
    picture_readings,
    sky_and_ground,
)
from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import AgentInput, CameraCalibration, LidarSweep
from pair_drive_core.scene.sensors import FloatArray

_FARTHEST_MOUNT_M = 30.0
"""No road vehicle is longer."""
_CAMERA_MOUNTS = {"CAM_L0": ("front_left", 55.0), "CAM_F0": ("front", 0.0), "CAM_R0": ("front_right", -55.0)}
"""Which mount a camera has, and where it should look: degrees from ahead, to the left."""
_LEAST_COSINE = 0.5
"""Cameras look at most 60 degrees away from where theirs should, and hang at most as much askew."""

_NEAR_M, _FAR_M = 3.0, 20.0
_BIN_M = 0.1
_SHARE = 0.3
_LEAST_POINTS = 50
_TOO_LOW_M = 0.5

_STRUCTURE_M = (0.4, 4.0)
"""Heights above the ground between which things stand still and have shape."""
_REACH_M, _MATCH_M = 40.0, 0.5
_QUERIES, _KEPT_POINTS = 400, 6000
_LEAST_STRUCTURE = 80
_LIDAR_WAY_M, _LIDAR_APART_S = (2.0, 14.0), 3.0
_LEAST_COMPARISONS = 2
_AGREES, _CONTRADICTS = 0.55, 0.4
"""Shares of what was seen that fit a turned mount, and the mount that was given, when the latter is wrong."""
_BETTER = 0.3
"""By so much a turned camera must explain its pictures better than the mount that was given."""
_BELOW, _BELOW_RATIO = 0.1, 3.0
_OUT_OF_VIEW = 0.002

_PAIR_WAY_M, _PAIR_APART_S = (0.3, 5.0), 0.7
_STRAIGHT_RADIUS_M = 60.0
"""On tighter bends a wrong mount explains the pictures' turning too well."""
_LEAST_PAIRS, _LEAST_FEATURES = 3, 60
_SETTLED = 8
_SETTLED_PERIOD_S = 10.0
_LEAST_PICTURES, _UPSIDE_DOWN_SHARE = 5, 0.8
_KEPT = 20

_LIDAR_TURNS = {
    "turned by 180 degrees (yaw)": np.diag([-1.0, -1.0, 1.0]),
    "turned by 90 degrees to the left": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    "turned by 90 degrees to the right": np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    "upside down (roll 180 degrees)": np.diag([1.0, -1.0, -1.0]),
}
"""Turns in the ego frame that would put a wrongly mounted LiDAR right."""


@dataclass(frozen=True)
class MountFinding:
    """What is wrong with a mount.

    Attributes:
        text: one line, with the likely cause.
        certain: whether the sensors themselves contradict the mount; else it is only unusual.
    """

    text: str
    certain: bool


@dataclass
class _Evidence:
    """What was seen of one camera."""

    pairs: deque[dict[str, Reading]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    pictures: deque[SkyAndGround] = field(default_factory=lambda: deque(maxlen=_KEPT))


class MountCheck:
    """Compares what LiDAR and cameras see with their mounts, a little at a time.

    Three things tell, and each only where there is something to see: static things seen twice by the LiDAR must lie
    upon each other; what moves in a picture must move as static things do for a camera that drives along; ground lies
    below, sky above. A vehicle that stands proves nothing, except for numbers that no mount has.

    Args:
        mounts: where the sensors are said to sit; None where transforms say it.
        period_s: sensor time between two looks at the same kind of thing, until enough was seen.
        at_once: whether all cameras are looked at together (a recording), or one after another (a running node).
    """

    def __init__(self, mounts: SensorMounts | None, period_s: float = 0.3, at_once: bool = False) -> None:
        self._mounts, self._period_s, self._at_once = mounts, period_s, at_once
        self._cameras: dict[str, _Evidence] = {}
        self._lidar: deque[dict[str, float]] = deque(maxlen=_KEPT)
        self._grounds: deque[float] = deque(maxlen=_KEPT)
        self._upside_down: deque[bool] = deque(maxlen=_KEPT)
        self._in_view: deque[float] = deque(maxlen=_KEPT)
        self._first: AgentInput | None = None
        self._sweep: AgentInput | None = None
        self._next_us: dict[str, int] = {}
        self._turn = 0
        self.findings: tuple[MountFinding, ...] = tuple(mount_findings(mounts))

    def look(self, agent_input: AgentInput) -> None:
        """Take what the planner saw; most of the time nothing is done with it."""
        looked = self._look_at_pictures(agent_input)
        if self._at_once or not looked:
            looked |= self._look_at_lidar(agent_input)
        if looked:
            self.findings = tuple(self._judged(agent_input))

    def _is_due(self, what: str, now_us: int, looks: int) -> bool:
        period_s = self._period_s if looks < _SETTLED else max(self._period_s, _SETTLED_PERIOD_S)
        if now_us < self._next_us.get(what, now_us):
            return False
        self._next_us[what] = now_us + round(period_s * US_PER_S)
        return True

    # --- pictures

    def _look_at_pictures(self, agent_input: AgentInput) -> bool:
        """Whether a pair of pictures was compared."""
        now, first = agent_input.now, self._first
        if first is not None:
            way_m, apart_s = _way_between(first, agent_input)
            if not 0.0 < apart_s <= _PAIR_APART_S or way_m > _PAIR_WAY_M[1]:
                first = None
            elif way_m < _PAIR_WAY_M[0]:
                return False
        self._first = agent_input
        if first is None or not _is_straight(first, agent_input):
            return False
        looks = min((len(evidence.pairs) for evidence in self._cameras.values()), default=0)
        names = [name for name in agent_input.cameras if name in first.cameras]
        if not names or not self._is_due("pictures", now.time_us, looks):
            return False
        chosen = names if self._at_once else [names[self._turn % len(names)]]
        self._turn += 1
        for name in chosen:
            pair = first.cameras[name], agent_input.cameras[name]
            evidence = self._cameras.setdefault(name, _Evidence())
            evidence.pairs.append(picture_readings(*pair, first.now.pose, now.pose))
            evidence.pictures.append(sky_and_ground(pair[1]))
        return True

    def _picture_finding(self, calibration: CameraCalibration, evidence: _Evidence) -> MountFinding | None:
        name = calibration.name
        readings = mean_over(evidence.pairs)
        as_given = readings["as given"]
        enough = len(evidence.pairs) >= _LEAST_PAIRS and as_given.features >= _LEAST_FEATURES
        best = max(readings, key=lambda reading: readings[reading].agreement)
        if enough and best != "as given":
            agreement = readings[best].agreement
            if agreement >= _AGREES and as_given.agreement <= agreement - _BETTER:
                return MountFinding(
                    f"{name}: {100 * (1 - as_given.agreement):.0f} % of what moves in its pictures contradicts "
                    f"{self._said(name)}; {READINGS[best].text} explains {100 * agreement:.0f} %",
                    certain=True,
                )
        if enough and best == "as given" and as_given.agreement >= _AGREES:
            return None  # The motion says that the picture is the right way up, whatever its colours are.
        votes = [view for view in evidence.pictures if view is not SkyAndGround.UNKNOWN]
        down = sum(view is SkyAndGround.UPSIDE_DOWN for view in votes)
        if len(votes) >= _LEAST_PICTURES and down >= _UPSIDE_DOWN_SHARE * len(votes):
            return MountFinding(
                f"{name}: its pictures are bright and smooth where {self._said(name)} has the ground, dark where the "
                "sky should be: are they upside down (turned by 180 degrees)?",
                certain=False,
            )
        return None

    # --- LiDAR

    def _look_at_lidar(self, agent_input: AgentInput) -> bool:
        """Whether something new is known of the LiDAR."""
        sweep = agent_input.lidar
        if sweep is None or not len(sweep.points):
            return False
        now_us = agent_input.now.time_us
        looked = self._is_due("sweep", now_us, len(self._grounds))
        if looked:
            self._look_at_sweep(sweep, agent_input)
        last = self._sweep
        if last is not None:
            way_m, apart_s = _way_between(last, agent_input)
            if not 0.0 < apart_s <= _LIDAR_APART_S or way_m > _LIDAR_WAY_M[1]:
                last = None
            elif way_m < _LIDAR_WAY_M[0]:
                return looked
        self._sweep = agent_input
        if last is None or not self._is_due("lidar", now_us, len(self._lidar)):
            return looked
        shares = _overlaps(last, agent_input, np.array(self._mounts.lidar[:3] if self._mounts else (0.0,) * 3))
        if shares:
            self._lidar.append(shares)
        return True

    def _look_at_sweep(self, sweep: LidarSweep, agent_input: AgentInput) -> None:
        ground_m, upside_down = ground_of(sweep)
        self._grounds.append(ground_m)
        self._upside_down.append(upside_down)
        self._in_view.append(_share_in_view(sweep, agent_input))

    def _lidar_findings(self) -> list[MountFinding]:
        found = []
        said = self._said("lidar")
        if len(self._lidar) >= _LEAST_COMPARISONS:
            shares = {name: float(np.mean([entry[name] for entry in self._lidar])) for name in self._lidar[0]}
            best = max(shares, key=lambda name: shares[name])
            if best and shares[best] >= _AGREES and shares[""] <= _CONTRADICTS:
                found.append(
                    MountFinding(
                        f"LiDAR: only {100 * shares['']:.0f} % of what stands still is seen again in its place with "
                        f"{said}; with the LiDAR {best} it is {100 * shares[best]:.0f} %",
                        certain=True,
                    )
                )
        if len(self._upside_down) >= _LEAST_COMPARISONS and np.mean(self._upside_down) >= _UPSIDE_DOWN_SHARE:
            if not found:
                found.append(
                    MountFinding(f"LiDAR: things hang below its ground with {said}: is it upside down?", certain=True)
                )
            return found
        known = [height for height in self._grounds if math.isfinite(height)]
        ground = float(np.median(known)) if known else 0.0
        if ground < -_TOO_LOW_M:
            found.append(
                MountFinding(
                    f"the LiDAR's ground lies {-ground:.1f} m below that of the ego frame (rear axle, on the ground): "
                    f"is {said} missing the LiDAR's height?",
                    certain=False,
                )
            )
        if len(self._in_view) >= _LEAST_COMPARISONS and max(self._in_view) < _OUT_OF_VIEW and not found:
            found.append(
                MountFinding(
                    f"LiDAR: none of its points lies in a camera's view: is it turned away from the cameras ({said})?",
                    certain=False,
                )
            )
        return found

    # --- both

    def _judged(self, agent_input: AgentInput) -> list[MountFinding]:
        found = list(mount_findings(self._mounts))
        told = {finding.text.split(":")[0] for finding in found}
        for name, image in agent_input.cameras.items():
            said = self._said(name)
            if said.split(" = ")[0] in told:
                continue
            problem = _direction_problem(image.calibration, said)
            finding = MountFinding(problem, certain=True) if problem else None
            if finding is None and name in self._cameras:
                finding = self._picture_finding(image.calibration, self._cameras[name])
            if finding is not None:
                found.append(finding)
        if "mount.lidar" not in told:
            found += self._lidar_findings()
        return found

    def _said(self, sensor: str) -> str:
        """The mount in question, as its owner can find it."""
        name = _CAMERA_MOUNTS[sensor][0] if sensor in _CAMERA_MOUNTS else sensor
        if self._mounts is None:
            return f"the transform of {'the LiDAR' if sensor == 'lidar' else sensor}"
        return f"mount.{name} = {[round(value, 3) for value in getattr(self._mounts, name)]}"


def mount_findings(mounts: SensorMounts | None) -> list[MountFinding]:
    """What the numbers alone tell."""
    if mounts is None:
        return []
    found = []
    for name, values in vars(mounts).items():
        place, angles = list(values[:3]), list(values[3:])
        if any(abs(angle) > 2.0 * math.pi for angle in angles):
            found.append(f"mount.{name}: angles {angles} are more than a turn: degrees? Expected rad")
        if any(abs(value) > _FARTHEST_MOUNT_M for value in place):
            found.append(f"mount.{name}: place {place} is far outside the vehicle: mm? Expected m")
    return [MountFinding(text, True) for text in found]


def ground_of(sweep: LidarSweep) -> tuple[float, bool]:
    """Height of the ground around the vehicle, m in the ego frame, NaN without one; and whether it is a ceiling.

    The ground is the lowest level that holds many points. Where what is not ground lies below the level that holds
    the most, the sweep is upside down.
    """
    distance = np.hypot(sweep.points[:, 0], sweep.points[:, 1])
    near = sweep.points[(distance > _NEAR_M) & (distance < _FAR_M), 2]
    near = near[np.abs(near) < 10.0]
    if len(near) < _LEAST_POINTS:
        return math.nan, False
    counts, edges = np.histogram(near, bins=np.arange(-10.0, 10.0 + _BIN_M, _BIN_M))
    lowest = int(np.argmax(counts >= _SHARE * counts.max()))
    most = float(edges[int(np.argmax(counts))]) + 0.5 * _BIN_M
    below, above = (float(np.mean(side * (near - most) > _STRUCTURE_M[0])) for side in (-1.0, 1.0))
    return float(edges[lowest]) + 0.5 * _BIN_M, below > max(_BELOW, _BELOW_RATIO * above)


def _direction_problem(calibration: CameraCalibration, said: str) -> str:
    """Why a camera of this name cannot look there; empty if it can."""
    name, angle_deg = _CAMERA_MOUNTS.get(calibration.name, ("", 0.0))
    if not name:
        return ""
    wanted = np.array([math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg)), 0.0])
    axis, up = calibration.ego_r_camera[:, 2], -calibration.ego_r_camera[:, 1]
    if float(axis @ wanted) < _LEAST_COSINE:
        off = math.degrees(math.acos(float(np.clip(axis @ wanted, -1.0, 1.0))))
        return (
            f"{calibration.name}: {said} looks {off:.0f} degrees away from where this camera looks: turned, swapped, "
            "or a body frame (x forward) where the optical one (z forward) is expected?"
        )
    if float(up[2]) < _LEAST_COSINE:
        return f"{calibration.name}: {said} hangs the camera upside down or on its side; pictures are used as they come"
    return ""


def _way_between(first: AgentInput, second: AgentInput) -> tuple[float, float]:
    """Way, m, and time, s, between two moments."""
    way = first.now.pose[:2] - second.now.pose[:2]
    return float(np.hypot(*way)), (second.now.time_us - first.now.time_us) / US_PER_S


def _is_straight(first: AgentInput, second: AgentInput) -> bool:
    """Whether the ego hardly turned on its way between two moments."""
    turned = wrap_angle(float(second.now.pose[2] - first.now.pose[2]))
    return abs(turned) * _STRAIGHT_RADIUS_M < _way_between(first, second)[0]


def _share_in_view(sweep: LidarSweep, agent_input: AgentInput) -> float:
    """Share of the sweep's points that fall into any picture."""
    points = sweep.points[:: max(1, len(sweep.points) // _QUERIES), :3].astype(np.float64)
    seen = np.zeros(len(points), dtype=bool)
    for image in agent_input.cameras.values():
        pixels, ahead = image.calibration.project(points)
        size = np.array([image.calibration.width_px, image.calibration.height_px])
        seen |= ahead & (pixels >= 0.0).all(axis=1) & (pixels < size).all(axis=1)
    return float(seen.mean())


def _structure(sweep: LidarSweep, most: int, generator: np.random.Generator) -> FloatArray:
    """(N, 3) points of what stands on the ground, N at most `most`; on either side of it, should it be a ceiling."""
    ground_m, _ = ground_of(sweep)
    points = sweep.points[:, :3].astype(np.float64)
    distance = np.hypot(points[:, 0], points[:, 1])
    height = np.abs(points[:, 2] - (0.0 if math.isnan(ground_m) else ground_m))
    least, greatest = _STRUCTURE_M
    kept = points[(height > least) & (height < greatest) & (distance > 2.0) & (distance < _REACH_M)]
    return kept if len(kept) <= most else kept[generator.permutation(len(kept))[:most]]


def _overlaps(first: AgentInput, second: AgentInput, place: FloatArray) -> dict[str, float]:
    """Share of what stands still that is seen again in its place, for the mount as it is ("") and for it turned.

    Args:
        first: an earlier moment.
        second: a later one, a few metres on.
        place: (3,) of the LiDAR in the ego frame, about which it would be turned; m.

    Returns:
        Nothing where there is too little to see.
    """
    if first.lidar is None or second.lidar is None:
        return {}
    generator = np.random.default_rng(0)
    before, after = (
        _structure(sweep, n, generator) for sweep, n in ((first.lidar, _QUERIES), (second.lidar, _KEPT_POINTS))
    )
    if min(len(before), len(after)) < _LEAST_STRUCTURE:
        return {}
    tree = cKDTree(after)
    shares = {}
    for name, turn in {"": np.eye(3), **_LIDAR_TURNS}.items():
        right = (before - place) @ turn.T + place
        moved = _seen_from(right, first.now.pose, second.now.pose)
        again = (moved - place) @ turn + place
        shares[name] = float(np.mean(tree.query(again, distance_upper_bound=_MATCH_M)[0] < _MATCH_M))
    return shares


def _seen_from(points: FloatArray, then: FloatArray, now: FloatArray) -> FloatArray:
    """(N, 3) points of the ego frame at one pose in the ego frame at another."""
    as_sweep = LidarSweep(np.column_stack((points, np.zeros(len(points)))).astype(np.float32), 0)
    return as_sweep.moved(then, now).points[:, :3].astype(np.float64)
