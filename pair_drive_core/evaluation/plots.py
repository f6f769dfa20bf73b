"""Pictures of a moment: what the cameras see and the map from above, both with the planned tree."""

from __future__ import annotations

import heapq
import io
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.geometry import box_corners, relative_se2
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput, CameraImage, MapLayer, ObjectType, Scene, Trajectory
from pair_drive_core.scene.sensors import FloatArray

_RGB = npt.NDArray[np.uint8]
_TREE_COLORS = mpl.colormaps["RdYlGn"]
_PLAN_RGB = (30, 110, 230)
_HUMAN_COLOR = "#222222"
_AHEAD_M, _BEHIND_M, _SIDE_M = 46.0, 10.0, 43.0
_NEAR_PLANE_M = 0.5
_LAYER_COLORS = {
    MapLayer.ROADBLOCK: "#d9d9d9",
    MapLayer.ROADBLOCK_CONNECTOR: "#d9d9d9",
    MapLayer.LANE: "#d9d9d9",
    MapLayer.LANE_CONNECTOR: "#d9d9d9",
    MapLayer.INTERSECTION: "#d0d0d0",
    MapLayer.DRIVABLE_AREA: "#d9d9d9",
    MapLayer.CARPARK_AREA: "#e4e0d4",
    MapLayer.WALKWAYS: "#eef3ea",
    MapLayer.CROSSWALK: "#f7f7f7",
}
_OBJECT_COLORS = {ObjectType.VEHICLE: "#3b6ea8", ObjectType.PEDESTRIAN: "#d1495b", ObjectType.BICYCLE: "#e08e2b"}


@dataclass(frozen=True)
class Sight:
    """A moment worth a picture.

    Attributes:
        agent_input: what the planner saw.
        result: what it planned.
    """

    agent_input: AgentInput
    result: GuardedPlan


