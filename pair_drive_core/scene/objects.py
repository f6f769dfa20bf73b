"""Tracked objects around the ego vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from pair_drive_core.scene.validation import SceneError, require_dtype, require_finite, require_shape


class ObjectType(IntEnum):
    """NAVSIM's classes; the first three are agents, the others are static."""

    VEHICLE = 0
    PEDESTRIAN = 1
    BICYCLE = 2
    TRAFFIC_CONE = 3
    BARRIER = 4
    CZONE_SIGN = 5
    GENERIC_OBJECT = 6

    @property
    def is_agent(self) -> bool:
        """Whether the class can move by itself (the official `AGENT_TYPES`)."""
        return self <= ObjectType.BICYCLE


_KNOWN_TYPES = frozenset(int(kind) for kind in ObjectType)


class ObjectStateIndex(IntEnum):
    """Columns of an object's state: box centre and velocity, both in the global frame."""

    X = 0
    Y = 1
    HEADING = 2
    VELOCITY_X = 3
    VELOCITY_Y = 4


OBJECT_STATE_SIZE = len(ObjectStateIndex)


@dataclass(frozen=True)
class TrackedObjects:
    """Object tracks sampled at a fixed interval from t0 on.

    Attributes:
        tokens: N track names.
        types: (N,) int64, values of `ObjectType`.
        sizes: (N, 3), length (along heading), width, height, m.
        states: (T, N, 5), see `ObjectStateIndex`; box centre, global frame; m, rad, m/s. Zero where not present.
        present: (T, N) bool, whether the object was observed.
        interval_s: time between rows of `states`: 0.5 for key frames, 0.1 for interpolated tracks.
    """

    tokens: tuple[str, ...]
    types: Tensor
    sizes: Tensor
    states: Tensor
    present: Tensor
    interval_s: float

    @staticmethod
    def empty(steps: int, interval_s: float, dtype: torch.dtype = torch.float64) -> TrackedObjects:
        """No objects at all, for `steps` moments."""
        return TrackedObjects(
            (),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, 3, dtype=dtype),
            torch.zeros(steps, 0, OBJECT_STATE_SIZE, dtype=dtype),
            torch.zeros(steps, 0, dtype=torch.bool),
            interval_s,
        )

    @property
    def is_agent(self) -> Tensor:
        """(N,) bool: vehicle, pedestrian or bicycle."""
        return self.types <= int(ObjectType.BICYCLE)

    def validate(self) -> TrackedObjects:
        """Check shapes, classes and finiteness of what is present.

        Raises:
            SceneError: naming the field at fault.
        """
        count, steps = len(self.tokens), self.states.shape[0]
        require_shape("TrackedObjects.types", self.types, (count,))
        require_shape("TrackedObjects.sizes", self.sizes, (count, 3))
        require_shape("TrackedObjects.states", self.states, (steps, count, OBJECT_STATE_SIZE))
        require_shape("TrackedObjects.present", self.present, (steps, count))
        require_dtype("TrackedObjects.present", self.present, torch.bool)
        require_finite("TrackedObjects.sizes", self.sizes)
        require_finite("TrackedObjects.states", self.states)
        unknown = sorted(set(self.types.tolist()) - _KNOWN_TYPES)
        if unknown:
            raise SceneError(f"TrackedObjects.types: expected values of {sorted(_KNOWN_TYPES)}, got {unknown}")
        if not self.interval_s > 0:
            raise SceneError(f"TrackedObjects.interval_s: expected a positive time, got {self.interval_s}")
        return self
