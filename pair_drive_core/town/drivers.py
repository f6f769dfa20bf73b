"""How drivers drive: habits drawn for each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import PACIFICA
from pair_drive_core.town.curves import FloatArray, snap
from pair_drive_core.town.flaws import Profile, draw_profiles


@dataclass(frozen=True)
class Fleet:
    """Measures of the moving vehicles and habits of their drivers, one row a vehicle.

    Attributes:
        demonstrator: (V,) bool, the ego's model of car, whose driving is shown to learners.
        length_m: (V,).
        width_m: (V,).
        height_m: (V,).
        front_m: (V,), rear axle to front bumper.
        speed_factor: (V,), wanted speed over speed limit.
        lateral_mps2: (V,), lateral acceleration accepted in bends.
        braking_mps2: (V,), comfortable braking.
        acceleration_mps2: (V,), IDM's greatest acceleration.
        headway_s: (V,), IDM's time headway.
        standstill_m: (V,), IDM's gap at rest.
        color: (V, 3) uint8, RGB.
        profile: (V,) int64, `flaws.Profile` of the driver.
    """

    demonstrator: npt.NDArray[np.bool_]
    length_m: FloatArray
    width_m: FloatArray
    height_m: FloatArray
    front_m: FloatArray
    speed_factor: FloatArray
    lateral_mps2: FloatArray
    braking_mps2: FloatArray
    acceleration_mps2: FloatArray
    headway_s: FloatArray
    standstill_m: FloatArray
    color: npt.NDArray[np.uint8]
    profile: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of vehicles."""
        return len(self.length_m)

    @property
    def center_m(self) -> FloatArray:
        """(V,): rear axle to box centre."""
        return self.front_m - self.length_m / 2.0


PAINT = np.array(
    [
        [235, 235, 235], [30, 30, 34], [120, 124, 128], [175, 178, 182], [160, 30, 32],
        [35, 60, 120], [70, 95, 75], [190, 160, 60], [90, 60, 45], [60, 110, 150],
    ],
    dtype=np.uint8,
)  # fmt: skip
"""Usual colours of cars."""


def draw_fleet(count: int, demonstrators: int, rng: np.random.Generator) -> Fleet:
    """Draw vehicles; the first `demonstrators` are of the ego's model."""
    demonstrator = np.arange(count) < demonstrators
    length = snap(np.where(demonstrator, PACIFICA.length_m, rng.uniform(4.1, 5.2, count)))
    width = snap(np.where(demonstrator, PACIFICA.width_m, 1.75 + 0.09 * (length - 4.0) + rng.uniform(0.0, 0.15, count)))
    height = snap(np.where(demonstrator, PACIFICA.height_m, rng.uniform(1.4, 1.9, count)))
    profile = draw_profiles(demonstrator, rng)
    hurry = (profile == int(Profile.HURRIED)).astype(np.float64) - (profile == int(Profile.TIMID))
    front = snap(np.where(demonstrator, PACIFICA.front_length_m, length * 0.79))
    return Fleet(
        demonstrator,
        length,
        width,
        height,
        front,
        speed_factor=snap((rng.normal(1.04, 0.07, count) + 0.1 * hurry).clip(0.8, 1.25)),
        lateral_mps2=snap(rng.uniform(1.0, 1.6, count)),
        braking_mps2=snap(rng.uniform(1.2, 1.7, count)),
        acceleration_mps2=snap(rng.uniform(1.3, 2.0, count)),
        headway_s=snap(rng.uniform(1.0, 1.6, count) - 0.2 * hurry),
        standstill_m=snap(rng.uniform(1.8, 3.0, count)),
        color=PAINT[rng.integers(0, len(PAINT), count)],
        profile=profile,
    )