@dataclass
class PictureBook:
    """Keeps the few most telling moments of a drive.

    Attributes:
        capacity: how many are kept.
        apart_s: least time between two of them.
    """

    capacity: int = 8
    apart_s: float = 5.0
    _kept: list[tuple[float, int, Sight]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def consider(self, agent_input: AgentInput, result: GuardedPlan, interest: float | None = None) -> None:
        """Keep a moment if it says more than those kept before.

        Args:
            agent_input: what the planner saw.
            result: what it planned.
            interest: how much it says; None: what its plan alone says.
        """
        entry = (_interest(result) if interest is None else interest, next(self._number), Sight(agent_input, result))
        near = [kept for kept in self._kept if self._is_near(kept[2], agent_input)]
        if near:
            if near[0][0] < entry[0]:
                self._kept.remove(near[0])
                heapq.heapify(self._kept)
                heapq.heappush(self._kept, entry)
        elif len(self._kept) < self.capacity:
            heapq.heappush(self._kept, entry)
        elif self._kept[0][0] < entry[0]:
            heapq.heapreplace(self._kept, entry)

    def best(self, count: int, scenes: Mapping[int, Scene]) -> list[Sight]:
        """The most telling kept moments, in the order of their time; those with ground truth first.

        Args:
            count: how many.
            scenes: ground truth by t0, us.
        """
        ranked = sorted(self._kept, key=lambda kept: (kept[2].agent_input.now.time_us not in scenes, -kept[0]))
        return sorted((kept[2] for kept in ranked[:count]), key=lambda sight: sight.agent_input.now.time_us)

    def _is_near(self, sight: Sight, agent_input: AgentInput) -> bool:
        return abs(sight.agent_input.now.time_us - agent_input.now.time_us) < self.apart_s * 1e6


def _interest(result: GuardedPlan) -> float:
    """Turning plans that the reinforcement branch chose tell most; standing ones nothing."""
    plan = result.plan
    poses = plan.poses.double()
    length = min(float(poses[-1, :2].norm()) / 20.0, 1.0)
    turn = min(float(poses[-1, 2].abs()), 1.0)
    spread = 0.0
    if plan.candidates is not None:
        spread = min(float(plan.candidates.poses[:, -1, :2].std(0).norm()) / 5.0, 1.0)
    return length + turn + spread + (plan.source is PlanSource.REINFORCEMENT)


def write_pictures(folder: Path, sights: list[Sight], scenes: Mapping[int, Scene]) -> list[Path]:
    """Write `scene_<n>.png` for each moment.

    Args:
        folder: where to.
        sights: moments.
        scenes: ground truth by t0, us, for the map; a moment without it is drawn without a map.
    """
    paths = []
    for number, sight in enumerate(sights, start=1):
        path = folder / f"scene_{number}.png"
        write_bytes(path, scene_picture(sight, scenes.get(sight.agent_input.now.time_us)))
        paths.append(path)
    return paths


def scene_picture(sight: Sight, scene: Scene | None) -> bytes:
    """PNG: the three front cameras above, the map from above below, the planned tree in both.

    Args:
        sight: the moment.
        scene: ground truth of the same moment; None where it is not known.
    """
    agent_input, plan = sight.agent_input, sight.result.plan
    figure = Figure(figsize=(12.0, 9.9), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.0, 3.2))
    for column, name in enumerate(FRONT_CAMERAS):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(camera_with_plan(agent_input.cameras[name], sight.result))
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    if scene is not None:
        _draw_scene(axes, scene)
    draw_lidar(axes, agent_input)
    draw_tree(axes, sight.result)
    if plan.candidates is not None:
        colors = ScalarMappable(Normalize(0.0, 1.0), _TREE_COLORS)
        inset = axes.inset_axes((0.03, 0.09, 0.25, 0.025))
        figure.colorbar(colors, cax=inset, orientation="horizontal", label="predicted PDM score of a leaf")
    status = agent_input.now
    axes.set_title(
        f"t = {status.time_us / 1e6:.1f} s, {float(status.velocity[0]):.1f} m/s, command "
        f"{status.command.name.lower()}, plan: {plan.source.value}",
        fontsize=10,
    )
    # Forward is up: the ego frame's x is drawn vertically, its y to the left.
    axes.set_xlim(_SIDE_M, -_SIDE_M)
    axes.set_ylim(-_BEHIND_M, _AHEAD_M)
    axes.set_aspect("equal")
    axes.set_xlabel("left [m]")
    axes.set_ylabel("ahead [m]")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def camera_with_plan(image: CameraImage, result: GuardedPlan) -> _RGB:
    """A camera's picture with the leaves as thin lines and the plan as a broad one, both on the ground."""
    picture = image.rgb.copy()
    thickness = max(1, image.rgb.shape[1] // 160)
    leaves = result.plan.candidates
    if leaves is not None:
        for poses, reward in zip(leaves.poses, leaves.reward.tolist(), strict=True):
            color = tuple(int(255 * value) for value in _TREE_COLORS(float(np.clip(reward, 0.0, 1.0)))[:3])
            draw_ground_line(picture, image, dense_path(poses), color, max(1, thickness // 2))
    draw_ground_line(picture, image, dense_path(result.plan.poses), _PLAN_RGB, 2 * thickness)
    return picture


def project_ground(image: CameraImage, points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Pixels of points on the ground.

    Args:
        image: for its calibration.
        points: (P, 2), ego frame, m.

    Returns:
        (P, 2) px, and (P,) whether the point lies in front of the camera and within what its lens model holds for.
    """
    calibration = image.calibration
    ground = np.column_stack((points, np.zeros(len(points))))
    pixels, holds = calibration.project(ground)
    depth = ((ground - calibration.ego_t_camera) @ calibration.ego_r_camera)[:, 2]
    return pixels, holds & (depth > _NEAR_PLANE_M)


def draw_ground_line(
    picture: _RGB, image: CameraImage, points: FloatArray, color: tuple[int, ...], thickness: int
) -> None:
    """Draw a line on the ground into a picture; parts that the camera does not see are left out.

    Args:
        picture: drawn into.
        image: for its calibration.
        points: (P, 2), ego frame, m.
        color: red green blue.
        thickness: px.
    """
    pixels, in_front = project_ground(image, points)
    limit = 4 * max(picture.shape)
    usable = in_front & (np.abs(pixels) < limit).all(1)
    for first, second in itertools.pairwise(range(len(points))):
        if usable[first] and usable[second]:
            start, end = (tuple(round(float(v)) for v in pixels[i]) for i in (first, second))
            cv2.line(picture, start, end, color, thickness, cv2.LINE_AA)


def dense_path(poses: torch.Tensor) -> FloatArray:
    """(P, 2): the path of a plan from the front bumper on, every few decimetres."""
    knots = Trajectory(poses.double()).with_start()[:, :2].numpy()
    steps = np.linspace(0.0, len(knots) - 1, 8 * (len(knots) - 1) + 1)
    return np.column_stack([np.interp(steps, np.arange(len(knots)), knots[:, axis]) for axis in (0, 1)])


def _draw_scene(axes: Axes, scene: Scene) -> None:
    """Roads, route, objects and the driven path, in the ego frame."""
    origin = scene.ego.pose.double()
    for index, layer in enumerate(scene.map.layers.tolist()):
        color = _LAYER_COLORS.get(MapLayer(layer))
        if color is not None:
            ring = _local(origin, scene.map.rings[index])
            axes.add_patch(Polygon(ring, closed=True, facecolor=color, edgecolor="none", zorder=MapLayer(layer) / 100))
    for row in range(len(scene.lights.tokens)):
        if bool(scene.lights.red[0, row]):
            ring = _local(origin, scene.lights.rings[row])
            axes.add_patch(Polygon(ring, closed=True, facecolor="#e8b3b3", edgecolor="none", zorder=0.5))
    route = _local(origin, scene.route.centerline[:, :2])
    axes.plot(route[:, 0], route[:, 1], color="#8a8a8a", linewidth=1.0, linestyle=":", label="route", zorder=1)
    objects = scene.objects
    for row in range(len(objects.tokens)):
        if bool(objects.present[0, row]):
            state, size = objects.states[0, row].double(), objects.sizes[row].double()
            corners = _local(origin, box_corners(state[:2], state[2], size[0], size[1]))
            color = _OBJECT_COLORS.get(ObjectType(int(objects.types[row])), "#8c7a5b")
            axes.add_patch(Polygon(corners, closed=True, facecolor=color, edgecolor="white", linewidth=0.5, zorder=2))
    if scene.human is not None:
        human = scene.human.with_start().numpy()
        axes.plot(human[:, 1], human[:, 0], color=_HUMAN_COLOR, linestyle="--", label="driven afterwards", zorder=4)
    vehicle = scene.vehicle
    center = torch.tensor([vehicle.rear_axle_to_center_m, 0.0])
    box = box_corners(center, torch.tensor(0.0), torch.tensor(vehicle.length_m), torch.tensor(vehicle.width_m))
    axes.add_patch(Polygon(box.numpy()[:, ::-1], closed=True, facecolor="#1e6ee6", edgecolor="black", zorder=3))


def draw_lidar(axes: Axes, agent_input: AgentInput) -> None:
    """Points above the ground, seen from above."""
    if agent_input.lidar is not None:
        high = agent_input.lidar.points[agent_input.lidar.points[:, 2] > 0.3]
        axes.scatter(high[:, 1], high[:, 0], s=0.3, color="#555555", linewidths=0, zorder=2.5)


def draw_tree(axes: Axes, result: GuardedPlan) -> None:
    """The leaves, the imitation branch's plan and the chosen one, seen from above."""
    plan = result.plan
    if plan.candidates is not None:
        for poses, reward in zip(plan.candidates.poses, plan.candidates.reward.tolist(), strict=True):
            line = dense_path(poses)
            axes.plot(line[:, 1], line[:, 0], color=_TREE_COLORS(reward), linewidth=1.2, zorder=4)
        axes.plot([], [], color=_TREE_COLORS(1.0), linewidth=1.2, label="leaves, the better the greener")
        imitation = dense_path(plan.candidates.poses[plan.candidates.imitation_index])
        axes.plot(imitation[:, 1], imitation[:, 0], color="#7b3fa0", linewidth=1.5, label="imitation", zorder=5)
    line = dense_path(plan.poses)
    axes.plot(line[:, 1], line[:, 0], color=np.array(_PLAN_RGB) / 255.0, linewidth=3.0, label="plan", zorder=6)
    axes.legend(loc="lower right", fontsize=8)


def _local(origin: torch.Tensor, points: torch.Tensor) -> FloatArray:
    """(P, 2) points of the global frame as (left, ahead) in the ego frame."""
    poses = torch.cat((points.double(), torch.zeros_like(points[:, :1], dtype=torch.float64)), dim=-1)
    local: FloatArray = relative_se2(origin, poses)[:, :2].numpy()[:, ::-1]
    return local
