"""The trajectory tracker of the official simulator: two LQR problems of one step each, and a stopping controller.

The official tracker solves dense 40 x 40 least-squares problems for every plan and multiplies ten 3 x 3 matrices at
every step. The same numbers come out cheaper:

* The normal matrix of the speed fit does not depend on the plan (cos^2 + sin^2 = 1), so the fit is one constant matrix.
* The curvature fit, written in the curvatures instead of their rates, has a tridiagonal normal matrix.
* The speed over the look-ahead is linear in the step, so the products of the lateral dynamics are polynomials in the
  initial speed and the acceleration, with moments of the reference curvature as coefficients.

Source: navsim `BatchLQRTracker` and `batch_lqr_utils`, nuPlan `LQRTracker`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

TRACKING_HORIZON = 10
"""Steps of look-ahead."""
VELOCITY_WEIGHT = 10.0
LATERAL_ERROR_WEIGHT = 1.0
HEADING_ERROR_WEIGHT = 10.0
INPUT_WEIGHT = 1.0
JERK_PENALTY = 1e-4
CURVATURE_RATE_PENALTY = 1e-2
INITIAL_CURVATURE_PENALTY = 1e-10
STOPPING_GAIN = 0.5
STOPPING_SPEED_MPS = 0.2
_SEGMENTS = SIMULATION_STEPS - 1


@dataclass(frozen=True)
class Reference:
    """What the tracker follows, for any leading axes.

    Attributes:
        pose: (..., 41, 3), m, rad.
        speed: (..., 40), m/s, at the look-ahead time of each step.
        curvature: (..., 40, 5), moments of the curvature over the look-ahead of each step, see `_curvature_moments`.
    """

    pose: Tensor
    speed: Tensor
    curvature: Tensor


def make_reference(poses: Tensor) -> Reference:
    """Fit speed and curvature to reference poses.

    Args:
        poses: (..., 41, 3), m, rad.
    """
    constants = _constants(poses.dtype, str(poses.device))
    step = poses[..., 1:, :] - poses[..., :-1, :]
    heading = poses[..., :-1, 2]
    along = heading.cos() * step[..., 0] + heading.sin() * step[..., 1]
    speed = along @ constants.speed_fit
    curvature = _fit_curvature(wrap_angle(step[..., 2]), speed)
    moments = (curvature @ constants.curvature_moments).reshape(*curvature.shape, 5)
    return Reference(poses, speed[..., constants.look_ahead], moments)


def track(reference: Reference, step: int, state: Tensor, wheel_base_m: float) -> tuple[Tensor, Tensor]:
    """Commands that bring the vehicle back to the reference.

    Args:
        reference: what to follow.
        step: index of the current time, 0..39.
        state: (..., 11), columns of `StateIndex`.
        wheel_base_m: rear axle to front axle.

    Returns:
        Acceleration (...), m/s^2, and steering rate (...), rad/s.
    """
    speed, pose = state[..., 3], reference.pose[..., step, :]
    acceleration, stopping = acceleration_command(reference.speed[..., step], speed)
    law = steering_law(speed, acceleration, stopping, reference.curvature[..., step, :], wheel_base_m)
    offset = state[..., :2] - pose[..., :2]
    lateral = offset[..., 1] * pose[..., 2].cos() - offset[..., 0] * pose[..., 2].sin()
    return acceleration, law.steering_rate(lateral, wrap_angle(state[..., 2] - pose[..., 2]), state[..., 7])


def acceleration_command(wanted: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Longitudinal LQR problem, or proportional control where both speeds are below walking pace.

    Args:
        wanted: (...), speed at the look-ahead time, m/s.
        speed: (...), present speed, m/s.

    Returns:
        Acceleration (...), m/s^2, and whether the stopping controller is at work (...), bool.
    """
    horizon_s = TRACKING_HORIZON * STEP_S
    gain = horizon_s * VELOCITY_WEIGHT / (horizon_s * VELOCITY_WEIGHT * horizon_s + INPUT_WEIGHT)
    stopping = torch.maximum(wanted, speed) <= STOPPING_SPEED_MPS
    error = wanted - speed
    return torch.where(stopping, STOPPING_GAIN * error, gain * error), stopping


