"""The reading side of a replay: from messages to inputs of the planner, with account of all that is lost."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pair_drive_core.datasets.cache.codec import decode_scene
from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.findings import Finding
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.messages import MessageError, stamp_us
from pair_drive_core.driving.messages.camera_info import describes_rectification
from pair_drive_core.driving.planner_health import (
    HealthLimits,
    PlannerHealth,
    WorkerState,
    input_findings,
    synchronizer_finding,
)
from pair_drive_core.driving.readings import Reading
from pair_drive_core.driving.sensor_feed import SensorFeed
from pair_drive_core.driving.synchronizer import ACCELERATION, LIDAR, ODOMETRY, SensorSet
from pair_drive_core.driving.topics import InputKind, InputTopic, stream_of
from pair_drive_core.evaluation.bag_clocks import StreamStamps
from pair_drive_core.evaluation.bag_commands import CommandSource
from pair_drive_core.evaluation.bag_reader import Bag, BagError, StoredMessage
from pair_drive_core.evaluation.bag_topics import BagInputs
from pair_drive_core.scene import AgentInput, Scene, SceneError

_STREAMS = {
    InputKind.LIDAR: LIDAR,
    InputKind.ODOMETRY: ODOMETRY,
    InputKind.ACCELERATION: ACCELERATION,
}
_DIAGNOSTICS_PERIOD_NS = 100_000_000
_KEPT_DIAGNOSTICS = 10_000
_PICTURES = (InputKind.IMAGE, InputKind.COMPRESSED_IMAGE)


@dataclass(frozen=True)
class SkippedMessage:
    """A message that could not be used.

    Attributes:
        topic: of the recording.
        index: how many messages of the topic come before it.
        stamp_us: of its header; None where it could not be read.
        reason: why.
    """

    topic: str
    index: int
    stamp_us: int | None
    reason: str

    def __str__(self) -> str:
        stamp = "unknown" if self.stamp_us is None else f"{self.stamp_us / 1e6:.6f} s"
        return f"topic {self.topic}: {self.reason} (message {self.index}, stamp {stamp})"


@dataclass
class LivePlans:
    """What the recording holds of the planner that ran while it was made.

    Attributes:
        count: plans.
        guarded: how many of them the guard replaced or slowed.
        compute: their compute times.
        age: their ages at publication.
        stamps_us: their t0.
    """

    count: int = 0
    guarded: int = 0
    compute: Latencies = field(default_factory=lambda: Latencies(1_000_000))
    age: Latencies = field(default_factory=lambda: Latencies(1_000_000))
    stamps_us: set[int] = field(default_factory=set)

    def add(self, plan: Any) -> None:  # noqa: ANN401 - pair_drive_ros/PlannedTrajectory
        """Take a recorded plan."""
        self.count += 1
        self.guarded += bool(plan.reason)
        self.compute.add(stamp_us(plan.compute_time) * 1e-6)
        self.age.add(stamp_us(plan.age) * 1e-6)
        self.stamps_us.add(stamp_us(plan.header.stamp))


@dataclass(frozen=True)
class InputState:
    """What a node would have said of its inputs at a moment of the recording.

    Attributes:
        logged_ns: the moment.
        findings: one a part.
    """

    logged_ns: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ReadySet:
    """A whole input of the planner.

    Attributes:
        agent_input: what the planner may look at.
        epoch: count of jumps of time before it.
        frame_id: of the ego's poses.
        logged_ns: when the message that completed it was recorded.
        messages: how many messages had been read then.
        states: of the inputs since the set before, every 0.1 s.
    """

    agent_input: AgentInput
    epoch: int
    frame_id: str
    logged_ns: int
    messages: int
    states: tuple[InputState, ...] = ()


class Intake:
    """Reads a recording once.

    Args:
        bag: the recording.
        feed: a new feed.
        inputs: which topics are what.
        command: where the driving command comes from; None for the recording's own messages.
        plan_topic: of live plans; empty where there are none.
        truth_topic: of ground truth; empty where there is none.
        strict: whether a message that cannot be used ends it.
    """

    def __init__(
        self,
        bag: Bag,
        feed: SensorFeed,
        inputs: BagInputs,
        command: CommandSource | None,
        plan_topic: str = "",
        truth_topic: str = "",
        *,
        strict: bool = False,
    ) -> None:
        self.skipped: list[SkippedMessage] = []
        self.streams: dict[str, StreamStamps] = {}
        self.frame_stamps_us: set[int] = set()
        self.uncalibrated_us: set[int] = set()
        self.unusable_us: set[int] = set()
        self.scenes: dict[int, Scene] = {}
        self.live = LivePlans()
        self.path: list[MotionSample] = []
        self.rectifiable: set[str] = set()
        self.time_jumps = 0
        self.waited_for: list[str] = []
        self.states: deque[InputState] = deque(maxlen=_KEPT_DIAGNOSTICS)
        self._bag, self._feed, self._inputs, self._command, self._strict = bag, feed, inputs, command, strict
        self._plan_topic, self._truth_topic = plan_topic, truth_topic
        self._index_of: dict[tuple[str, int], int] = {}
        self._health, self._next_state_ns = PlannerHealth(), 0
        self._named = {stream_of(entry): topic for topic, entry in inputs.topics.items()}
        self._topic_of = {entry.name: topic for topic, entry in inputs.topics.items()}

    @property
    def dropped(self) -> Counter[str]:
        """Sets and readings that did not become a plan, by reason."""
        report = self._feed.synchronizer.report
        found = Counter(report.dropped)
        for name, count in report.refused.items():
            repeated = self.streams[name].repeated if name in self.streams else 0
            if count > repeated:
                found[f"{name} out of order"] += count - repeated
        return found

    def sets(self) -> Iterator[ReadySet]:
        """Inputs of the planner in the order in which they became whole.

        Raises:
            BagError: where the recording is damaged or holds wrong ground truth; with `strict` for any message that
                cannot be used.
        """
        wanted = {*self._inputs.topics, *(topic for topic in (self._plan_topic, self._truth_topic) if topic)}
        for done, stored in enumerate(self._bag.stored(wanted), start=1):
            try:
                message = self._bag.decode(stored)
            except MessageError as error:
                self._skip(stored.topic, stored.index, None, str(error))
                continue
            entry = self._inputs.topics.get(stored.topic)
            if entry is not None:
                yield from self._received(entry, stored, message, done)
            elif stored.topic == self._truth_topic:
                self._keep_scene(stored, message)
            else:
                self.live.add(message)

    def _received(
        self,
        entry: InputTopic,
        stored: StoredMessage,
        message: Any,  # noqa: ANN401 - as SensorFeed.receive
        done: int,
    ) -> Iterator[ReadySet]:
        feed, stamp = self._feed, _stamp_of(message)
        self._note_stamps(entry, stored, stamp)
        if entry.kind is InputKind.CAMERA_INFO and describes_rectification(message):
            self.rectifiable.add(entry.camera)
        unusable = feed.report.unusable[entry.name]
        feed.receive(entry.name, message)
        if feed.report.unusable[entry.name] > unusable:
            self._skip(stored.topic, stored.index, stamp, feed.report.last_error[entry.name])
        elif entry.kind is InputKind.ODOMETRY and feed.last_motion is not None:
            self._moved(feed.last_motion)
        self.time_jumps = feed.synchronizer.report.time_jumps
        self.waited_for = feed.waiting_for
        if entry.kind in _PICTURES and entry.camera == feed.synchronizer.config.reference_camera and stamp is not None:
            self.frame_stamps_us.add(stamp)
            if self.waited_for:
                self.uncalibrated_us.add(stamp)
        self._note_state(stored.logged_ns)
        for readings in feed.take():
            agent_input = self._decode(readings)
            if agent_input is not None:
                states = tuple(self.states)
                self.states.clear()
                yield ReadySet(agent_input, self.time_jumps, feed.odometry_frame, stored.logged_ns, done, states)

    def _note_state(self, logged_ns: int) -> None:
        """Every 0.1 s, what a node that had been active since the first message would say of its inputs."""
        if 0 <= self._next_state_ns - logged_ns <= _DIAGNOSTICS_PERIOD_NS:
            return
        now_us, limits = logged_ns // 1000, HealthLimits()
        if self._health.activated_us is None:
            self._health.activate(now_us)
        self._next_state_ns = logged_ns + _DIAGNOSTICS_PERIOD_NS
        found = input_findings(self._feed, self._health, now_us, limits.stale_after_s, limits.startup_s, self._named)
        found.append(synchronizer_finding(self._feed, self._health, WorkerState(True, 0.0, 0)))
        self.states.append(InputState(logged_ns, tuple(found)))

    def _note_stamps(self, entry: InputTopic, stored: StoredMessage, stamp: int | None) -> None:
        stream = entry.camera if entry.kind in _PICTURES else _STREAMS.get(entry.kind)
        if stamp is None or stream is None:
            return
        self._index_of[entry.name, stamp] = stored.index
        self.streams.setdefault(stream, StreamStamps(stored.topic)).add(stamp, stored.logged_ns // 1000)

    def _moved(self, motion: MotionSample) -> None:
        """The ego's path, and the command where the recording does not hold it."""
        if not self.path or motion.time_us > self.path[-1].time_us:
            self.path.append(motion)
        if self._command is not None:
            self._feed.synchronizer.add_command(motion.time_us, self._command.command(motion))

    def _decode(self, readings: SensorSet[Reading]) -> AgentInput | None:
        """See `SensorFeed.decode`; what cannot be used is named."""
        feed = self._feed
        before = Counter(feed.report.unusable)
        agent_input = feed.decode(readings)
        if agent_input is not None:
            return agent_input
        self.unusable_us.add(readings.time_us)
        for name in feed.report.unusable - before:
            used = [*readings.cameras.values(), *([readings.lidar] if readings.lidar is not None else [])]
            stamp = next((frame.time_us for frame in used if frame.payload.entry.name == name), None)
            index = self._index_of.get((name, stamp), -1) if stamp is not None else -1
            self._skip(self._topic_of[name], index, stamp, feed.report.last_error[name])
        return None

    def _skip(self, topic: str, index: int, stamp: int | None, reason: str) -> None:
        skipped = SkippedMessage(topic, index, stamp, reason)
        if self._strict:
            raise BagError(self._bag.path, str(skipped))
        self.skipped.append(skipped)

    def _keep_scene(self, stored: StoredMessage, message: Any) -> None:  # noqa: ANN401 - pair_drive_ros/SceneTruth
        try:
            scene = decode_scene(bytes(message.data))
        except SceneError as error:
            raise BagError(self._bag.path, f"topic {stored.topic}: {error}") from None
        self.scenes[scene.time_us] = scene


def _stamp_of(message: Any) -> int | None:  # noqa: ANN401 - messages of rosbags
    """Stamp of a message's header, us; None for messages without one."""
    header = getattr(message, "header", None)
    return None if header is None else stamp_us(header.stamp)


def read_path(bag: Bag, feed: SensorFeed, inputs: BagInputs) -> list[MotionSample]:
    """The ego's motion of a whole recording, before anything is planned; what cannot be used is left out.

    Args:
        bag: the recording.
        feed: a feed of its own.
        inputs: which topics are what.
    """
    kinds = (InputKind.ODOMETRY, InputKind.TRANSFORMS)
    topics = {topic: entry for topic, entry in inputs.topics.items() if entry.kind in kinds}
    intake = Intake(bag, feed, dataclasses.replace(inputs, topics=topics), None)
    for _ in intake.sets():
        raise AssertionError("odometry alone made a set of readings")
    return intake.path
