"""The planner run on a recording's messages, through the same feed and guard as in the node."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pair_drive_core.datasets.cache.codec import decode_scene
from pair_drive_core.driving.guarded_planner import GuardedPlan, GuardedPlanner
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.messages import stamp_us
from pair_drive_core.driving.sensor_feed import SensorFeed
from pair_drive_core.driving.topics import INPUT_TOPICS, PLAN_TOPIC, TRUTH_TOPIC, InputKind, InputTopic, absolute
from pair_drive_core.evaluation.bag_reader import Bag, BagError, BagMessage
from pair_drive_core.scene import AgentInput, EgoStatus, Scene, SceneError

PLAN_TYPE = "pair_drive_ros/msg/PlannedTrajectory"
TRUTH_TYPE = "pair_drive_ros/msg/SceneTruth"


@dataclass(frozen=True)
class ReplayedPlan:
    """A plan made from a recording.

    Attributes:
        status: the ego at t0.
        result: the plan.
    """

    status: EgoStatus
    result: GuardedPlan


@dataclass
class LivePlans:
    """What the recording holds of the planner that ran while it was made.

    Attributes:
        count: plans.
        fallbacks: how many of them were fallbacks.
        compute: their compute times.
        age: their ages at publication.
        stamps_us: their t0.
    """

    count: int = 0
    fallbacks: int = 0
    compute: Latencies = field(default_factory=lambda: Latencies(1_000_000))
    age: Latencies = field(default_factory=lambda: Latencies(1_000_000))
    stamps_us: set[int] = field(default_factory=set)


@dataclass
class Replay:
    """Everything that came out of one pass over a recording.

    Attributes:
        plans: by t0, us.
        scenes: ground truth by t0, us.
        live: the recorded plans.
        frames: frames of the reference camera.
        frame_stamps_us: their stamps.
        dropped: sets and readings that did not become a plan, by reason.
        latency: feature building and networks, this time.
    """

    plans: dict[int, ReplayedPlan] = field(default_factory=dict)
    scenes: dict[int, Scene] = field(default_factory=dict)
    live: LivePlans = field(default_factory=LivePlans)
    frame_stamps_us: set[int] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    latency: Latencies = field(default_factory=lambda: Latencies(1_000_000))

    @property
    def live_missed(self) -> int:
        """Frames of the reference camera for which the recording holds no plan."""
        return len(self.frame_stamps_us - self.live.stamps_us)


class ReplayWatcher:
    """Is told what happens during a replay; does nothing with it."""

    def progress(self, messages: int) -> None:
        """So many messages are done."""

    def planned(self, agent_input: AgentInput, result: GuardedPlan) -> None:
        """A plan was made."""


def replay(
    bag: Bag,
    feed: SensorFeed,
    planner: GuardedPlanner,
    remaps: Mapping[str, str],
    watcher: ReplayWatcher | None = None,
) -> Replay:
    """Run the planner on all messages of a recording, as fast as it can.

    Args:
        bag: the recording.
        feed: a new feed.
        planner: the planner.
        remaps: absolute topic names of the recording by the planner's own relative ones, where they differ.
        watcher: told of progress and plans.

    Raises:
        BagError: for a topic that is missing or of another type, or a message that cannot be used.
    """
    inputs = _input_names(bag, feed, remaps)
    plan_topic, truth_topic = (remaps.get(name, absolute(name)) for name in (PLAN_TOPIC, TRUTH_TOPIC))
    extras = ((plan_topic, PLAN_TYPE), (truth_topic, TRUTH_TYPE))
    wanted = {*inputs, *(topic for topic, kind in extras if bag.topics.get(topic) == kind)}
    reference = feed.synchronizer.config.reference_camera
    outcome = Replay()
    watcher = watcher or ReplayWatcher()
    for done, message in enumerate(bag.messages(wanted), start=1):
        entry = inputs.get(message.topic)
        if entry is not None:
            feed.receive(entry.name, message.message)
            if entry.camera == reference and entry.kind in (InputKind.IMAGE, InputKind.COMPRESSED_IMAGE):
                outcome.frame_stamps_us.add(stamp_us(message.message.header.stamp))
            _plan_complete_sets(feed, planner, outcome, watcher)
            _refuse_unusable(bag, feed, inputs)
        elif message.topic == truth_topic:
            scene = _scene(bag, message)
            outcome.scenes[scene.time_us] = scene
        else:
            _record_live(outcome.live, message)
        watcher.progress(done)
    report = feed.synchronizer.report
    outcome.dropped = report.dropped + Counter({f"{name} out of order": n for name, n in report.refused.items()})
    if not outcome.plans:
        counted = [f"{reason}: {count}" for reason, count in outcome.dropped.items()]
        reasons = ", ".join([*feed.waiting_for, *counted]) or "no camera frames"
        raise BagError(bag.path, f"no complete set of readings in {sum(map(bag.count, inputs))} messages ({reasons})")
    return outcome


def _input_names(bag: Bag, feed: SensorFeed, remaps: Mapping[str, str]) -> dict[str, InputTopic]:
    """The planner's input topics by their names in the recording.

    Raises:
        BagError: naming all topics that are missing or of another type.
    """
    unknown = sorted(set(remaps) - {*INPUT_TOPICS, PLAN_TOPIC, TRUTH_TOPIC})
    if unknown:
        raise BagError(bag.path, f"topic {unknown[0]!r} to remap: expected one of {', '.join(INPUT_TOPICS)}")
    found: dict[str, InputTopic] = {}
    problems = []
    for name, entry in INPUT_TOPICS.items():
        topic = remaps.get(name, absolute(name))
        kind = bag.topics.get(topic)
        if kind == entry.kind.value:
            found[topic] = entry
        elif kind is not None:
            problems.append(f"topic {topic}: expected {entry.kind.value}, got {kind}")
    present = {(entry.kind, entry.camera) for entry in found.values()}
    for name, entry in INPUT_TOPICS.items():
        pictures = {(InputKind.IMAGE, entry.camera), (InputKind.COMPRESSED_IMAGE, entry.camera)}
        is_picture = (entry.kind, entry.camera) in pictures
        optional = entry.kind in (InputKind.ACCELERATION, InputKind.TRANSFORMS) or (
            entry.kind is InputKind.LIDAR and not feed.synchronizer.config.with_lidar
        )
        if optional or (entry.kind, entry.camera) in present or (is_picture and pictures & present):
            continue
        if entry.kind is not InputKind.COMPRESSED_IMAGE:
            problems.append(f"topic {remaps.get(name, f'/{name}')}: expected {entry.kind.value}, found none")
    if problems:
        available = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(bag.topics.items())) or "nothing"
        raise BagError(bag.path, f"{'; '.join(problems)}; the recording holds {available}")
    return found


def _refuse_unusable(bag: Bag, feed: SensorFeed, inputs: Mapping[str, InputTopic]) -> None:
    """In a recording a reading that cannot be used is a reason to stop: it will not get better."""
    for topic, entry in inputs.items():
        if entry.name in feed.report.last_error:
            raise BagError(bag.path, f"topic {topic}: {feed.report.last_error[entry.name]}")


def _plan_complete_sets(feed: SensorFeed, planner: GuardedPlanner, outcome: Replay, watcher: ReplayWatcher) -> None:
    for readings in feed.take():
        start = time.perf_counter()
        agent_input = feed.decode(readings)
        if agent_input is None:
            continue
        planner.reset_if(feed.synchronizer.report.time_jumps)
        result = planner.plan(agent_input)
        outcome.latency.add(time.perf_counter() - start)
        outcome.plans[readings.time_us] = ReplayedPlan(agent_input.now, result)
        watcher.planned(agent_input, result)


def _scene(bag: Bag, message: BagMessage) -> Scene:
    try:
        return decode_scene(bytes(message.message.data))
    except SceneError as error:
        raise BagError(bag.path, f"topic {message.topic}: {error}") from None


def _record_live(live: LivePlans, message: BagMessage) -> None:
    plan = message.message
    live.count += 1
    live.fallbacks += bool(plan.reason)
    live.compute.add(stamp_us(plan.compute_time) * 1e-6)
    live.age.add(stamp_us(plan.age) * 1e-6)
    live.stamps_us.add(stamp_us(plan.header.stamp))