@dataclass(frozen=True)
class SteeringLaw:
    """Solution of the lateral LQR problem for given speed: a feedback law for the present errors.

    Attributes:
        lateral_gain: (...), steering rate per lateral error at the end of the look-ahead, 1/(m s).
        heading_gain: (...), steering rate per heading error there, 1/s.
        heading_per_steering: (...), heading error at the end that the present steering angle makes.
        heading_offset: (...), and the curvature of the reference, rad.
        lateral_per_heading: (...), lateral error at the end that the present heading error makes, m.
        lateral_per_steering: (...), that the present steering angle makes, m.
        lateral_offset: (...), that the curvature of the reference makes, m.
    """

    lateral_gain: Tensor
    heading_gain: Tensor
    heading_per_steering: Tensor
    heading_offset: Tensor
    lateral_per_heading: Tensor
    lateral_per_steering: Tensor
    lateral_offset: Tensor

    def unbind(self) -> list[SteeringLaw]:
        """One law a step: cut along the last axis."""
        parts = zip(*(getattr(self, item.name).unbind(-1) for item in fields(self)), strict=True)
        return [SteeringLaw(*part) for part in parts]

    def steering_rate(self, lateral: Tensor, heading: Tensor, steering: Tensor) -> Tensor:
        """Steering rate (...), rad/s, for present errors of the rear axle (m, rad) and the steering angle (rad)."""
        end_heading = torch.addcmul(heading + self.heading_offset, self.heading_per_steering, steering)
        end_lateral = torch.addcmul(lateral + self.lateral_offset, self.lateral_per_heading, heading)
        end_lateral = torch.addcmul(end_lateral, self.lateral_per_steering, steering)
        return self.lateral_gain * end_lateral + self.heading_gain * wrap_angle(end_heading)


def steering_law(
    speed: Tensor, acceleration: Tensor, stopping: Tensor, moments: Tensor, wheel_base_m: float
) -> SteeringLaw:
    """Lateral LQR problem: minimise lateral and heading error at the end of the look-ahead.

    With v_j = v + j w, w = a dt, the sums over the look-ahead (j = 0..9) of the linear time-varying dynamics
    lateral' = v_j heading, heading' = v_j (steering / L - curvature_j), steering' = rate are polynomials in v and w.

    Args:
        speed: (...), m/s.
        acceleration: (...), commanded, m/s^2.
        stopping: (...) bool, where the wheel is left alone.
        moments: (..., 5), of the reference curvature, see `_curvature_moments`.
        wheel_base_m: rear axle to front axle.
    """
    v, w = speed, acceleration * STEP_S
    vv, vw, ww = v * v, v * w, w * w
    turn = STEP_S / wheel_base_m
    total = 10.0 * v + 45.0 * w
    # The sum over j < k of v_k v_j.
    pairs = 45.0 * vv + 405.0 * vw + 870.0 * ww
    # Response to a unit steering rate: steering after j steps is j dt.
    per_heading = STEP_S * turn * (45.0 * v + 285.0 * w)
    per_lateral = STEP_S * STEP_S * turn * (120.0 * vv + 1410.0 * vw + 4146.0 * ww)
    weighted_lateral, weighted_heading = LATERAL_ERROR_WEIGHT * per_lateral, HEADING_ERROR_WEIGHT * per_heading
    scale = -1.0 / (weighted_lateral * per_lateral + weighted_heading * per_heading + INPUT_WEIGHT)
    scale = torch.where(stopping, torch.zeros_like(scale), scale)
    m = moments
    return SteeringLaw(
        lateral_gain=weighted_lateral * scale,
        heading_gain=weighted_heading * scale,
        heading_per_steering=turn * total,
        heading_offset=-STEP_S * (v * m[..., 0] + w * m[..., 1]),
        lateral_per_heading=STEP_S * total,
        lateral_per_steering=STEP_S * turn * pairs,
        lateral_offset=-STEP_S * STEP_S * (vv * m[..., 2] + vw * m[..., 3] + ww * m[..., 4]),
    )


