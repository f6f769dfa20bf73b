"""Many scenes of different sizes packed into flat tensors, in the form that the scorer reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.scene import VehicleParameters
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.polygon_index import PolygonIndex


@dataclass(frozen=True)
class PreparedScenes:
    """S scenes; ragged parts are concatenated over scenes and cut by offsets.

    Every scene has its own local frame: the global frame moved (not turned) so that the ego's rear axle at t0 is the
    origin. The shift is done in float64, so float32 tensors lose nothing at map coordinates of 1e6 m. Units are m, s,
    rad. Entries `x[offsets[s] : offsets[s + 1]]` of a ragged field belong to scene `s`; offsets are int64, the first 0.

    Attributes:
        metric: which version of the metric the scenes were prepared for.
        vehicle: measures of the ego, the same in all scenes.
        tokens: S scene names.
        object_tokens: for each scene the track names of its objects, in the order of the rows below.
        polygon_tokens: for each scene the map ids of its polygons.
        red_tokens: for each scene the lane connectors that have a red light at some time.
        time_us: (S,) int64, t0.
        origin: (S, 2) float64, global position of the local frame's origin.
        ego: (S, 11), state at t0, columns of `StateIndex`; x = y = 0.
        sample_index: (S, 41) int64, knot before each 10 Hz sample of a plan of 8 poses (0 = start pose).
        sample_weight: (S, 41), how far the sample lies towards the next knot, in [0, 1].
        history: (H, 11), past states at 10 Hz in front of t0 (V2; empty in V1), ragged.
        history_offsets: (S + 1,).
        has_history: (S,) bool, whether the past is known.
        object_states: (N, T, 5), columns of `ObjectStateIndex` at 10 Hz from t0 on; T = 51 in V1, 41 in V2; ragged.
        object_present: (N, T) bool.
        object_size: (N, 2), length and width.
        object_is_agent: (N,) bool, vehicle, pedestrian or bicycle.
        object_stopped: (N,) bool, static object, or an agent whose speed when first seen is at most 0.05 m/s.
        object_offsets: (S + 1,).
        polygon_layers: (M,) int64, values of `MapLayer`, ragged.
        polygon_on_route: (M,) bool.
        polygon_offsets: (S + 1,).
        ring_points: (V, 2), vertices of the open rings of all polygons.
        ring_offsets: (M + 1,), ring of polygon m is `ring_points[ring_offsets[m] : ring_offsets[m + 1]]`.
        centerline: (C, 3), x, y, heading of the route's centre line, ragged.
        centerline_offsets: (S + 1,).
        red_on: (R, 41) bool, whether a connector shows red at each step (V2; empty in V1), ragged.
        red_offsets: (S + 1,).
        red_points: (W, 2), vertices of the open rings of the connectors.
        red_ring_offsets: (R + 1,).
        human: (S, 8, 3), the demonstrated plan in the ego frame at t0; zero where there is none.
        has_human: (S,) bool.
        reference: (S, 41, 3), PDM-Closed reference, poses of the rear axle; zero where there is none.
        has_reference: (S,) bool.
    """

    metric: Metric
    vehicle: VehicleParameters
    tokens: tuple[str, ...]
    object_tokens: tuple[tuple[str, ...], ...]
    polygon_tokens: tuple[tuple[str, ...], ...]
    red_tokens: tuple[tuple[str, ...], ...]
    time_us: Tensor
    origin: Tensor
    ego: Tensor
    sample_index: Tensor
    sample_weight: Tensor
    history: Tensor
    history_offsets: Tensor
    has_history: Tensor
    object_states: Tensor
    object_present: Tensor
    object_size: Tensor
    object_is_agent: Tensor
    object_stopped: Tensor
    object_offsets: Tensor
    polygon_layers: Tensor
    polygon_on_route: Tensor
    polygon_offsets: Tensor
    ring_points: Tensor
    ring_offsets: Tensor
    centerline: Tensor
    centerline_offsets: Tensor
    red_on: Tensor
    red_offsets: Tensor
    red_points: Tensor
    red_ring_offsets: Tensor
    human: Tensor
    has_human: Tensor
    reference: Tensor
    has_reference: Tensor

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.tokens)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of everything but `origin`."""
        return self.ego.dtype

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.ego.device

    @cached_property
    def polygon_index(self) -> PolygonIndex:
        """The map polygons, indexed for point tests (built once)."""
        return PolygonIndex.build(self.ring_points, self.ring_offsets)

    @cached_property
    def red_index(self) -> PolygonIndex:
        """The polygons of the red connectors, indexed for point tests (built once)."""
        return PolygonIndex.build(self.red_points, self.red_ring_offsets)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PreparedScenes:
        """Move to a device and change the floating-point type (`origin` stays float64)."""
        changed: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                wanted = dtype if value.is_floating_point() and item.name != "origin" else None
                changed[item.name] = value.to(device=device, dtype=wanted)
        return replace(self, **changed)

    def select(self, scenes: Sequence[int]) -> PreparedScenes:
        """A batch of some of the scenes, in the given order (repeats are allowed).

        Args:
            scenes: indices below `len(self)`.

        Raises:
            IndexError: if an index is out of range.
        """
        chosen = [range(len(self))[i] for i in scenes]
        index = torch.tensor(chosen, dtype=torch.int64, device=self.device)
        out: dict[str, Any] = {name: getattr(self, name)[index] for name in _PER_SCENE}
        for name in ("tokens", "object_tokens", "polygon_tokens", "red_tokens"):
            whole = getattr(self, name)
            out[name] = tuple(whole[i] for i in chosen)
        out["history_offsets"], rows = _gather_ragged(self.history_offsets, index)
        out["history"] = self.history[rows]
        out["centerline_offsets"], rows = _gather_ragged(self.centerline_offsets, index)
        out["centerline"] = self.centerline[rows]
        out["object_offsets"], rows = _gather_ragged(self.object_offsets, index)
        for name in ("object_states", "object_present", "object_size", "object_is_agent", "object_stopped"):
            out[name] = getattr(self, name)[rows]
        out["polygon_offsets"], rows = _gather_ragged(self.polygon_offsets, index)
        out["polygon_layers"], out["polygon_on_route"] = self.polygon_layers[rows], self.polygon_on_route[rows]
        out["ring_offsets"], rows = _gather_ragged(self.ring_offsets, rows)
        out["ring_points"] = self.ring_points[rows]
        out["red_offsets"], rows = _gather_ragged(self.red_offsets, index)
        out["red_on"] = self.red_on[rows]
        out["red_ring_offsets"], rows = _gather_ragged(self.red_ring_offsets, rows)
        out["red_points"] = self.red_points[rows]
        return replace(self, **out)

    def with_reference(self, reference: Tensor) -> PreparedScenes:
        """The same scenes with another PDM-Closed reference.

        Args:
            reference: (S, 41, 3), poses of the rear axle in the global frame, float64.
        """
        local = reference.to(self.origin).clone()
        local[..., :2] -= self.origin[:, None, :]
        return replace(self, reference=local.to(self.dtype), has_reference=torch.ones_like(self.has_reference))


_PER_SCENE = (
    "time_us",
    "origin",
    "ego",
    "sample_index",
    "sample_weight",
    "has_history",
    "human",
    "has_human",
    "reference",
    "has_reference",
)


def _gather_ragged(offsets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets and row indices of the segments `index` of a ragged tensor, packed anew."""
    start, count = offsets[index], offsets[index + 1] - offsets[index]
    packed = torch.cat((count.new_zeros(1), count.cumsum(0)))
    segment = torch.repeat_interleave(torch.arange(index.shape[0], device=index.device), count)
    rows = torch.arange(segment.shape[0], device=index.device) - packed[segment] + start[segment]
    return packed, rows
