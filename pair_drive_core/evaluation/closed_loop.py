"""Closed loop in towns by number, without ROS: what the planner sees is what its own plans led to."""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.driving.guarded_planner import GuardedPlan, GuardedPlanner
from pair_drive_core.driving.output_guard import GuardLimits
from pair_drive_core.evaluation.drive_meter import DriveMeasures
from pair_drive_core.evaluation.plan_jumps import AHEAD_S, PlanJumpMeter
from pair_drive_core.evaluation.plots import camera_with_plan
from pair_drive_core.evaluation.town_drive import TownDrive, human_progress_m
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan_memory import EarlierPlan, plan_after
from pair_drive_core.planning.planner import Planner
from pair_drive_core.policies.runtime.loading import load_planner
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, AgentInput
from pair_drive_core.simulation.plan_follower import TimedPlan
from pair_drive_core.town import STEP_S

FORMAT = "pair_drive_closed_loop/1"
_PLAN_STEPS, _SCORE_STEPS, _KNOWN_STEPS = 2, 10, 50
_FRONT = "CAM_F0"
_STRIP_FRAMES, _STRIP_PLANS = 6, 3
"""A film strip shows the last six pictures, 0.6 s apart."""
_CAPTION_PX = 22


@dataclass(frozen=True)
class ClosedLoop:
    """What is driven.

    Attributes:
        layouts: numbers of the towns.
        seed: of their traffic.
        seconds: of each drive.
        checkpoint: of the planner.
        guard: whether implausible plans are replaced, as in a vehicle.
        image_width_px: of each camera.
        folder: results of single towns and film strips; a drive whose result lies here is not driven again.
    """

    layouts: tuple[int, ...]
    seed: int
    seconds: float
    checkpoint: Path
    guard: bool
    image_width_px: int
    folder: Path

    def __post_init__(self) -> None:
        if not self.layouts or len(set(self.layouts)) < len(self.layouts):
            raise ValueError(f"layouts: expected different numbers, got {list(self.layouts)[:5]}")
        if not math.isfinite(self.seconds) or self.seconds < (_KNOWN_STEPS + _SCORE_STEPS + 2) * STEP_S:
            raise ValueError(f"seconds: expected at least 6.2, since a plan is scored 5 s later, got {self.seconds}")

    def recipe(self) -> str:
        """Hash of everything that decides how a drive goes."""
        settings = [FORMAT, self.seed, self.seconds, self.guard, self.image_width_px]
        digest = hashlib.sha256(json.dumps(settings).encode())
        digest.update(self.checkpoint.read_bytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DriveJob:
    """One town of a closed loop."""

    loop: ClosedLoop
    layout: int
    recipe: str

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        return self.loop.folder / f"town_{self.layout:05d}_{self.recipe}.json"


@dataclass(frozen=True)
class TownResult:
    """How one drive went.

    Attributes:
        layout: number of the town.
        pdms: mean PDMS of one plan a second, against the truth of its moment.
        on_road: share of the time with the whole ego on the road.
        speed_mps: mean.
        measures: counts and shares of the drive.
        human_progress_m: how far the town's built-in human gets along the route in that time.
        jump_p95_m: between consecutive plans at each of `AHEAD_S`, 95th percentile.
        guarded: plans that the guard replaced.
        strips: names of the film strips of its failures.
    """

    layout: int
    pdms: float
    on_road: float
    speed_mps: float
    measures: DriveMeasures
    human_progress_m: float
    jump_p95_m: tuple[float, ...]
    guarded: int
    strips: tuple[str, ...]


def drive_towns(
    loop: ClosedLoop, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[TownResult]:
    """Drive all towns that have no result yet.

    Args:
        loop: what is driven.
        workers: processes.
        progress: is told drives done and wanted.

    Returns:
        In the order of the layouts.
    """
    recipe = loop.recipe()
    jobs = [DriveJob(loop, layout, recipe) for layout in loop.layouts]
    wanted = [job for job in jobs if not job.path.is_file()]
    for done, _ in enumerate(results_of(drive_town, wanted, workers), start=1):
        if progress is not None:
            progress(len(jobs) - len(wanted) + done, len(jobs))
    return [_read(job.path) for job in jobs]


def summary(results: Sequence[TownResult]) -> dict[str, Any]:
    """Counts in all, shares and means over the drives."""
    measures = [result.measures for result in results]
    human = sum(result.human_progress_m for result in results)
    means: dict[str, float] = {
        "PDMS": _mean([result.pdms for result in results]),
        "at_fault_collisions": sum(m.at_fault_collisions for m in measures),
        "other_collisions": sum(m.other_collisions for m in measures),
        "red_lights_run": sum(m.red_lights for m in measures),
        "on_road": _mean([result.on_road for result in results]),
        "route_progress": sum(m.progress_m for m in measures) / human if human > 0 else math.nan,
        "comfort": _mean([m.comfortable_share for m in measures]),
        "speed_mps": _mean([result.speed_mps for result in results]),
        "standing_s": _mean([m.standing_s for m in measures]),
        "guarded": sum(result.guarded for result in results),
    }
    for place, ahead in enumerate(AHEAD_S):
        means[f"jump_p95_m_at_{ahead:g}s"] = _mean([result.jump_p95_m[place] for result in results])
    return {"drives": len(results), "means": means, "towns": [asdict(result) for result in results]}


def _mean(values: Sequence[float]) -> float:
    """Mean of those that are known."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def drive_town(job: DriveJob) -> int:
    """Drive one town and write its result; answers its number."""
    loop = job.loop
    drive = _Drive(job, load_planner(loop.checkpoint))
    for _ in range(round(loop.seconds / STEP_S)):
        drive.advance()
    result = drive.result(human_progress_m(job.layout, loop.seed, loop.seconds))
    write_bytes(job.path, json.dumps(asdict(result), indent=1).encode())
    return job.layout


def _read(path: Path) -> TownResult:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plain["measures"] = DriveMeasures(**plain["measures"])
    for name in ("jump_p95_m", "strips"):
        plain[name] = tuple(plain[name])
    return TownResult(**plain)


class _Drive:
    """A planner at the wheel of one town's ego."""

    def __init__(self, job: DriveJob, planner: Planner) -> None:
        self._job, self._planner = job, planner
        self._guarded = GuardedPlanner(planner, GuardLimits()) if job.loop.guard else None
        self._town = TownDrive(job.layout, job.loop.seed, job.loop.image_width_px)
        self._jumps = PlanJumpMeter()
        self._plan: TimedPlan | None = None
        self._earlier: EarlierPlan | None = None
        self._waiting: dict[int, TimedPlan] = {}
        self._scores: list[float] = []
        self._speeds: list[float] = []
        self._replaced = self._steps = self._plans = 0
        self._film: deque[np.ndarray[Any, Any]] = deque(maxlen=_STRIP_FRAMES)
        self._strips: list[str] = []
        self._failures = self._counts()

    def advance(self) -> None:
        """One step; every second one is planned, every tenth plan is scored when its future is known."""
        town = self._town
        if self._steps % _PLAN_STEPS == 0:
            self._look()
        assert self._plan is not None
        if self._steps % _SCORE_STEPS == 0:
            self._waiting[town.step] = self._plan
        town.advance(self._plan)
        self._steps += 1
        self._speeds.append(float(town.status().velocity[0]))
        then = town.step - _KNOWN_STEPS - 1
        scene = town.scene_at(then) if then in self._waiting else None
        if scene is not None:
            self._scores.append(float(town.score_of(scene, self._waiting.pop(then)).total[0, 0]))
        self._watch()

    def result(self, human_progress_m: float) -> TownResult:
        """How it went."""
        measures = self._town.meter.measures()
        return TownResult(
            layout=self._job.layout,
            pdms=_mean(self._scores),
            on_road=1.0 - measures.off_road_s / (measures.duration_s + STEP_S),
            speed_mps=float(np.mean(self._speeds)),
            measures=measures,
            human_progress_m=human_progress_m,
            jump_p95_m=self._jumps.summary().p95_m,
            guarded=self._replaced,
            strips=tuple(self._strips),
        )

    def _look(self) -> None:
        """See, plan, remember."""
        readings = self._town.readings()
        seen = AgentInput((readings.status,), readings.cameras, readings.lidar, readings.earlier_lidar)
        if self._guarded is not None:
            found = self._guarded.plan(seen)
        else:
            plan = plan_after(self._planner, seen, self._earlier)
            self._earlier = EarlierPlan.of(plan, readings.status)
            found = GuardedPlan(plan, "", False, 0.0)
        self._replaced += bool(found.reason)
        pose = readings.status.pose
        placed = compose_se2(torch.from_numpy(pose), found.plan.poses.double()).numpy()
        time_s = np.arange(PLAN_STEPS + 1, dtype=np.float64) * PLAN_INTERVAL_S
        self._plan = TimedPlan(self._town.time_us, time_s, np.vstack((pose, placed)))
        self._jumps.add(self._plan)
        if self._plans % _STRIP_PLANS == 0:
            self._film.append(camera_with_plan(readings.cameras[_FRONT], found))
        self._plans += 1

    def _counts(self) -> dict[str, float]:
        measures = self._town.meter.measures()
        return {
            "collision": measures.at_fault_collisions,
            "red_light": measures.red_lights,
            "off_road": float(measures.off_road_s > 0),
        }

    def _watch(self) -> None:
        """A film strip of what has just gone wrong; leaving the road shows once a drive."""
        now = self._counts()
        for kind, count in now.items():
            if count > self._failures[kind] and self._film:
                seconds = self._steps * STEP_S
                name = f"town_{self._job.layout:05d}_{self._job.recipe}_{kind}_{seconds:04.1f}s.png"
                caption = f"town {self._job.layout}, {kind.replace('_', ' ')} at {seconds:.1f} s"
                write_bytes(self._job.loop.folder / name, film_strip(list(self._film), caption))
                self._strips.append(name)
        self._failures = now


def film_strip(frames: Sequence[np.ndarray[Any, Any]], caption: str) -> bytes:
    """PNG of frames, (H, W, 3) uint8 red green blue each, side by side under a caption; the newest is on the right."""
    film = np.concatenate(list(frames), axis=1)
    picture = np.concatenate((np.zeros((_CAPTION_PX, *film.shape[1:]), np.uint8), film))
    cv2.putText(picture, caption, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    done, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"film strip {caption!r}: could not be encoded, shape {picture.shape}")
    return encoded.tobytes()
