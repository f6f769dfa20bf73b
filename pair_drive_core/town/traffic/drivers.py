"""How drivers drive: habits drawn for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import PACIFICA, ObjectType
from pair_drive_core.town.streets.curves import FloatArray, snap
from pair_drive_core.town.streets.scenery import PAINT
from pair_drive_core.town.traffic.flaws import Profile, draw_profiles


class VehicleKind(IntEnum):
    """What moves on wheels."""

    CAR = 0
    TRUCK = 1
    BICYCLE = 2


_BICYCLE_BIAS_M = -2.15
"""Bicycles keep to the kerb, so that cars pass them within the lane."""


@dataclass(frozen=True)
class Fleet:
    """Measures of the moving vehicles and habits of their drivers, one row a vehicle.

    Attributes:
        kind: (V,) int64, `VehicleKind`.
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
        bias_m: (V,), where in the lane it drives, left of the centre line.
        color: (V, 3) uint8, RGB.
        profile: (V,) int64, `flaws.Profile` of the driver.
    """

    kind: npt.NDArray[np.int64]
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
    bias_m: FloatArray
    color: npt.NDArray[np.uint8]
    profile: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of vehicles."""
        return len(self.length_m)

    @property
    def object_types(self) -> npt.NDArray[np.int64]:
        """(V,): `ObjectType` of each."""
        bicycle = self.kind == int(VehicleKind.BICYCLE)
        return np.where(bicycle, int(ObjectType.BICYCLE), int(ObjectType.VEHICLE)).astype(np.int64)

    @property
    def center_m(self) -> FloatArray:
        """(V,): rear axle to box centre."""
        return self.front_m - self.length_m / 2.0


def draw_fleet(count: int, demonstrators: int, bicycles: int, truck_fraction: float, rng: np.random.Generator) -> Fleet:
    """Draw vehicles.

    Args:
        count: all of them.
        demonstrators: the first so many are of the ego's model.
        bicycles: the last so many are bicycles.
        truck_fraction: share of those between that are trucks.
        rng: source of all randomness.

    Raises:
        ValueError: if there are more demonstrators and bicycles than vehicles.
    """
    if demonstrators + bicycles > count or min(demonstrators, bicycles) < 0:
        raise ValueError(f"expected room for {demonstrators} demonstrators and {bicycles} bicycles in {count} vehicles")
    rows = np.arange(count)
    kind = np.where(rng.random(count) < truck_fraction, int(VehicleKind.TRUCK), int(VehicleKind.CAR))
    kind = np.where(rows < demonstrators, int(VehicleKind.CAR), kind)
    kind = np.where(rows >= count - bicycles, int(VehicleKind.BICYCLE), kind)
    truck, bicycle, ego = kind == VehicleKind.TRUCK, kind == VehicleKind.BICYCLE, rows < demonstrators
    spread = rng.random((3, count))

    def measure(of_ego: float, car: FloatArray, of_truck: FloatArray, of_bicycle: float) -> FloatArray:
        return snap(
            np.select([ego, truck, bicycle], [np.full(count, of_ego), of_truck, np.full(count, of_bicycle)], car)
        )

    length = measure(PACIFICA.length_m, 4.1 + 1.1 * spread[0], 6.5 + 3.0 * spread[0], 1.8)
    width = measure(PACIFICA.width_m, 1.75 + 0.1 * spread[0] + 0.15 * spread[1], 2.3 + 0.2 * spread[1], 0.6)
    height = measure(PACIFICA.height_m, 1.4 + 0.5 * spread[2], 2.6 + 0.9 * spread[2], 1.7)
    front = measure(PACIFICA.front_length_m, 0.79 * length, 0.72 * length, 1.4)
    profile = draw_profiles(ego, rng)
    hurry = (profile == int(Profile.HURRIED)).astype(np.float64) - (profile == int(Profile.TIMID))
    pace = (rng.normal(1.04, 0.07, count) + 0.1 * hurry).clip(0.8, 1.25)
    return Fleet(
        kind.astype(np.int64),
        ego,
        length,
        width,
        height,
        front,
        speed_factor=snap(np.where(bicycle, 0.42 * pace, np.where(truck, 0.9 * pace, pace))),
        lateral_mps2=snap(rng.uniform(1.5, 2.0, count)),
        braking_mps2=snap(rng.uniform(1.2, 1.7, count)),
        acceleration_mps2=snap(rng.uniform(1.3, 2.0, count) - 0.4 * truck - 0.6 * bicycle),
        headway_s=snap(rng.uniform(1.0, 1.6, count) - 0.2 * hurry),
        standstill_m=snap(rng.uniform(1.8, 3.0, count)),
        bias_m=np.where(bicycle, _BICYCLE_BIAS_M, 0.0),
        color=PAINT[rng.integers(0, len(PAINT), count)],
        profile=profile,
    )
