"""From scenes to the packed tensors that the scorer reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.scene import (
    PLAN_STEPS,
    STATE_SIZE,
    MapLayer,
    MapPolygons,
    PackedRings,
    Scene,
    SceneError,
    TrackedObjects,
)
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.simulation.log_replay import replay_objects
from pair_drive_core.simulation.past import past_states
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S, plan_sampling
from pair_drive_core.simulation.traffic import select_objects, touches_ego_at_start

STOPPED_SPEED_MPS = 0.05
"""A track first seen at most this fast counts as standing (nuPlan `is_track_stopped`)."""

SCORED_LAYERS = (
    MapLayer.LANE,
    MapLayer.INTERSECTION,
    MapLayer.DRIVABLE_AREA,
    MapLayer.LANE_CONNECTOR,
    MapLayer.CARPARK_AREA,
    MapLayer.ROADBLOCK,
)
"""Map layers of the official drivable map; polygons of other layers are left out."""
_SCORED_LAYERS = np.array([int(layer) for layer in SCORED_LAYERS])

_GROUND_FIELDS = (
    *("polygon_tokens", "time_us", "origin", "ego", "sample_index", "sample_weight"),
    *("polygon_layers", "polygon_on_route", "polygon_offsets", "ring_points", "ring_offsets"),
    *("centerline", "centerline_offsets"),
)
"""What `prepare_scenes` takes over from the same scenes prepared before."""


def prepare_scenes(
    scenes: Sequence[Scene],
    metric: Metric = Metric.V2,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    tracks: Sequence[TrackedObjects] | None = None,
    validated: bool = False,
    ground: PreparedScenes | None = None,
) -> PreparedScenes:
    """Interpolate, shift and pack scenes for scoring.

    In V2 the objects are what the official log-replay traffic hands to the scorer: objects whose box touches the ego's
    at t0 are removed for good. V1.1 keeps them.

    Args:
        scenes: at least one; all with the same vehicle. `objects` holds at least 11 (V1) or 9 (V2) key frames.
        metric: which version of the metric.
        dtype: floating-point type of the result.
        device: where the result shall live.
        tracks: simulated traffic to score against instead of the log replay, one a scene, at 0.1 s; taken as it is.
        validated: whether the caller has validated the scenes just now.
        ground: the same scenes, prepared before in float64 on the CPU: ego, map and centre line are taken over from
            there, whatever these scenes hold.

    Raises:
        SceneError: naming the scene and the part that does not fit.
    """
    if not scenes:
        raise SceneError("prepare_scenes: expected at least one scene, got none")
    vehicle = scenes[0].vehicle
    different = [scene.token for scene in scenes if scene.vehicle != vehicle]
    if different:
        raise SceneError(
            f"prepare_scenes: expected the vehicle {vehicle.name} in every scene, differs in {different[:3]}"
        )
    if tracks is not None and len(tracks) != len(scenes):
        raise SceneError(f"prepare_scenes: expected {len(scenes)} sets of tracks, got {len(tracks)}")
    if ground is not None and len(ground) != len(scenes):
        raise SceneError(f"prepare_scenes: expected the ground of {len(scenes)} scenes, got that of {len(ground)}")
    packer = _Packer(metric, ground)
    for i, scene in enumerate(scenes):
        packer.add(scene if validated else _validated(scene), None if tracks is None else tracks[i])
    return packer.pack(scenes).to(device=device, dtype=dtype)


def _validated(scene: Scene) -> Scene:
    try:
        return scene.validate()
    except SceneError as error:
        raise SceneError(f"scene {scene.token}: {error}") from error


class _Packer:
    """Collects the ragged parts of scenes, shifted to their local frames."""

    def __init__(self, metric: Metric, ground: PreparedScenes | None) -> None:
        self.metric, self.ground = metric, ground
        self.origin: list[Tensor] = []
        self.ego: list[Tensor] = []
        self.history: list[Tensor] = []
        self.has_history: list[bool] = []
        self.objects: list[TrackedObjects] = []
        self.map: list[MapPolygons] = []
        self.rings: list[PackedRings] = []
        self.centerline: list[Tensor] = []
        self.red_tokens: list[tuple[str, ...]] = []
        self.red_on: list[Tensor] = []
        self.red_rings: list[PackedRings] = []
        self.human: list[Tensor] = []
        self.reference: list[Tensor] = []

    def add(self, scene: Scene, tracks: TrackedObjects | None) -> None:
        """Add one scene.

        Raises:
            SceneError: naming the scene and the part at fault.
        """
        try:
            self._add(scene, tracks)
        except SceneError as error:
            raise SceneError(f"scene {scene.token}: {error}") from error

    def _add(self, scene: Scene, tracks: TrackedObjects | None) -> None:
        origin = self._add_ground(scene) if self.ground is None else self.ground.origin[len(self.human)]
        self._add_history(scene, origin)
        self._add_objects(scene, tracks, origin)
        self._add_lights(scene, origin)
        self.human.append(_human_poses(scene))
        self.reference.append(_reference_poses(scene, origin))

    def _add_ground(self, scene: Scene) -> Tensor:
        """Add what `ground` would hold; gives the origin."""
        state = scene.ego.to_vector().to(torch.float64)
        if state.shape != (STATE_SIZE,):
            raise SceneError(f"Scene.ego: expected one state, got a batch of shape {tuple(state.shape[:-1])}")
        origin = state[:2].clone()
        state[:2] = 0.0
        self.origin.append(origin)
        self.ego.append(state)
        self.map.append(_scored_layers(scene.map))
        self.rings.append(_shift_rings(self.map[-1].rings, origin))
        self.centerline.append(_shift(scene.route.centerline, origin))
        return origin

    def _add_history(self, scene: Scene, origin: Tensor) -> None:
        past = past_states(scene.history) if self.metric is Metric.V2 else None
        self.has_history.append(past is not None)
        rows = torch.zeros(0, STATE_SIZE, dtype=torch.float64) if past is None else torch.from_numpy(past)
        self.history.append(_shift(rows, origin))

    def _add_objects(self, scene: Scene, tracks: TrackedObjects | None, origin: Tensor) -> None:
        repeated = len(scene.objects.tokens) - len(set(scene.objects.tokens))
        if repeated:
            raise SceneError(f"TrackedObjects.tokens: expected every token once, got {repeated} repeats")
        steps = self.metric.object_steps
        if tracks is None:
            objects = replay_objects(_shift_objects(scene.objects, origin), self.metric.key_frames)
            if self.metric is Metric.V2:
                objects = select_objects(objects, ~touches_ego_at_start(scene, objects, origin))
        else:
            tracks.validate()
            if tracks.states.shape[0] < steps or abs(tracks.interval_s - STEP_S) > 1e-9:
                raise SceneError(
                    f"tracks: expected at least {steps} rows every {STEP_S} s, got {tracks.states.shape[0]} rows "
                    f"every {tracks.interval_s} s"
                )
            objects = _shift_objects(tracks, origin)
        self.objects.append(objects)

    def _add_lights(self, scene: Scene, origin: Tensor) -> None:
        lights = scene.lights
        if self.metric is Metric.V1 or not lights.tokens:
            self.red_tokens.append(())
            self.red_on.append(torch.zeros(0, SIMULATION_STEPS, dtype=torch.bool))
            self.red_rings.append(PackedRings.from_sequences([]))
            return
        if lights.red.shape[0] < SIMULATION_STEPS or abs(lights.interval_s - STEP_S) > 1e-9:
            raise SceneError(
                f"TrafficLights.red: expected at least {SIMULATION_STEPS} rows every {STEP_S} s, got "
                f"{lights.red.shape[0]} rows every {lights.interval_s} s"
            )
        self.red_tokens.append(lights.tokens)
        self.red_on.append(lights.red[:SIMULATION_STEPS].T)
        self.red_rings.append(_shift_rings(lights.rings, origin))

    def pack(self, scenes: Sequence[Scene]) -> PreparedScenes:
        """Concatenate all that was added."""
        steps = self.metric.object_steps
        red_points, red_ring_offsets = _pack_rings(self.red_rings)
        states = torch.cat([o.states[:steps].transpose(0, 1) for o in self.objects])
        present = torch.cat([o.present[:steps].T for o in self.objects])
        is_agent = torch.cat([o.is_agent for o in self.objects])
        return PreparedScenes(
            metric=self.metric,
            vehicle=scenes[0].vehicle,
            tokens=tuple(scene.token for scene in scenes),
            object_tokens=tuple(o.tokens for o in self.objects),
            red_tokens=tuple(self.red_tokens),
            history=torch.cat(self.history),
            history_offsets=_offsets(h.shape[0] for h in self.history),
            has_history=torch.tensor(self.has_history),
            object_states=states.contiguous(),
            object_present=present.contiguous(),
            object_size=torch.cat([o.sizes[:, :2] for o in self.objects]).to(torch.float64),
            object_is_agent=is_agent,
            object_stopped=_stopped_when_first_seen(states, present, is_agent),
            object_offsets=_offsets(len(o.tokens) for o in self.objects),
            red_on=torch.cat(self.red_on).contiguous(),
            red_offsets=_offsets(len(t) for t in self.red_tokens),
            red_points=red_points,
            red_ring_offsets=red_ring_offsets,
            human=torch.stack(self.human),
            has_human=torch.tensor([scene.human is not None for scene in scenes]),
            reference=torch.stack(self.reference),
            has_reference=torch.tensor([scene.reference is not None for scene in scenes]),
            **self._packed_ground(scenes),
        )

    def _packed_ground(self, scenes: Sequence[Scene]) -> dict[str, Any]:
        if self.ground is not None:
            return {name: getattr(self.ground, name) for name in _GROUND_FIELDS}
        time_us = np.array([scene.time_us for scene in scenes], dtype=np.int64)
        index, weight = plan_sampling(time_us)
        ring_points, ring_offsets = _pack_rings(self.rings)
        return {
            "polygon_tokens": tuple(polygons.tokens for polygons in self.map),
            "time_us": torch.from_numpy(time_us),
            "origin": torch.stack(self.origin),
            "ego": torch.stack(self.ego),
            "sample_index": torch.from_numpy(index),
            "sample_weight": torch.from_numpy(weight),
            "polygon_layers": torch.cat([polygons.layers for polygons in self.map]).to(torch.int64),
            "polygon_on_route": torch.cat([polygons.on_route for polygons in self.map]),
            "polygon_offsets": _offsets(len(polygons.tokens) for polygons in self.map),
            "ring_points": ring_points,
            "ring_offsets": ring_offsets,
            "centerline": torch.cat(self.centerline),
            "centerline_offsets": _offsets(c.shape[0] for c in self.centerline),
        }


def _shift(points: Tensor, origin: Tensor) -> Tensor:
    """Subtract the origin from the first two columns, in float64."""
    moved = points.to(torch.float64).clone()
    moved[..., :2] -= origin
    return moved


def _scored_layers(polygons: MapPolygons) -> MapPolygons:
    """Only the polygons whose layer the metric looks at."""
    keep = np.isin(polygons.layers.numpy(), _SCORED_LAYERS)
    count = int(np.count_nonzero(keep))
    if count == len(polygons.tokens):
        return polygons
    offsets = polygons.rings.offsets
    if keep[:count].all():  # the usual order: the others come last
        rings = PackedRings(polygons.rings.points[: int(offsets[count])], offsets[: count + 1])
        return MapPolygons(polygons.tokens[:count], polygons.layers[:count], rings, polygons.on_route[:count])
    chosen, counts = torch.from_numpy(keep), offsets.diff()
    points = polygons.rings.points[chosen.repeat_interleave(counts)]
    rings = PackedRings(points, torch.cat((counts.new_zeros(1), counts[chosen].cumsum(0))))
    tokens = tuple(token for token, kept in zip(polygons.tokens, keep, strict=True) if kept)
    return MapPolygons(tokens, polygons.layers[chosen], rings, polygons.on_route[chosen])


def _shift_rings(rings: PackedRings, origin: Tensor) -> PackedRings:
    return PackedRings(rings.points[:, :2].to(torch.float64) - origin, rings.offsets)


def _shift_objects(objects: TrackedObjects, origin: Tensor) -> TrackedObjects:
    states = torch.where(objects.present[..., None], _shift(objects.states, origin), 0.0)
    return TrackedObjects(objects.tokens, objects.types, objects.sizes, states, objects.present, objects.interval_s)


def _stopped_when_first_seen(states: Tensor, present: Tensor, is_agent: Tensor) -> Tensor:
    """(N,) bool from (N, T, 5) states: not an agent, or slow in the first row where it is present."""
    first = present.to(torch.uint8).argmax(1)
    velocity = states[torch.arange(states.shape[0]), first, 3:5]
    return ~is_agent | (torch.hypot(velocity[:, 0], velocity[:, 1]) <= STOPPED_SPEED_MPS)


def _human_poses(scene: Scene) -> Tensor:
    if scene.human is None:
        return torch.zeros(PLAN_STEPS, 3, dtype=torch.float64)
    poses = scene.human.poses.to(torch.float64)
    if poses.shape != (PLAN_STEPS, 3):
        raise SceneError(f"Scene.human: expected poses of shape ({PLAN_STEPS}, 3), got {tuple(poses.shape)}")
    return poses


def _reference_poses(scene: Scene, origin: Tensor) -> Tensor:
    if scene.reference is None:
        return torch.zeros(SIMULATION_STEPS, 3, dtype=torch.float64)
    if scene.reference.shape != (SIMULATION_STEPS, 3) or not bool(torch.isfinite(scene.reference).all()):
        raise SceneError(
            f"Scene.reference: expected {SIMULATION_STEPS} finite poses (x, y, heading), got shape "
            f"{tuple(scene.reference.shape)}"
        )
    return _shift(scene.reference, origin)


def _offsets(counts: Iterable[int]) -> Tensor:
    return torch.tensor([0, *counts], dtype=torch.int64).cumsum(0)


def _pack_rings(parts: Sequence[PackedRings]) -> tuple[Tensor, Tensor]:
    points = torch.cat([rings.points for rings in parts])
    counts = torch.cat([rings.offsets.diff() for rings in parts])
    return points, torch.cat((counts.new_zeros(1), counts.cumsum(0)))
