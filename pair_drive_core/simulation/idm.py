"""The intelligent driver model: how hard a driver accelerates behind another one (Treiber et al. 2000)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import SceneError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class IdmParameters:
    """A driver's manners; the defaults are the official reactive traffic of NAVSIM.

    Attributes:
        desired_speed_mps: speed on a free road whose limit is not known.
        min_gap_m: distance kept to a standing leader.
        headway_s: time gap kept to a moving leader.
        max_acceleration_mps2: positive.
        max_deceleration_mps2: positive.
        exponent: how sharply acceleration falls off towards the desired speed.
    """

    desired_speed_mps: float = 10.0
    min_gap_m: float = 1.0
    headway_s: float = 1.5
    max_acceleration_mps2: float = 1.0
    max_deceleration_mps2: float = 2.0
    exponent: float = 4.0

    def validate(self) -> IdmParameters:
        """Check that every parameter is positive.

        Raises:
            SceneError: naming the parameter at fault.
        """
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise SceneError(f"IdmParameters.{name}: expected a positive number, got {getattr(self, name)}")
        return self

    def acceleration(
        self, speed: npt.ArrayLike, desired_speed: npt.ArrayLike, gap: npt.ArrayLike, leader_speed: npt.ArrayLike
    ) -> FloatArray:
        """Acceleration within the driver's limits, m/s^2; the arguments broadcast.

        Args:
            speed: own speed, m/s.
            desired_speed: speed on a free road, m/s, positive.
            gap: free distance to the leader, m; taken as at least `min_gap_m`.
            leader_speed: the leader's speed along one's own heading, m/s.
        """
        v = np.asarray(speed, dtype=np.float64)
        softness = 2.0 * sqrt(self.max_acceleration_mps2 * self.max_deceleration_mps2)
        wanted_gap = self.min_gap_m + v * self.headway_s + v * (v - np.asarray(leader_speed)) / softness
        free_gap = np.maximum(gap, self.min_gap_m)
        pull = 1.0 - (v / np.asarray(desired_speed)) ** self.exponent - (wanted_gap / free_gap) ** 2
        limited = np.clip(self.max_acceleration_mps2 * pull, -self.max_deceleration_mps2, self.max_acceleration_mps2)
        return np.asarray(limited, dtype=np.float64)
