"""The planner run on a recording's messages, through the same feed and guard as in the node."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np

from pair_drive_core.driving.ego_odometry import twist_problem
from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.guarded_planner import GuardedPlan, GuardedPlanner
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.messages.camera_info import camera_pose
from pair_drive_core.driving.mount_check import MountCheck, MountFinding
from pair_drive_core.driving.planner_settings import PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics
from pair_drive_core.driving.synchronizer import TOO_MANY
from pair_drive_core.driving.topics import PLAN_TOPIC, TRUTH_TOPIC, absolute
from pair_drive_core.evaluation.bag_clocks import clock_findings
from pair_drive_core.evaluation.bag_commands import DRIVEN, CommandSource, FixedCommand, driven_route, route_source
from pair_drive_core.evaluation.bag_intake import InputState, Intake, LivePlans, ReadySet, SkippedMessage, read_path
from pair_drive_core.evaluation.bag_reader import Bag, BagError
from pair_drive_core.evaluation.bag_topics import BagInputs, find_inputs, has_commands
from pair_drive_core.evaluation.read_ahead import ReadAhead
from pair_drive_core.scene import AgentInput, CameraImage, DrivingCommand, EgoStatus, Scene

PLAN_TYPE = "pair_drive_ros/msg/PlannedTrajectory"
TRUTH_TYPE = "pair_drive_ros/msg/SceneTruth"
COMMANDS = (*(command.name.lower() for command in DrivingCommand), DRIVEN)
"""What `ReplayOptions.command` may be."""
_ASSUMED_COMMAND = (
    "no driving command in the recording: it follows the path that was driven afterwards; "
    "--command or --route give another"
)


@dataclass(frozen=True)
class ReplayOptions:
    """How a recording is read.

    Attributes:
        remaps: absolute topic names of the recording by the planner's own relative ones, where they differ.
        command: one of `COMMANDS`; empty for the recording's own messages, or DRIVEN where it holds none.
        route: GeoJSON file or topic of nav_msgs/Path that the command follows; empty for none.
        route_origin: see `route_source`.
        strict: whether a message that cannot be used is an error.
        read_ahead: whether reading and decoding go on while a plan is made; only a benchmark wants to know without.
    """

    remaps: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    route: str = ""
    route_origin: tuple[float, float] | None = None
    strict: bool = False
    read_ahead: bool = True

    def validate(self) -> ReplayOptions:
        """Check what can be checked without a recording.

        Raises:
            ValueError: naming what is wrong.
        """
        if self.command and self.command not in COMMANDS:
            raise ValueError(f"command: expected one of {', '.join(COMMANDS)}, got {self.command!r}")
        if self.command and self.route:
            raise ValueError(f"command {self.command!r} and route {self.route!r}: expected one of them")
        return self


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
class Replay:
    """Everything that came out of one pass over a recording.

    Attributes:
        plans: by t0, us.
        scenes: ground truth by t0, us.
        live: the recorded plans.
        frame_stamps_us: of the reference camera.
        dropped: sets and readings that did not become a plan, by reason.
        latency: feature building and networks, this time.
        skipped: messages that could not be used.
        notes: what is unusual about the recording, one line each.
        path: the ego's motion.
        wall_s: time that the pass took.
    """

    plans: dict[int, ReplayedPlan] = field(default_factory=dict)
    scenes: dict[int, Scene] = field(default_factory=dict)
    live: LivePlans = field(default_factory=LivePlans)
    frame_stamps_us: set[int] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    latency: Latencies = field(default_factory=lambda: Latencies(1_000_000))
    skipped: list[SkippedMessage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    path: list[MotionSample] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def live_missed(self) -> int:
        """Frames of the reference camera for which the recording holds no plan."""
        return len(self.frame_stamps_us - self.live.stamps_us)

    @property
    def duration_s(self) -> float:
        """Time from the first to the last reading of the odometry."""
        return (self.path[-1].time_us - self.path[0].time_us) * 1e-6 if self.path else 0.0


class ReplayWatcher:
    """Is told what happens during a replay; does nothing with it."""

    def started(self, planner: str) -> None:
        """The recording is open; so the planner is called."""

    def progress(self, messages: int) -> None:
        """So many messages are done."""

    def planned(self, agent_input: AgentInput, result: GuardedPlan) -> None:
        """A plan was made."""

    def recorded(self, ready: ReadySet, result: GuardedPlan, mounts: Sequence[MountFinding]) -> None:
        """The same, with where in the recording it was made, and what was known of the mounts then."""

    def ended(self, states: Sequence[InputState]) -> None:
        """The recording has ended; so the inputs were since the last plan."""


def replay(
    bag: Bag,
    settings: PlannerSettings,
    planner: GuardedPlanner,
    options: ReplayOptions | None = None,
    watcher: ReplayWatcher | None = None,
) -> Replay:
    """Run the planner on all messages of a recording, as fast as it can; reading and decoding go on meanwhile.

    Args:
        bag: the recording.
        settings: of feed and synchroniser.
        planner: the planner.
        options: how the recording is read.
        watcher: told of progress and plans.

    Raises:
        BagError: for a topic that is missing or of another type, or a recording that leaves no plan at all.
    """
    options, watcher = (options or ReplayOptions()).validate(), watcher or ReplayWatcher()
    assumed = not options.command and not options.route and not has_commands(bag, options.remaps)
    if assumed:
        options = dataclasses.replace(options, command=DRIVEN)
    own_command = not options.command and not options.route
    inputs = find_inputs(bag, settings, options.remaps, needs_command=own_command)
    settings = dataclasses.replace(settings, sync=dataclasses.replace(settings.sync, cameras=inputs.cameras))
    source = None if own_command else _command_source(bag, settings, inputs, options)
    extras = ((PLAN_TOPIC, PLAN_TYPE), (TRUTH_TOPIC, TRUTH_TYPE))
    named = [(options.remaps.get(name, absolute(name)), kind) for name, kind in extras]
    plan_topic, truth_topic = (topic if bag.topics.get(topic) == kind else "" for topic, kind in named)
    mounts = MountCheck(None if settings.extrinsics is Extrinsics.TF else settings.mount, period_s=0.0, at_once=True)
    feed = settings.feed(inputs.pictures, refuse_contradictions=options.strict)
    feed.least_picture_rows = planner.least_picture_rows
    intake = Intake(bag, feed, inputs, source, plan_topic, truth_topic, strict=options.strict)
    outcome = Replay()
    watcher.started(planner.name)
    start = time.perf_counter()
    sets = intake.sets()
    with ReadAhead(sets) if options.read_ahead else nullcontext(sets) as ready_sets:
        for ready in ready_sets:
            agent_input, result = _plan(ready, inputs, settings, planner, outcome)
            mounts.look(ready.agent_input)
            watcher.planned(agent_input, result)
            watcher.recorded(dataclasses.replace(ready, agent_input=agent_input), result, mounts.findings)
            watcher.progress(ready.messages)
    watcher.ended(tuple(intake.states))
    outcome.wall_s = time.perf_counter() - start
    _take_over(intake, outcome)
    outcome.notes = _notes(bag, settings, inputs, intake, feed.odometry_child_frame)
    outcome.notes += [finding.text for finding in mounts.findings]
    if assumed:
        outcome.notes.insert(0, _ASSUMED_COMMAND)
    if not outcome.plans:
        # Causes first: what a set lacked at last is often the stream that suffers, not the one that is wrong.
        reasons = [*intake.waited_for, *outcome.notes, *map(str, outcome.skipped[:3]), *_counted(outcome.dropped)]
        reasons = reasons or ["no camera frames"]
        total = sum(map(bag.count, inputs.topics))
        raise BagError(bag.path, f"no complete set of readings in {total} messages ({'; '.join(reasons)})")
    return outcome


def _plan(
    ready: ReadySet,
    inputs: BagInputs,
    settings: PlannerSettings,
    planner: GuardedPlanner,
    outcome: Replay,
) -> tuple[AgentInput, GuardedPlan]:
    agent_input = with_blind_cameras(ready.agent_input, inputs.missing_cameras, settings)
    start = time.perf_counter()
    planner.reset_if(ready.epoch)
    result = planner.plan(agent_input)
    outcome.latency.add(time.perf_counter() - start)
    outcome.plans[agent_input.now.time_us] = ReplayedPlan(agent_input.now, result)
    return agent_input, result


def with_blind_cameras(agent_input: AgentInput, missing: tuple[str, ...], settings: PlannerSettings) -> AgentInput:
    """Black pictures where a recording has no camera: the networks were made for three, and the report says so.

    They have the size and the intrinsics of the reference camera's, without distortion, and look where the mounts say.
    """
    if not missing:
        return agent_input
    front = agent_input.cameras[settings.sync.reference_camera]
    black = np.zeros_like(front.rgb)
    blind = {}
    for name in missing:
        rotation, position = camera_pose(settings.mount.of_camera(name))
        calibration = dataclasses.replace(
            front.calibration, name=name, ego_r_camera=rotation, ego_t_camera=position, distortion=np.zeros(5)
        )
        blind[name] = CameraImage(calibration, black, front.time_us)
    return dataclasses.replace(agent_input, cameras={**agent_input.cameras, **blind})


def _command_source(bag: Bag, settings: PlannerSettings, inputs: BagInputs, options: ReplayOptions) -> CommandSource:
    if options.route:
        return route_source(bag, options.route, options.route_origin)
    if options.command == DRIVEN:
        return driven_route(bag, read_path(bag, settings.feed(), inputs))
    return FixedCommand(DrivingCommand[options.command.upper()])


def _take_over(intake: Intake, outcome: Replay) -> None:
    """What the reading side knows, and why each frame without a plan has none."""
    outcome.scenes, outcome.live, outcome.path = intake.scenes, intake.live, intake.path
    outcome.frame_stamps_us, outcome.skipped = intake.frame_stamps_us, intake.skipped
    synchroniser = intake.dropped
    outcome.dropped = Counter(synchroniser)
    if intake.unusable_us:
        outcome.dropped["a reading that cannot be used"] += len(intake.unusable_us)
    lost = len(intake.frame_stamps_us - set(outcome.plans))
    explained = sum(n for reason, n in synchroniser.items() if not reason.endswith("out of order"))
    rest = lost - explained - len(intake.unusable_us)
    uncalibrated = len(intake.uncalibrated_us - set(outcome.plans))
    early = min(max(rest, 0), uncalibrated)
    # Sets that wait for a calibration push each other out: the calibration is the cause.
    pushed_out = min(synchroniser[TOO_MANY], uncalibrated - early)
    if early + pushed_out:
        outcome.dropped["before all cameras were calibrated"] += early + pushed_out
        outcome.dropped[TOO_MANY] -= pushed_out
    outcome.dropped = +outcome.dropped
    if rest > early:
        reason = "incomplete at the end" if not intake.time_jumps else "forgotten at a time jump or the end"
        outcome.dropped[reason] += rest - early


def _notes(bag: Bag, settings: PlannerSettings, inputs: BagInputs, intake: Intake, child_frame: str) -> list[str]:
    """All that is unusual, one line each."""
    notes = [*bag.notes, *bag.other_counts(set(inputs.topics)), *inputs.notes]
    if inputs.missing_cameras:
        notes.append(
            f"out of distribution: no {', '.join(inputs.missing_cameras)} in the recording; the planner sees black "
            "pictures there, and was trained with all cameras"
        )
    notes += clock_findings(intake.streams, settings.sync)
    if intake.time_jumps:
        notes.append(
            f"time jumped {intake.time_jumps} times (stamps that leap or go back); all was forgotten each time"
        )
    problem = twist_problem(intake.path) if settings.odometry_twist.value == "odometry" else ""
    if problem:
        notes.append(problem)
    if _is_other_frame(settings, child_frame):
        notes.append(
            f"the odometry speaks of {child_frame!r}, not of {settings.base_frame!r}: it is taken for the rear axle; "
            "mount.odometry says where that frame sits"
        )
    rectified = {name for name in inputs.cameras if settings.pictures.are_rectified(inputs.pictures.get(name, ""))}
    raw = sorted(intake.rectifiable - rectified)
    if raw:
        topics = ", ".join(f"{name} ({inputs.pictures.get(name, '')})" for name in raw)
        notes.append(
            f"{topics}: taken for raw pictures (K and distortion of camera_info), since the topic is not called "
            "image_rect...; where they are rectified, pictures:=rectified takes P"
        )
    return notes


def _is_other_frame(settings: PlannerSettings, child_frame: str) -> bool:
    """Whether the odometry speaks of a frame whose place nobody has told."""
    if settings.extrinsics is Extrinsics.TF or any(settings.mount.odometry):
        return False
    return child_frame not in ("", settings.base_frame.lstrip("/"))


def _counted(reasons: Mapping[str, int]) -> list[str]:
    return [f"{reason}: {count}" for reason, count in reasons.items()]
