"""The ego vehicle's measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VehicleParameters:
    """Measures of a car-like vehicle; the reference point of every pose is the centre of the rear axle.

    Attributes:
        name: model name.
        width_m: overall width.
        front_length_m: rear axle to front bumper.
        rear_length_m: rear axle to rear bumper.
        wheel_base_m: rear axle to front axle.
        height_m: overall height.
    """

    name: str
    width_m: float
    front_length_m: float
    rear_length_m: float
    wheel_base_m: float
    height_m: float = 1.777

    @property
    def length_m(self) -> float:
        """Overall length."""
        return self.front_length_m + self.rear_length_m

    @property
    def rear_axle_to_center_m(self) -> float:
        """Distance from the rear axle forward to the box centre."""
        return self.length_m / 2.0 - self.rear_length_m


PACIFICA = VehicleParameters("pacifica", width_m=2.297, front_length_m=4.049, rear_length_m=1.127, wheel_base_m=3.089)
"""The vehicle of nuPlan and NAVSIM (Chrysler Pacifica)."""
