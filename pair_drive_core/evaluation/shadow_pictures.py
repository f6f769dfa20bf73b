"""Pictures of a shadow report: moments where planner and driver disagree, and the course of the whole drive."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pair_drive_core.driving.ego_track import US_PER_S, EgoTrack, MotionSample
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.mount_check import MountFinding
from pair_drive_core.evaluation.bag_intake import ReadySet
from pair_drive_core.evaluation.bag_replay import ReplayWatcher
from pair_drive_core.evaluation.bag_shadow import HORIZONS_S, ShadowPlan, displacements, driven_track, farthest
from pair_drive_core.evaluation.plots import (
    PictureBook,
    Sight,
    camera_with_plan,
    draw_ground_line,
    draw_lidar,
    draw_tree,
)
from pair_drive_core.geometry import compose_se2
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput, CameraImage, LidarSweep, Trajectory
from pair_drive_core.scene.sensors import FloatArray

_WIDTH_PX = 640
_POINTS = 20_000
_EVERY_US = 400_000
_GUARD_INTEREST_M = 5.0
_DRIVEN_RGB = (255, 255, 255)
_AHEAD_M, _BEHIND_M, _SIDE_M = 46.0, 10.0, 28.0
_FAR_M = 40.0


@dataclass(frozen=True)
class DrivenSight:
    """A moment with what was driven after it.

    Attributes:
        sight: what the planner saw and planned.
        driven: (P, 2), the path driven in the 4 s after it, in the ego frame; m.
    """

    sight: Sight
    driven: FloatArray


@dataclass
class DisagreementBook(ReplayWatcher):
    """Keeps small copies of the moments where plan and driver are farthest apart, and of the first one.

    Attributes:
        capacity: how many are kept.
    """

    capacity: int = 4
    first: Sight | None = None
    _book: PictureBook = field(init=False)
    _pending: deque[Sight] = field(default_factory=deque)
    _path: list[MotionSample] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._book = PictureBook(self.capacity, apart_s=3.0)

    def recorded(self, ready: ReadySet, result: GuardedPlan, mounts: Sequence[MountFinding]) -> None:
        """Take a moment; its worth is known when its future has been driven."""
        agent_input = ready.agent_input
        now = agent_input.now
        if self._path and now.time_us < self._path[-1].time_us:
            self._pending.clear()
            self._path.clear()
        self._path.append(MotionSample(now.time_us, now.pose, now.velocity))
        if self.first is None or not self._pending or now.time_us - self._newest_us() >= _EVERY_US:
            sight = Sight(_small(agent_input), result)
            self.first = self.first or sight
            self._pending.append(sight)
        oldest_us = now.time_us - round(HORIZONS_S[-1] * US_PER_S)
        if self._pending[0].agent_input.now.time_us <= oldest_us:
            track = driven_track(self._path)
            while self._pending and self._pending[0].agent_input.now.time_us <= oldest_us:
                self._judge(self._pending.popleft(), track)
            needed_us = oldest_us - US_PER_S
            self._path = [sample for sample in self._path if sample.time_us >= needed_us]

    def best(self, path: Sequence[MotionSample]) -> list[DrivenSight]:
        """The kept moments in order of time, the first one of the recording in front.

        Args:
            path: the whole path that was driven.
        """
        track = driven_track(path)
        while self._pending:
            self._judge(self._pending.popleft(), track)
        sights = self._book.best(self.capacity, {})
        if self.first is not None and self.first not in sights:
            sights.insert(0, self.first)
        return [DrivenSight(sight, _driven_after(sight, track)) for sight in sights]

    def _newest_us(self) -> int:
        return self._pending[-1].agent_input.now.time_us

    def _judge(self, sight: Sight, track: EgoTrack) -> None:
        now, plan = sight.agent_input.now, sight.result.plan
        knots = Trajectory(plan.poses.to(torch.float64), plan.interval_s).with_start()
        world = compose_se2(torch.as_tensor(now.pose, dtype=torch.float64), knots).numpy()
        interest = farthest(*displacements(track, now.time_us, world, plan.interval_s))
        interest += _GUARD_INTEREST_M * bool(sight.result.reason)
        self._book.consider(sight.agent_input, sight.result, interest)


def _small(agent_input: AgentInput) -> AgentInput:
    """A copy that can be kept: small pictures, thinned points."""
    cameras = {}
    for name, image in agent_input.cameras.items():
        height, width = image.rgb.shape[:2]
        factor = min(1.0, _WIDTH_PX / width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        rgb = np.asarray(cv2.resize(image.rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        cameras[name] = CameraImage(image.calibration.scaled(*size), rgb, image.time_us)
    lidar = agent_input.lidar
    if lidar is not None:
        step = max(1, -(-len(lidar.points) // _POINTS))
        lidar = LidarSweep(lidar.points[::step].copy(), lidar.time_us)
    return replace(agent_input, cameras=cameras, lidar=lidar, earlier_lidar=())


def _driven_after(sight: Sight, track: EgoTrack) -> FloatArray:
    now = sight.agent_input.now
    times = now.time_us + np.linspace(0.0, HORIZONS_S[-1], 33) * US_PER_S
    poses = [track.motion_at(int(time)).pose[:2] for time in times if track.covers(int(time))]
    away = np.array(poses).reshape(-1, 2) - now.pose[:2]
    cos, sin = np.cos(now.pose[2]), np.sin(now.pose[2])
    return np.column_stack((cos * away[:, 0] + sin * away[:, 1], -sin * away[:, 0] + cos * away[:, 1]))


def moment_picture(moment: DrivenSight) -> bytes:
    """PNG: the cameras with tree, plan and driven path, the LiDAR from above, and its points in the front picture."""
    agent_input = moment.sight.agent_input
    figure = Figure(figsize=(12.0, 9.6), dpi=80, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.0, 2.2))
    for column, name in enumerate(FRONT_CAMERAS):
        axes = figure.add_subplot(grid[0, column])
        image = agent_input.cameras.get(name)
        if image is None or not image.rgb.any():
            axes.text(0.5, 0.5, f"no {name}", ha="center", va="center")
        else:
            axes.imshow(_with_driven(camera_with_plan(image, moment.sight.result), image, moment.driven))
            axes.set_title(f"{name}: plan blue, driven white", fontsize=9)
        axes.set_axis_off()
    above = figure.add_subplot(grid[1, 0:2])
    draw_lidar(above, agent_input)
    draw_tree(above, moment.sight.result)
    above.plot(moment.driven[:, 1], moment.driven[:, 0], color="black", linestyle="--", label="driven", zorder=7)
    above.legend(loc="lower right", fontsize=8)
    above.set_xlim(_SIDE_M, -_SIDE_M)
    above.set_ylim(-_BEHIND_M, _AHEAD_M)
    above.set_aspect("equal")
    above.set_xlabel("left [m]")
    above.set_ylabel("ahead [m]")
    above.set_title("LiDAR from above", fontsize=9)
    _draw_points_in_picture(figure.add_subplot(grid[1, 2]), agent_input)
    return _png(figure)


def _with_driven(picture: npt.NDArray[np.uint8], image: CameraImage, driven: FloatArray) -> npt.NDArray[np.uint8]:
    if len(driven) > 1:
        draw_ground_line(picture, image, driven, _DRIVEN_RGB, max(1, picture.shape[1] // 160))
    return picture


def _draw_points_in_picture(axes: Axes, agent_input: AgentInput) -> None:
    """LiDAR points where the mounts put them in the front picture: they must lie on what they hit."""
    image = agent_input.cameras[FRONT_CAMERAS[1]]
    axes.imshow(image.rgb)
    height, width = image.rgb.shape[:2]
    if agent_input.lidar is not None and len(agent_input.lidar.points):
        points = agent_input.lidar.points[:, :3].astype(np.float64)
        pixels, seen = image.calibration.project(points)
        seen &= (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        distance = np.hypot(points[seen, 0], points[seen, 1])
        axes.scatter(
            pixels[seen, 0], pixels[seen, 1], c=distance, s=1.5, cmap="turbo_r", vmin=0.0, vmax=_FAR_M, linewidths=0
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_title("LiDAR in the front picture\n(red near, blue far): do points lie on things?", fontsize=9)
    axes.set_axis_off()


def course_picture(plans: Sequence[ShadowPlan]) -> bytes:
    """PNG: speed, distance between planned and driven places, predicted score and change of plan over the drive."""
    figure = Figure(figsize=(12.0, 7.2), dpi=80, layout="constrained")
    rows = figure.subplots(4, 1, sharex=True)
    time_s = np.array([(plan.time_us - plans[0].time_us) * 1e-6 for plan in plans])
    rows[0].plot(time_s, [plan.speed_mps for plan in plans], color="black")
    rows[0].set_ylabel("speed [m/s]")
    for index, color in ((1, "#7aa6d6"), (3, "#1e6ee6")):
        along = np.array([plan.along_m[index] for plan in plans])
        across = np.array([plan.across_m[index] for plan in plans])
        rows[1].plot(time_s, along, color=color, label=f"along, {HORIZONS_S[index]:.0f} s")
        rows[1].plot(time_s, across, color=color, linestyle=":", label=f"across (left), {HORIZONS_S[index]:.0f} s")
    rows[1].axhline(0.0, color="grey", linewidth=0.5)
    rows[1].set_ylabel("planned - driven [m]")
    rows[1].legend(fontsize=7, ncols=4)
    rows[2].plot(time_s, [plan.score for plan in plans], color="#1a9850", label="predicted score")
    rows[2].plot(time_s, [plan.confidence for plan in plans], color="#999999", label="confidence")
    rows[2].set_ylim(-0.05, 1.05)
    rows[2].legend(fontsize=7, ncols=2)
    rows[3].plot(time_s, [plan.change_m for plan in plans], color="#7b3fa0")
    rows[3].set_ylabel("change to the\nplan before [m]")
    rows[3].set_xlabel("time since the first plan [s]")
    for plan, time in zip(plans, time_s, strict=True):
        if plan.reason:
            for axes in rows:
                axes.axvline(time, color="#d73027", linewidth=0.8)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
