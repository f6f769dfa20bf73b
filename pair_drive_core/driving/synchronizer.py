"""Brings sensor streams with different clocks of arrival to one moment, t0; knows nothing of messages or nodes.

Rules, in the order in which they are applied:

1. Each frame of the reference camera opens a candidate; its stamp is t0.
2. Every other camera must have a frame within `camera_tolerance_s` of t0; the nearest is taken.
3. The LiDAR must have a sweep within `lidar_tolerance_s`. One within `camera_tolerance_s` is taken at once; for an
   older one the candidate first waits `lidar_wait_s` (of stamps, not of wall-clock time) for something nearer. Earlier
   sweeps are handed on where there are some of about the ages `lidar_ages_s`; nothing waits for them.
4. Ego motion must be known on both sides of t0, at most `odometry_gap_s` apart; pose and velocity are interpolated.
   A measured acceleration of t0 is waited for, at most `lidar_wait_s`; a set without one is counted, and after it no
   candidate waits until a measured one comes again (the stream is optional).
5. The last driving command up to t0 must be at most `command_age_s` old.
6. A candidate is dropped, and the reason counted, when one of these has become impossible or the newest stamp of any
   sensor has passed t0 by `max_wait_s`. A candidate that is older than a complete one is dropped as overtaken.
7. A sensor's stamp that lies `jump_back_s` before the newest of its own stream, or `jump_forward_s` after the newest of
   all sensors, is a jump of time: everything is forgotten.
8. Accelerations (optional) and commands (rare, from elsewhere) say nothing of the sensors' time: theirs that lie
   `jump_forward_s` after the newest of all sensors are refused, and `jump_back_s` before their own newest they
   replace what was there. What has started anew before the sensors jumped belongs to the time after the jump.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pair_drive_core.driving.ego_track import US_PER_S, EgoTrack, MotionSample
from pair_drive_core.scene import FRONT_CAMERAS, DrivingCommand, EgoStatus
from pair_drive_core.scene.sensors import FloatArray

PayloadT = TypeVar("PayloadT")

TOO_MANY = "too many waiting"
"""Reason for a set that was dropped since newer ones came before it was whole."""
LIDAR, ODOMETRY, ACCELERATION, COMMAND = "lidar", "odometry", "acceleration", "command"
"""Names of the streams that are not cameras."""
_BESIDE = (ACCELERATION, COMMAND)
"""Streams that never decide about progress."""


@dataclass(frozen=True)
class SynchronizerConfig:
    """Tolerances; see the module's rules.

    Attributes:
        cameras: cameras that must be there.
        reference_camera: the one whose stamps are t0.
        with_lidar: whether a LiDAR sweep must be there.
        camera_tolerance_s: greatest difference between stamps of cameras.
        lidar_tolerance_s: greatest difference between sweep and t0.
        lidar_wait_s: how long a nearer sweep is waited for.
        odometry_gap_s: longest gap in the ego motion that is interpolated over.
        command_age_s: how long a driving command holds.
        max_wait_s: how long a candidate may stay incomplete.
        jump_back_s: how far a stamp may lie before the newest of its stream.
        jump_forward_s: how far a stamp may lie after the newest of all streams.
        history_s: past ego statuses that are handed on, every `history_interval_s`.
        history_interval_s: time between them.
        capacity: readings kept of each stream; of the LiDAR as many more as its ages need at `lidar_rate_hz`.
        lidar_ages_s: ages of the earlier sweeps that are handed on.
        lidar_age_tolerance_s: greatest difference between such an age and a sweep's.
        lidar_rate_hz: greatest rate of sweeps that is expected.
    """

    cameras: tuple[str, ...] = FRONT_CAMERAS
    reference_camera: str = "CAM_F0"
    with_lidar: bool = True
    camera_tolerance_s: float = 0.03
    lidar_tolerance_s: float = 0.2
    lidar_wait_s: float = 0.1
    odometry_gap_s: float = 0.25
    command_age_s: float = 5.0
    max_wait_s: float = 0.3
    jump_back_s: float = 0.5
    jump_forward_s: float = 2.0
    history_s: float = 1.5
    history_interval_s: float = 0.5
    capacity: int = 16
    lidar_ages_s: tuple[float, ...] = (0.5, 1.0)
    lidar_age_tolerance_s: float = 0.15
    lidar_rate_hz: float = 20.0

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        found = [
            f"{name}: expected at most max_wait_s = {self.max_wait_s}, got {getattr(self, name)}"
            for name in ("lidar_wait_s", "odometry_gap_s", "camera_tolerance_s")
            if getattr(self, name) > self.max_wait_s
        ]
        if self.reference_camera not in self.cameras:
            found.append(f"reference_camera: expected one of {', '.join(self.cameras)}, got {self.reference_camera!r}")
        if self.camera_tolerance_s > self.lidar_tolerance_s:
            limit = self.lidar_tolerance_s
            found.append(
                f"camera_tolerance_s: expected at most lidar_tolerance_s = {limit}, got {self.camera_tolerance_s}"
            )
        if self.jump_forward_s <= self.max_wait_s:
            found.append(f"jump_forward_s: expected above max_wait_s = {self.max_wait_s}, got {self.jump_forward_s}")
        return found


@dataclass(frozen=True)
class Stamped(Generic[PayloadT]):
    """A reading that has not been decoded yet.

    Attributes:
        time_us: stamp.
        payload: what came, untouched.
    """

    time_us: int
    payload: PayloadT


@dataclass(frozen=True)
class SensorSet(Generic[PayloadT]):
    """All readings that belong to one moment.

    Attributes:
        time_us: t0.
        cameras: by name.
        lidar: the sweep; None where no LiDAR is used.
        lidar_motion: ego motion at the sweep's own stamp, for moving its points to t0; None without a LiDAR.
        status: ego statuses, oldest first, the last at t0.
        earlier_lidar: earlier sweeps, oldest first, each with the ego motion at its own stamp; as many as are known.
    """

    time_us: int
    cameras: Mapping[str, Stamped[PayloadT]]
    lidar: Stamped[PayloadT] | None
    lidar_motion: MotionSample | None
    status: tuple[EgoStatus, ...]
    earlier_lidar: tuple[tuple[Stamped[PayloadT], MotionSample], ...] = ()

    @property
    def skew_s(self) -> dict[str, float]:
        """Stamp minus t0 of every reading, s."""
        skew = {name: (frame.time_us - self.time_us) / US_PER_S for name, frame in self.cameras.items()}
        if self.lidar is not None:
            skew[LIDAR] = (self.lidar.time_us - self.time_us) / US_PER_S
        return skew


@dataclass(frozen=True)
class Apart:
    """A candidate that was dropped since a camera's nearest picture was too far from it in time.

    Attributes:
        time_us: t0.
        camera: which camera.
        skew_s: stamp of its nearest picture minus t0.
    """

    time_us: int
    camera: str
    skew_s: float


@dataclass
class SynchronizerReport:
    """What happened since the start; plain counters.

    Attributes:
        received: readings by stream.
        refused: readings whose stamp was not newer than the newest of their stream, by stream.
        dropped: candidates by reason.
        complete: sets handed on.
        without_acceleration: those of them that no measured acceleration of t0 or later had come for; theirs is an
            older one, if there is one near enough, else the change of the velocity.
        time_jumps: how often everything was forgotten.
        last_apart: the newest candidate that was dropped for cameras that are out of step.
    """

    received: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    complete: int = 0
    without_acceleration: int = 0
    time_jumps: int = 0
    last_apart: Apart | None = None


class Synchronizer(Generic[PayloadT]):
    """Collects readings and hands on complete sets."""

    def __init__(self, config: SynchronizerConfig) -> None:
        problems = config.problems()
        if problems:
            raise ValueError("; ".join(problems))
        self.config = config
        self.report = SynchronizerReport()
        self._track = EgoTrack(config.history_s + 2.0, config.odometry_gap_s)
        self._frames: dict[str, deque[Stamped[PayloadT]]] = {
            name: deque(maxlen=config.capacity) for name in config.cameras
        }
        past = math.ceil(max(config.lidar_ages_s, default=0.0) * config.lidar_rate_hz)
        self._frames[LIDAR] = deque(maxlen=config.capacity + past)
        self._commands: deque[tuple[int, DrivingCommand]] = deque(maxlen=config.capacity)
        self._pending: deque[int] = deque(maxlen=config.capacity)
        self._newest_us: dict[str, int] = {}
        self._restarted: set[str] = set()
        self._early_command: DrivingCommand | None = None
        self._awaits_acceleration = True

    def reset(self) -> None:
        """Forget all readings; the counters stay, and what was waited for counts as forgotten."""
        if self._pending:
            self.report.dropped["forgotten in a jump"] += len(self._pending)
        self._track.clear()
        for frames in self._frames.values():
            frames.clear()
        self._commands.clear()
        self._pending.clear()
        self._newest_us.clear()
        self._restarted.clear()
        self._early_command = None
        self.report.last_apart = None
        self._awaits_acceleration = True

    def newest_us(self, stream: str) -> int | None:
        """Stamp of the newest reading of a stream since the last jump of time."""
        return self._newest_us.get(stream)

    def add_frame(self, stream: str, time_us: int, payload: PayloadT) -> None:
        """Add a camera frame (stream: the camera's name) or a LiDAR sweep (stream: `lidar`).

        Raises:
            KeyError: if the stream is not one of the configuration's.
        """
        frames = self._frames[stream]
        if self._accept(stream, time_us):
            frames.append(Stamped(time_us, payload))
            if stream == self.config.reference_camera:
                if len(self._pending) == self._pending.maxlen:
                    self.report.dropped[TOO_MANY] += 1
                self._pending.append(time_us)

    def add_motion(self, sample: MotionSample) -> None:
        """Add a reading of the odometry."""
        if self._accept(ODOMETRY, sample.time_us):
            self._track.add(sample)

    def add_acceleration(self, time_us: int, acceleration: FloatArray) -> None:
        """Add a measured acceleration, (2,) ego frame, m/s^2."""
        if self._accept_beside(ACCELERATION, time_us, self._track.clear_accelerations):
            self._track.add_acceleration(time_us, acceleration)
            self._awaits_acceleration = True

    def add_command(self, time_us: int, command: DrivingCommand) -> None:
        """Add a driving command; one with stamp 0 holds from the newest reading of a sensor on, or from the first."""
        if time_us == 0:
            stamps = self._sensor_stamps()
            if not stamps:
                self._early_command = command
                return
            time_us = max(stamps)
        if self._accept_beside(COMMAND, time_us, self._commands.clear):
            self._commands.append((time_us, command))

    def take(self) -> list[SensorSet[PayloadT]]:
        """Sets that have become complete, oldest first."""
        complete: list[SensorSet[PayloadT]] = []
        waiting: list[int] = []
        for t0 in tuple(self._pending):
            lacking = self._lacking(t0)
            if not lacking:
                if waiting:
                    self.report.dropped["overtaken"] += len(waiting)
                    waiting.clear()
                complete.append(self._assemble(t0))
                if not self._acceleration_measured(t0):
                    self.report.without_acceleration += 1
                    self._awaits_acceleration = False
            elif self._hopeless(t0, lacking):
                self.report.dropped[f"no {lacking[0]}"] += 1
                self._note_apart(t0, lacking[0])
            else:
                waiting.append(t0)
        self._pending.clear()
        self._pending.extend(waiting)
        self.report.complete += len(complete)
        return complete

    def _note_apart(self, t0: int, stream: str) -> None:
        nearest = self._nearest(stream, t0) if stream in self.config.cameras else None
        # A camera that has given nothing since t0 is lost, not out of step.
        if nearest is not None and self._newest_us.get(stream, t0) > t0:
            self.report.last_apart = Apart(t0, stream, (nearest.time_us - t0) / US_PER_S)

    def _sensor_stamps(self) -> list[int]:
        """The newest stamps of those streams that say how far time has come."""
        return [time_us for stream, time_us in self._newest_us.items() if stream not in _BESIDE]

    def _accept(self, stream: str, time_us: int) -> bool:
        """Watch for jumps of a sensor's time and for order; whether the reading is to be kept."""
        self.report.received[stream] += 1
        last = self._newest_us.get(stream)
        newest = max(self._sensor_stamps(), default=time_us)
        jumped_back = last is not None and time_us < last - self.config.jump_back_s * US_PER_S
        if jumped_back or time_us > newest + self.config.jump_forward_s * US_PER_S:
            self.report.time_jumps += 1
            self._jump_to(time_us)
        elif last is not None and time_us <= last:
            self.report.refused[stream] += 1
            return False
        self._newest_us[stream] = time_us
        if self._early_command is not None:
            command, self._early_command = self._early_command, None
            self.add_command(time_us, command)
        return True

    def _jump_to(self, time_us: int) -> None:
        """Forget everything but those streams beside the sensors that were quicker to start anew."""
        limit_us = time_us + round(self.config.jump_forward_s * US_PER_S)
        kept = {stream: self._newest_us[stream] for stream in self._restarted if self._newest_us[stream] <= limit_us}
        commands, accelerations = tuple(self._commands), self._track.accelerations
        self.reset()
        self._newest_us.update(kept)
        if COMMAND in kept:
            self._commands.extend(commands)
        for stamp, acceleration in accelerations if ACCELERATION in kept else ():
            self._track.add_acceleration(stamp, acceleration)

    def _accept_beside(self, stream: str, time_us: int, forget: Callable[[], None]) -> bool:
        """Rule 8; whether the reading is to be kept."""
        self.report.received[stream] += 1
        last = self._newest_us.get(stream)
        newest = max(self._sensor_stamps(), default=time_us)
        too_early = time_us > newest + self.config.jump_forward_s * US_PER_S
        starts_anew = last is not None and time_us < last - self.config.jump_back_s * US_PER_S
        if starts_anew:
            forget()
            self._restarted.add(stream)
        if too_early or (last is not None and time_us <= last and not starts_anew):
            self.report.refused[stream] += 1
            return False
        self._newest_us[stream] = time_us
        return True

    def _progress_us(self) -> int:
        """How far the sensors' time has come."""
        return max(self._sensor_stamps())

    def _nearest(self, stream: str, t0: int) -> Stamped[PayloadT] | None:
        """The stream's frame nearest to a moment."""
        return min(self._frames[stream], key=lambda frame: abs(frame.time_us - t0), default=None)

    def _within(self, stream: str, t0: int, tolerance_s: float) -> bool:
        nearest = self._nearest(stream, t0)
        return nearest is not None and abs(nearest.time_us - t0) <= tolerance_s * US_PER_S

    def _lidar_ready(self, t0: int) -> bool:
        """Rule 3; the sweep's own moment must be covered by ego motion, too."""
        sweep = self._nearest(LIDAR, t0)
        if sweep is None or not self._track.covers(sweep.time_us):
            return False
        if self._within(LIDAR, t0, self.config.camera_tolerance_s):
            return True
        waited_us = self._progress_us() - t0
        nothing_nearer = sweep.time_us > t0 or waited_us >= self.config.lidar_wait_s * US_PER_S
        return nothing_nearer and self._within(LIDAR, t0, self.config.lidar_tolerance_s)

    def _acceleration_measured(self, t0: int) -> bool:
        newest = self._newest_us.get(ACCELERATION)
        return newest is not None and newest >= t0

    def _acceleration_ready(self, t0: int) -> bool:
        """Rule 4: a measured acceleration is waited for, but not for ever."""
        waited_us = self._progress_us() - t0
        given_up = not self._awaits_acceleration or waited_us >= self.config.lidar_wait_s * US_PER_S
        return given_up or self._acceleration_measured(t0)

    def _command_at(self, t0: int) -> DrivingCommand | None:
        """Rule 5."""
        held = [entry for entry in self._commands if entry[0] <= t0]
        if not held or t0 - held[-1][0] > self.config.command_age_s * US_PER_S:
            return None
        return held[-1][1]

    def _lacking(self, t0: int) -> list[str]:
        """Streams that a candidate still needs."""
        tolerance_s = self.config.camera_tolerance_s
        lacking = [name for name in self.config.cameras if not self._within(name, t0, tolerance_s)]
        if not self._track.covers(t0):
            lacking.append(ODOMETRY)
        if self.config.with_lidar and not self._lidar_ready(t0):
            lacking.append(LIDAR)
        if not self._acceleration_ready(t0):
            lacking.append(ACCELERATION)
        if self._command_at(t0) is None:
            lacking.append(COMMAND)
        return lacking

    def _hopeless(self, t0: int, lacking: list[str]) -> bool:
        """Rule 6: whether waiting longer cannot help."""
        if self._progress_us() - t0 > self.config.max_wait_s * US_PER_S:
            return True
        return any(
            name in self.config.cameras
            and self._newest_us.get(name, t0) > t0 + self.config.camera_tolerance_s * US_PER_S
            for name in lacking
        )

    def _assemble(self, t0: int) -> SensorSet[PayloadT]:
        """The complete set of a moment."""
        cameras = {name: self._nearest(name, t0) for name in self.config.cameras}
        lidar = self._nearest(LIDAR, t0) if self.config.with_lidar else None
        command = self._command_at(t0)
        if command is None or any(frame is None for frame in cameras.values()):
            raise AssertionError(f"a set at {t0} us was assembled before it was complete")
        return SensorSet(
            t0,
            {name: frame for name, frame in cameras.items() if frame is not None},
            lidar,
            self._track.motion_at(lidar.time_us) if lidar is not None else None,
            self._statuses(t0, command),
            self._earlier_sweeps(t0, lidar),
        )

    def _earlier_sweeps(
        self, t0: int, lidar: Stamped[PayloadT] | None
    ) -> tuple[tuple[Stamped[PayloadT], MotionSample], ...]:
        """For each age, from the oldest on, the sweep nearest to it, where its moment is covered by ego motion."""
        if lidar is None:
            return ()
        found: dict[int, tuple[Stamped[PayloadT], MotionSample]] = {}
        for age_s in sorted(self.config.lidar_ages_s, reverse=True):
            then = t0 - round(age_s * US_PER_S)
            sweep = self._nearest(LIDAR, then)
            if sweep is None or not self._within(LIDAR, then, self.config.lidar_age_tolerance_s):
                continue
            if sweep.time_us < lidar.time_us and self._track.covers(sweep.time_us):
                found[sweep.time_us] = (sweep, self._track.motion_at(sweep.time_us))
        return tuple(found[time_us] for time_us in sorted(found))

    def _statuses(self, t0: int, command: DrivingCommand) -> tuple[EgoStatus, ...]:
        """Ego statuses at t0 and before, as far back as the ego's motion is known."""
        steps = round(self.config.history_s / self.config.history_interval_s)
        interval_us = round(self.config.history_interval_s * US_PER_S)
        statuses: list[EgoStatus] = []
        for step in range(steps, -1, -1):
            time_us = t0 - step * interval_us
            if not self._track.covers(time_us):
                statuses.clear()
                continue
            motion = self._track.motion_at(time_us)
            then = self._command_at(time_us)
            statuses.append(
                EgoStatus(
                    time_us,
                    motion.pose,
                    motion.velocity,
                    self._track.acceleration_at(time_us),
                    command if then is None else then,
                )
            )
        return tuple(statuses)
