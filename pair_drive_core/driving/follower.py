"""From a plan and the ego's motion to steering and acceleration, and when to brake instead; no node, no messages.

Steering: the path's curvature a little ahead, plus feedback of offset and heading error that lets an offset e die out
over distance as e'' + 2 z e' / l + e / l^2 = 0 (critically damped for z = 1, the same shape at every speed), where l
grows with speed. Speed: the plan's own, plus feedback of the lag behind the place where the plan wants the vehicle at
this moment, so a plan is always indexed by the time since its t0, never from its arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S, MotionSample
from pair_drive_core.driving.plan_reference import STANDING_M, AlongPlan, BesidePlan, PlanReference
from pair_drive_core.scene import PACIFICA
from pair_drive_core.simulation.plan_follower import TimedPlan

_STANDSTILL_MPS, _ARRIVED_M = 0.15, 0.15
_LONGEST_S = 0.2
"""Commands farther apart than this do not let wheel and brake jump farther."""


@dataclass(frozen=True)
class FollowedVehicle:
    """What the follower's vehicle can do.

    Attributes:
        wheel_base_m: rear axle to front axle.
        max_steering_rad: of the front wheel, either side.
        max_steering_rate_rps: likewise.
        max_acceleration_mps2: speeding up.
        max_deceleration_mps2: slowing down, positive.
        max_jerk_mps3: change of the acceleration while following; brakes for a reason come at once.
    """

    wheel_base_m: float = PACIFICA.wheel_base_m
    max_steering_rad: float = 0.6
    max_steering_rate_rps: float = 0.8
    max_acceleration_mps2: float = 3.0
    max_deceleration_mps2: float = 7.0
    max_jerk_mps3: float = 12.0


@dataclass(frozen=True)
class TrackingGains:
    """How hard errors are corrected.

    Attributes:
        settle_s: the distance l over which an offset dies out, as time at the present speed.
        settle_m: least such distance.
        damping: z above.
        speed_per_s: acceleration for each m/s of speed error.
        place_per_s2: acceleration for each m behind the plan's place.
        place_limit_m: greater lags count as this.
        steering_delay_s: how long the steering takes; the curvature is taken this far ahead.
        speed_delay_s: likewise for speed.
        hold_mps2: deceleration with which a standing vehicle is held.
    """

    settle_s: float = 0.7
    settle_m: float = 3.0
    damping: float = 1.0
    speed_per_s: float = 1.5
    place_per_s2: float = 0.6
    place_limit_m: float = 3.0
    steering_delay_s: float = 0.1
    speed_delay_s: float = 0.2
    hold_mps2: float = 1.0


@dataclass(frozen=True)
class FollowerLimits:
    """When a plan is not followed any more.

    Attributes:
        plan_age_s: a plan older than this is not followed; the vehicle brakes along its path.
        motion_age_s: odometry older than this; the vehicle brakes with the wheel as it is.
        off_plan_m: a plan farther from the ego than this has jumped.
        odometry_jump_m: a step of the odometry longer than its speed explains by this much is a jump of its frame.
        brake_mps2: deceleration of the brake, positive.
    """

    plan_age_s: float = 1.0
    motion_age_s: float = 0.5
    off_plan_m: float = 3.0
    odometry_jump_m: float = 1.0
    brake_mps2: float = 3.0


@dataclass(frozen=True)
class FollowerConfig:
    """Everything about a follower.

    Attributes:
        vehicle: what it drives.
        gains: how.
        limits: when not.
    """

    vehicle: FollowedVehicle = FollowedVehicle()
    gains: TrackingGains = TrackingGains()
    limits: FollowerLimits = FollowerLimits()

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        found = []
        for group in ("vehicle", "gains", "limits"):
            for name, value in vars(getattr(self, group)).items():
                if not (math.isfinite(value) and value > 0):
                    found.append(f"{group}.{name}: expected a positive number, got {value}")
        if not self.vehicle.max_steering_rad < math.pi / 2:
            found.append(f"vehicle.max_steering_rad: expected less than pi / 2, got {self.vehicle.max_steering_rad}")
        if self.limits.brake_mps2 > self.vehicle.max_deceleration_mps2:
            limit = self.vehicle.max_deceleration_mps2
            found.append(
                f"limits.brake_mps2: expected at most vehicle.max_deceleration_mps2 = {limit}, "
                f"got {self.limits.brake_mps2}"
            )
        return found


@dataclass(frozen=True)
class VehicleCommand:
    """What the vehicle shall do now.

    Attributes:
        time_us: the moment it is made for.
        steering_rad: angle of the front wheel, left positive.
        steering_rate_rps: at which it gets there.
        speed_mps: the plan's, a moment ahead.
        acceleration_mps2: negative brakes; it holds a vehicle that stands.
        plan_us: t0 of the plan; None where there is none.
        lateral_m: the ego's offset from the path, left positive; NaN without a path.
        heading_rad: its heading error, left positive; NaN likewise.
        behind_m: how far it lags behind the place where the plan wants it; NaN likewise.
        reason: why it brakes; empty while it follows.
    """

    time_us: int
    steering_rad: float
    steering_rate_rps: float
    speed_mps: float
    acceleration_mps2: float
    plan_us: int | None
    lateral_m: float
    heading_rad: float
    behind_m: float
    reason: str


class Follower:
    """Follows the newest plan; brakes, and says why, when there is none that can be followed.

    Args:
        config: vehicle, gains and limits.

    Raises:
        ValueError: naming every value that is wrong.
    """

    def __init__(self, config: FollowerConfig | None = None) -> None:
        self.config = config or FollowerConfig()
        problems = self.config.problems()
        if problems:
            raise ValueError("; ".join(problems))
        self._reference: PlanReference | None = None
        self._plan_frame = self._motion_frame = ""
        self._motion: MotionSample | None = None
        self._not_before_us: int | None = None
        self._lost = "no plan yet"
        self._last: VehicleCommand | None = None
        self._held = _Held(None, 0.0, None)

    def reset(self, reason: str) -> None:
        """Forget plan and motion, as after a jump of time; the wheel stays as it is."""
        self._reference = self._motion = self._not_before_us = None
        self._lost = reason
        self._held, self._last = _Held(None, self._wheel(), None), None

    def receive_plan(self, plan: TimedPlan, frame_id: str) -> bool:
        """Take a new plan.

        Args:
            plan: in a continuous frame.
            frame_id: the frame's name.

        Returns:
            False if it is refused: older than the one at hand, or than the last jump of the odometry.
        """
        if self._not_before_us is not None and plan.start_us < self._not_before_us:
            return False
        if self._reference is not None and plan.start_us < self._reference.start_us:
            return False
        self._reference, self._plan_frame = PlanReference(plan), frame_id
        return True

    def receive_motion(self, motion: MotionSample, frame_id: str) -> bool:
        """Take a reading of the odometry; one that is not newer is refused (returns False).

        A jump of its frame makes the plan at hand worthless: its poses lie in the frame as it was.
        """
        before = self._motion
        if before is not None and motion.time_us <= before.time_us:
            return False
        if before is not None and self._motion_frame == frame_id:
            elapsed_s = (motion.time_us - before.time_us) / US_PER_S
            explained = max(np.hypot(*before.velocity), np.hypot(*motion.velocity)) * elapsed_s
            step = float(np.hypot(*(motion.pose[:2] - before.pose[:2])))
            if step > explained + self.config.limits.odometry_jump_m:
                self._reference = None
                self._not_before_us = motion.time_us
                self._lost = f"the odometry jumped by {step:.1f} m; a plan of after it is waited for"
        self._motion, self._motion_frame = motion, frame_id
        return True

    def command(self, time_us: int) -> VehicleCommand:
        """What to do now.

        Args:
            time_us: now; the ego is taken on from its last reading.
        """
        # A second command of the same moment, from a newer plan, takes the place of the first one.
        if self._last is not None and self._last.time_us != time_us:
            last = self._last
            self._held = _Held(last.time_us, last.steering_rad, None if last.reason else last.acceleration_mps2)
        command = self._decide(time_us)
        self._last = command
        return command

    def _wheel(self) -> float:
        """The angle that the wheel has been given."""
        return self._last.steering_rad if self._last is not None else self._held.steering_rad

    # --- deciding --------------------------------------------------------------------------------------------------

    def _decide(self, time_us: int) -> VehicleCommand:
        limits, motion, reference = self.config.limits, self._motion, self._reference
        if motion is None:
            return self._brake(time_us, "no odometry yet")
        motion_age_s = (time_us - motion.time_us) / US_PER_S
        if motion_age_s > limits.motion_age_s:
            return self._brake(time_us, f"odometry {motion_age_s:.2f} s old, limit {limits.motion_age_s} s")
        if reference is None:
            return self._brake(time_us, self._lost)
        if self._plan_frame != self._motion_frame:
            return self._brake(time_us, f"plan in frame {self._plan_frame!r}, odometry in {self._motion_frame!r}")
        ego = _carried_on(motion, motion_age_s)
        beside, along = reference.beside(ego.pose), reference.along(time_us, self.config.gains.speed_delay_s)
        age_s = reference.age_s(time_us)
        aged = age_s > limits.plan_age_s
        # A vehicle that brakes along an old plan falls behind it; only its path still counts.
        off = math.hypot(beside.lateral_m, 0.0 if aged else along.distance_m - beside.distance_m)
        if off > limits.off_plan_m:
            return self._brake(time_us, f"the plan lies {off:.1f} m from the ego, limit {limits.off_plan_m} m")
        if age_s < -limits.plan_age_s:
            return self._brake(time_us, f"plan {-age_s:.2f} s in the future: clocks differ")
        reason = f"plan {age_s:.2f} s old, limit {limits.plan_age_s} s" if aged else ""
        return self._along_path(time_us, ego, reference, along, beside, reason)

    def _along_path(
        self,
        time_us: int,
        ego: MotionSample,
        reference: PlanReference,
        along: AlongPlan,
        beside: BesidePlan,
        reason: str,
    ) -> VehicleCommand:
        """Steer along the path; with a reason, brake on it."""
        speed = float(ego.velocity[0])
        steering, rate = self._limited_steering(time_us, self._steering(speed, reference, beside))
        behind = along.distance_m - beside.distance_m
        acceleration = -self.config.limits.brake_mps2 if reason else self._acceleration(time_us, speed, along, behind)
        wanted = 0.0 if reason else along.speed_mps
        return VehicleCommand(
            time_us,
            steering,
            rate,
            wanted,
            acceleration,
            reference.start_us,
            beside.lateral_m,
            beside.heading_rad,
            behind,
            reason,
        )

    def _brake(self, time_us: int, reason: str) -> VehicleCommand:
        """Brake with the wheel as it is."""
        steering = self._wheel()
        plan_us = self._reference.start_us if self._reference is not None else None
        nan, brake = math.nan, -self.config.limits.brake_mps2
        return VehicleCommand(time_us, steering, 0.0, 0.0, brake, plan_us, nan, nan, nan, reason)

    def _steering(self, speed: float, reference: PlanReference, beside: BesidePlan) -> float:
        """Wanted angle of the front wheel; a vehicle that is to stand keeps its wheel."""
        vehicle, gains = self.config.vehicle, self.config.gains
        if reference.length_m < STANDING_M:
            return self._wheel()
        settle = max(gains.settle_m, gains.settle_s * speed)
        curvature = reference.curvature(beside.distance_m + gains.steering_delay_s * speed)
        # On a bent path the same angle to the left covers more or less of it; the errors are small, so the first order.
        heading_gain, lateral_gain = 2.0 * gains.damping / settle, 1.0 / settle**2
        feedback = lateral_gain * beside.lateral_m + heading_gain * math.sin(beside.heading_rad)
        return math.atan(vehicle.wheel_base_m * (curvature - feedback))

    def _acceleration(self, time_us: int, speed: float, along: AlongPlan, behind: float) -> float:
        """Wanted acceleration within the vehicle's limits; a vehicle that has arrived is held."""
        vehicle, gains = self.config.vehicle, self.config.gains
        lag = min(max(behind, -gains.place_limit_m), gains.place_limit_m)
        wanted = along.acceleration_mps2 + gains.speed_per_s * (along.speed_mps - speed) + gains.place_per_s2 * lag
        arrived = along.speed_mps < _STANDSTILL_MPS and along.acceleration_mps2 <= _STANDSTILL_MPS
        if arrived and speed < _STANDSTILL_MPS and behind < _ARRIVED_M:
            return -gains.hold_mps2
        before = self._held.acceleration_mps2
        if before is not None:
            step = vehicle.max_jerk_mps3 * self._held.elapsed_s(time_us)
            wanted = min(max(wanted, before - step), before + step)
        return min(max(wanted, -vehicle.max_deceleration_mps2), vehicle.max_acceleration_mps2)

    def _limited_steering(self, time_us: int, wanted: float) -> tuple[float, float]:
        """Angle and rate within the vehicle's limits, from the last commanded angle on."""
        vehicle = self.config.vehicle
        wanted = min(max(wanted, -vehicle.max_steering_rad), vehicle.max_steering_rad)
        elapsed_s = self._held.elapsed_s(time_us)
        step = vehicle.max_steering_rate_rps * elapsed_s
        last = self._held.steering_rad
        angle = min(max(wanted, last - step), last + step)
        return angle, abs(angle - last) / elapsed_s if elapsed_s > 0 else 0.0


@dataclass(frozen=True)
class _Held:
    """What was commanded at the moment before this one.

    Attributes:
        time_us: that moment; None at the start.
        steering_rad: the wheel.
        acceleration_mps2: None after braking for a reason, which the limit of jerk does not hold back from being ended.
    """

    time_us: int | None
    steering_rad: float
    acceleration_mps2: float | None

    def elapsed_s(self, time_us: int) -> float:
        """Time since then, at most as long as commands may be apart."""
        if self.time_us is None:
            return _LONGEST_S
        return min(max((time_us - self.time_us) / US_PER_S, 0.0), _LONGEST_S)


def _carried_on(motion: MotionSample, elapsed_s: float) -> MotionSample:
    """The ego a moment after a reading, straight on at its speed."""
    if elapsed_s <= 0:
        return motion
    heading = float(motion.pose[2])
    forward, left = motion.velocity.tolist()
    cos, sin = math.cos(heading), math.sin(heading)
    moved = motion.pose + elapsed_s * np.array([forward * cos - left * sin, forward * sin + left * cos, 0.0])
    return MotionSample(motion.time_us + round(elapsed_s * US_PER_S), moved, motion.velocity)