def _fit_curvature(turn: Tensor, speed: Tensor) -> Tensor:
    """Curvature at each step from heading changes: regularised least squares, solved as a tridiagonal system.

    Minimises sum (v_i dt c_i - turn_i)^2 + eps c_0^2 + r sum (c_i - c_{i-1})^2 with r = penalty / dt^2. Elimination
    keeps the excess of each pivot over r, which has no cancellation however slow the vehicle is.

    Args:
        turn: (..., 40), rad.
        speed: (..., 40), m/s.

    Returns:
        (..., 40), 1/m.
    """
    r = CURVATURE_RATE_PENALTY / STEP_S**2
    gain = speed * STEP_S
    weight = gain * gain
    right = gain * turn
    excess = weight[..., 0] + INITIAL_CURVATURE_PENALTY
    reduced = right[..., 0]
    factors, values = [], []
    for i in range(1, _SEGMENTS):
        factor = r / (r + excess)
        factors.append(factor)
        values.append(reduced / (r + excess))
        excess = weight[..., i] + excess * factor
        reduced = right[..., i] + reduced * factor
    curvature = reduced / excess
    out = [curvature]
    for factor, value in zip(reversed(factors), reversed(values), strict=True):
        curvature = value + factor * curvature
        out.append(curvature)
    return torch.stack(out[::-1], dim=-1)


@dataclass(frozen=True)
class _Constants:
    """Constant matrices, to be multiplied from the right.

    Attributes:
        speed_fit: (40, 40), from displacements along the heading to speeds.
        curvature_moments: (40, 200), from curvatures to the moments of each step.
        look_ahead: (40,) int64, index of the speed at the look-ahead time of each step.
    """

    speed_fit: Tensor
    curvature_moments: Tensor
    look_ahead: Tensor


@lru_cache(maxsize=8)
def _constants(dtype: torch.dtype, device: str) -> _Constants:
    look_ahead = np.minimum(np.arange(_SEGMENTS) + TRACKING_HORIZON, _SEGMENTS - 1)
    return _Constants(
        torch.tensor(_speed_fit().T.copy(), dtype=dtype, device=device),
        torch.tensor(_curvature_moments(), dtype=dtype, device=device),
        torch.tensor(look_ahead, dtype=torch.int64, device=device),
    )


def _speed_fit() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Matrix from displacements along the heading (40) to fitted speeds (40).

    Unknowns are the first speed and 39 accelerations; displacement i is dt (v_0 + dt (a_1 + ... + a_i)). The official
    "jerk penalty" is meant to penalise differences of accelerations, but its difference matrix loses the entries above
    the diagonal when it is filled, all but the last one: it penalises the accelerations themselves, and a_39 - a_38.
    """
    n = _SEGMENTS
    integrate = np.tril(np.ones((n, n))) * STEP_S
    integrate[:, 0] = 1.0
    design = integrate * STEP_S
    penalty = np.zeros((n - 2, n))
    rows = np.arange(n - 2)
    penalty[rows, rows + 1] = -1.0
    penalty[-1, -1] = 1.0
    solution = np.linalg.solve(design.T @ design + JERK_PENALTY * penalty.T @ penalty, design.T)
    return np.asarray(integrate @ solution)


def _curvature_moments() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Weights of the curvature c_j over the look-ahead of each step (beyond the end the last curvature is repeated).

    With S_j = sum of k over j < k <= 9 the five moments are the sums of c_j times
    1, j (heading: v_j c_j) and 9 - j, S_j + j (9 - j), j S_j (lateral: v_j c_j sum of v_k over k > j).
    """
    j = np.arange(TRACKING_HORIZON)
    later = TRACKING_HORIZON - 1 - j
    later_sum = TRACKING_HORIZON * (TRACKING_HORIZON - 1) / 2 - j * (j + 1) / 2
    weights = np.stack((np.ones_like(later_sum), j, later, later_sum + j * later, j * later_sum), axis=-1)
    out = np.zeros((_SEGMENTS, _SEGMENTS, 5))
    for step in range(_SEGMENTS):
        for k in range(TRACKING_HORIZON):
            out[min(step + k, _SEGMENTS - 1), step] += weights[k]
    return out.reshape(_SEGMENTS, _SEGMENTS * 5)
