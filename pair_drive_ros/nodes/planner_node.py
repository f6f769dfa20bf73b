"""The planner as a lifecycle node: synchronised sensors in, one guarded plan out, stamped with the sensors' time."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Path
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from visualization_msgs.msg import MarkerArray

from pair_drive_core.driving import topics
from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan, GuardedPlanner, one_line
from pair_drive_core.driving.messages.candidates import to_candidates, to_markers
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.trajectories import to_path, to_planned_trajectory
from pair_drive_core.driving.mount_check import MountCheck
from pair_drive_core.driving.planner_health import (
    PlannerHealth,
    WorkerState,
    backend_finding,
    input_findings,
    mounts_finding,
    output_finding,
    planner_finding,
    stale_streams,
    synchronizer_finding,
)
from pair_drive_core.driving.readings import Reading
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorFeed
from pair_drive_core.driving.synchronizer import SensorSet
from pair_drive_core.driving.topics import INPUT_TOPICS, InputKind, stream_of
from pair_drive_core.planning.planner import Planner
from pair_drive_core.scene import AgentInput
from pair_drive_ros.decoding_thread import DecodingThread
from pair_drive_ros.inference_thread import InferenceThread
from pair_drive_ros.lifecycle import start, told
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import CandidateTrajectories, PlannedTrajectory
from pair_drive_ros.parameters import ParameterValue, declare, plain, value_problems, values
from pair_drive_ros.planner_parameters import PLANNER_PARAMETERS, NodeSettings, coupled_problems, split_settings
from pair_drive_ros.prepared_parameters import Preparation, PreparedParameterService, refusal
from pair_drive_ros.program import help_asked, help_text, run_program, spin

_TRANSFORM_DEPTH = 100
_WATCH_PERIOD_S = 0.02
_CONSOLE_PERIOD_S = 5.0
_CAUSES_TOLD = 4
_OUTPUT_DEPTH = 20
"""Plans kept for a subscriber that is late for a moment, a recorder say; who wants the newest only asks for depth 1."""


@dataclass(frozen=True)
class PlanningJob:
    """One complete set for the inference thread.

    Attributes:
        readings: the set.
        frame_id: frame of its ego poses.
        epoch: changes whenever time has jumped.
        complete_s: monotonic time at which its last message came.
    """

    readings: SensorSet[Reading]
    frame_id: str
    epoch: int
    complete_s: float


@dataclass(frozen=True)
class Reload:
    """A checkpoint that is being loaded beside the running one.

    Attributes:
        checkpoint: its file.
        preparation: gives the planner.
    """

    checkpoint: str
    preparation: Preparation[Planner]


class PlannerNode(LifecycleNode):  # type: ignore[misc]
    """See the module; parameters are in `planner_parameters`, topics in `pair_drive_core.driving.topics`."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_planner", start_parameter_services=False, **node_options)
        declare(self, PLANNER_PARAMETERS)
        self._settings: NodeSettings = split_settings(values(self, PLANNER_PARAMETERS))[1]
        self._planner: GuardedPlanner | None = None
        self._feed: SensorFeed | None = None
        self._thread: InferenceThread[PlanningJob] | None = None
        self._decoding: DecodingThread | None = None
        self._mount_check = MountCheck(None)
        self._told_of_mounts: set[str] = set()
        self._told_of_transforms: tuple[str, ...] = ()
        self._health = PlannerHealth()
        self._reload: Reload | None = None
        self._submitted_epoch = self._resets = 0
        self._last_submitted_us: int | None = None
        self._skew_s: dict[str, float] = {}
        self._configure_error = ""
        self._uses_tf = False
        self._inputs: list[Any] = []
        self._input_names: dict[str, str] = {}
        self._outputs: dict[str, Any] = {}
        self._stale: frozenset[str] = frozenset()
        self._next_diagnostics_s = 0.0
        self._waits_for = ""
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS_TOPIC, 10)
        # Diagnostics keep coming on wall-clock time while a simulator pauses; the ages in them do not grow then.
        self._timer = self.create_timer(_WATCH_PERIOD_S, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(seconds=-0.5), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._parameter_service = PreparedParameterService(self, self._prepare_parameters)

    # --- lifecycle -------------------------------------------------------------------------------------------------

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and load the networks."""
        given = values(self, PLANNER_PARAMETERS)
        problems = coupled_problems(given)
        if problems:
            return self._refuse_to_configure("; ".join(problems))
        settings, self._settings = split_settings(given)
        try:
            if settings.extrinsics is Extrinsics.TF:
                message_type(InputKind.TRANSFORMS.value)
            self._planner = settings.guarded_planner()
        except Exception as error:  # noqa: BLE001 - whatever a checkpoint raises is a reason not to configure
            return self._refuse_to_configure(refusal(error))
        self._uses_tf = settings.extrinsics is Extrinsics.TF
        pictures = InputKind.COMPRESSED_IMAGE if self._settings.image_transport == "compressed" else InputKind.IMAGE
        named = {e.camera: self.resolve_topic_name(name) for name, e in INPUT_TOPICS.items() if e.kind is pictures}
        self._feed = settings.feed(named)
        self._feed.least_picture_rows = self._planner.least_picture_rows
        self._mount_check = MountCheck(None if self._uses_tf else settings.mount)
        self._told_of_mounts, self._told_of_transforms = set(), ()
        self._tell_of_mounts()
        self._health = PlannerHealth()
        self._configure_error = ""
        for kind, name in (
            (PlannedTrajectory, topics.PLAN_TOPIC),
            (Path, topics.PATH_TOPIC),
            (CandidateTrajectories, topics.CANDIDATES_TOPIC),
            (MarkerArray, topics.MARKERS_TOPIC),
        ):
            self._outputs[name] = self.create_lifecycle_publisher(kind, name, _OUTPUT_DEPTH)
        self.get_logger().info(f"configured: planner {self._planner.name} on {settings.device}")
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the inputs and start to plan."""
        if self._feed is None:
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._start_anew(self._feed)
        self._thread = InferenceThread(self._work, self._work_failed, "inference")
        self._decoding = DecodingThread()
        self._feed.ahead = self._decoding.submit
        self._subscribe()
        return result

    def _subscribe(self) -> None:
        """Subscribe to those inputs that the settings ask for."""
        settings = self._settings
        reliable = settings.sensor_reliability == "reliable"
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        sensor = QoSProfile(depth=settings.sensor_depth, reliability=reliability)
        transforms = QoSProfile(depth=_TRANSFORM_DEPTH)
        latched = QoSProfile(depth=_TRANSFORM_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        skipped = {"raw": {InputKind.COMPRESSED_IMAGE}, "compressed": {InputKind.IMAGE}, "both": set()}
        unwanted = skipped[settings.image_transport] | (set() if self._uses_tf else {InputKind.TRANSFORMS})
        for name, entry in INPUT_TOPICS.items():
            if entry.kind in unwanted:
                continue
            is_tf = entry.kind is InputKind.TRANSFORMS
            qos = (latched if name.endswith("_static") else transforms) if is_tf else sensor
            callback = partial(self._receive, name)
            subscription = self.create_subscription(message_type(entry.kind.value), name, callback, qos)
            self._inputs.append(subscription)
            self._input_names[stream_of(entry)] = subscription.topic_name
            if entry.kind is InputKind.COMMAND:
                # One that was sent before we came is kept by publishers that offer it; others only match the first.
                kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
                quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
                command = message_type(entry.kind.value)
                self._inputs.append(self.create_subscription(command, name, callback, kept, event_callbacks=quiet))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop planning; nothing is published any more."""
        self._stop_planning()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the networks."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and let go of everything."""
        self._stop_planning()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured anew."""
        self._stop_planning()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop the inference thread and destroy the node."""
        self._stop_planning()
        self._jump_handle.unregister()
        self.destroy_node()

    def _refuse_to_configure(self, reason: str) -> TransitionCallbackReturn:
        self._configure_error = reason
        self.get_logger().error(f"cannot configure: {reason}")
        return TransitionCallbackReturn.FAILURE

    def _stop_planning(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs.clear()
        self._resets += 1  # What is being planned now will not be published.
        if self._thread is not None and not self._thread.stop():
            self.get_logger().error("the inference thread hangs; what it still works on will not be published")
        self._thread = None
        if self._feed is not None:
            self._feed.ahead = None
        if self._decoding is not None and not self._decoding.stop():
            self.get_logger().error("the decoding thread hangs; it is left behind")
        self._decoding = None
        self._health.activated_us = None

    def _release(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs.clear()
        self._planner = self._feed = None

    # --- parameters and time ---------------------------------------------------------------------------------------

    def _on_set_parameters(self, changed: list[RosParameter]) -> SetParametersResult:
        """Refuse what is wrong; once configured only another checkpoint may be set, and a bad one changes nothing."""
        try:
            problems = self._change(self._ours(changed))
        except Exception as error:  # noqa: BLE001 - nothing that a caller sends may end the node
            problems = [refusal(error)]
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    def _ours(self, changed: list[RosParameter]) -> dict[str, ParameterValue]:
        """Those of our own parameters that really change."""
        now = values(self, PLANNER_PARAMETERS)
        given = {parameter.name: plain(parameter.value) for parameter in changed if parameter.name in now}
        return {name: value for name, value in given.items() if value != now[name] or name == "checkpoint"}

    def _problems_of(self, ours: dict[str, ParameterValue]) -> list[str]:
        """What is wrong with a change, without looking into a checkpoint."""
        given = {**values(self, PLANNER_PARAMETERS), **ours}
        problems = value_problems(PLANNER_PARAMETERS, given) or coupled_problems(given)
        fixed = sorted(set(ours) - {"checkpoint"})
        if not problems and self._planner is not None and fixed:
            problems = [f"{', '.join(fixed)}: can only be set while unconfigured; clean up the node first"]
        return problems

    def _prepare_parameters(self, changed: list[RosParameter]) -> Future | None:
        """Load, check and warm up another checkpoint beside the running one; what to wait for, None for nothing."""
        ours = self._ours(changed)
        if self._planner is None or "checkpoint" not in ours or self._problems_of(ours):
            return None
        settings = split_settings({**values(self, PLANNER_PARAMETERS), **ours})[0]
        loaded = Future(executor=self.executor)
        preparation = Preparation(settings.loaded_planner, lambda: loaded.set_result(None))
        self._reload = Reload(settings.checkpoint, preparation)
        return loaded

    def _change(self, ours: dict[str, ParameterValue]) -> list[str]:
        """Apply a change; why it is refused."""
        problems = self._problems_of(ours)
        if not problems and self._planner is None:
            # Diagnostics come while unconfigured, too: what the node itself goes by holds at once.
            self._settings = split_settings({**values(self, PLANNER_PARAMETERS), **ours})[1]
        if problems or self._planner is None or "checkpoint" not in ours:
            return problems
        prepared, self._reload = self._reload, None
        if prepared is None or prepared.checkpoint != ours["checkpoint"]:
            # Set from within this process, not through the service: then it is prepared here and now.
            settings = split_settings({**values(self, PLANNER_PARAMETERS), **ours})[0]
            self._replace(self._planner, settings.loaded_planner())
            return []
        if prepared.preparation.result is None:
            return [f"{prepared.preparation.problem}; the running planner stays"]
        self._replace(self._planner, prepared.preparation.result)
        self.get_logger().info(f"checkpoint {ours['checkpoint']!r} drives from the next plan on")
        return []

    def _replace(self, guarded: GuardedPlanner, planner: Planner) -> None:
        """Drive with another planner, which may need pictures of another size."""
        guarded.replace(planner)
        if self._feed is not None:
            self._feed.least_picture_rows = guarded.least_picture_rows

    def _on_clock_jump(self, jump: TimeJump) -> None:
        """Forget all readings when the node's clock jumps back."""
        if self._feed is not None:
            self._start_anew(self._feed)

    def _start_anew(self, feed: SensorFeed) -> None:
        """Forget all readings and what was planned from them."""
        self._resets += 1
        feed.reset()
        if self._thread is not None:
            self._drop_waiting(self._thread)
        self._last_submitted_us = None
        self._health.activate(self._now_us())

    def _drop_waiting(self, thread: InferenceThread[PlanningJob]) -> None:
        """Drop the set that waits to be planned: it is of before a jump of time."""
        if thread.drop_waiting():
            self._health.discarded["time jumped before planning"] += 1

    def _epoch(self, feed: SensorFeed) -> int:
        """Changes whenever the past is forgotten: on activation, and when the sensors' or the node's time jumps."""
        return feed.synchronizer.report.time_jumps + self._resets

    def _now_us(self) -> int:
        return int(self.get_clock().now().nanoseconds // 1000)

    # --- planning --------------------------------------------------------------------------------------------------

    def _receive(self, topic: str, message: Any) -> None:  # noqa: ANN401 - any of the input messages
        """Take a message and hand complete sets to the inference thread."""
        if self._feed is None or self._thread is None:
            return
        try:
            self._feed.receive(topic, message)
            ready = self._feed.take()
        except Exception as error:  # noqa: BLE001 - no message, whatever it holds, may end the node that drives
            self._feed.refuse(topic, one_line(error))
            trace = traceback.format_exc()
            self.get_logger().error(f"a message on {topic} could not be taken: {trace}", throttle_duration_sec=1.0)
            return
        for readings in ready:
            self._submit(self._feed, self._thread, readings)

    def _submit(self, feed: SensorFeed, thread: InferenceThread[PlanningJob], readings: SensorSet[Reading]) -> None:
        """Hand a set to the inference thread unless it is too old, of the future, or too soon after the last."""
        epoch = self._epoch(feed)
        if epoch != self._submitted_epoch:
            self._submitted_epoch, self._last_submitted_us = epoch, None
            self._drop_waiting(thread)
        stamps = [frame.time_us for frame in readings.cameras.values()]
        if readings.lidar is not None:
            stamps.append(readings.lidar.time_us)
        now_us, limit_us = self._now_us(), self._settings.stale_after_s * US_PER_S
        if now_us - min(stamps) > limit_us or max(stamps) - now_us > limit_us:
            self._health.discarded["stale"] += 1
            return
        last = self._last_submitted_us
        if last is not None and readings.time_us - last < self._settings.plan_period_s * US_PER_S:
            self._health.discarded["sooner than plan_period_s"] += 1
            return
        self._last_submitted_us = readings.time_us
        self._health.asked += 1
        thread.submit(PlanningJob(readings, feed.odometry_frame, epoch, time.perf_counter()))

    def _work(self, job: PlanningJob) -> None:
        """Plan and publish; runs on the inference thread."""
        feed, planner = self._feed, self._planner
        if feed is None or planner is None:
            return
        agent_input = feed.decode(job.readings)
        if agent_input is None:
            self._health.discarded["unusable readings"] += 1
            return
        planner.reset_if(job.epoch)
        result = planner.plan(agent_input)
        self._skew_s = job.readings.skew_s
        if result.failed:
            self.get_logger().error(f"planner failed, fallback taken: {result.reason}", throttle_duration_sec=1.0)
        self._publish(result, agent_input, job, planner.name)
        self._mount_check.look(agent_input)
        self._tell_of_mounts()

    def _work_failed(self, error: Exception) -> None:
        """Tell of what the work on a set raised; runs on the inference thread."""
        if not self.context.ok():
            return  # The process is told to end while it plans: nothing can be published any more.
        self._health.record_error(one_line(error))
        trace = "".join(traceback.format_exception(error))
        self.get_logger().error(f"a set could not be worked on: {trace}", throttle_duration_sec=1.0)

    def _publish(self, result: GuardedPlan, agent_input: AgentInput, job: PlanningJob, planner: str) -> None:
        """The plan first: everything else can wait."""
        feed, status = self._feed, agent_input.now
        if feed is None or job.epoch != self._epoch(feed):
            self._health.discarded["time jumped while planning"] += 1
            return
        age_s = (self._now_us() - status.time_us) / US_PER_S
        if age_s > self._settings.plan_age_limit_s:
            self._health.discarded["too old when planned"] += 1
            self.get_logger().warning(f"plan {age_s:.2f} s old, not published", throttle_duration_sec=1.0)
            return
        plan = to_planned_trajectory(ros_message, result, status, job.frame_id, age_s, planner)
        self._outputs[topics.PLAN_TOPIC].publish(plan)
        self._health.record(result, status.time_us, age_s, time.perf_counter() - job.complete_s)
        self._outputs[topics.PATH_TOPIC].publish(to_path(ros_message, plan))
        candidates = None
        leaves = result.plan.candidates
        if leaves is not None:
            candidates = to_candidates(ros_message, leaves, status, job.frame_id, result.plan.interval_s)
            if self._settings.publish_candidates:
                self._outputs[topics.CANDIDATES_TOPIC].publish(candidates)
        if self._settings.publish_markers:
            self._outputs[topics.MARKERS_TOPIC].publish(to_markers(ros_message, plan, candidates))

    # --- diagnostics -----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Publish diagnostics every period, and at once when an input goes stale."""
        stale: frozenset[str] = frozenset()
        if self._feed is not None and self._thread is not None:
            stale = stale_streams(self._feed, self._now_us(), self._settings.stale_after_s)
            self._tell_of_transforms(self._feed)
        now_s = time.monotonic()
        if now_s < self._next_diagnostics_s and stale <= self._stale:
            self._stale = stale
            return
        self._stale = stale
        self._next_diagnostics_s = now_s + self._settings.diagnostics_period_s - 0.5 * _WATCH_PERIOD_S
        self._publish_diagnostics()

    def _publish_diagnostics(self) -> None:
        state = self._state_machine.current_state[1]
        now_us = self._now_us()
        findings = [Finding("lifecycle", Level.ERROR if self._configure_error else Level.OK, state)]
        if self._configure_error:
            findings = [Finding("lifecycle", Level.ERROR, f"{state}; cannot configure: {self._configure_error}")]
        feed, planner, thread = self._feed, self._planner, self._thread
        if feed is not None and planner is not None and thread is not None:
            settings, health = self._settings, self._health
            worker = WorkerState(thread.alive, thread.busy_s, thread.replaced)
            limits = (settings.plan_age_limit_s, settings.hang_after_s, settings.startup_s)
            findings += input_findings(
                feed, health, now_us, settings.stale_after_s, settings.startup_s, self._input_names
            )
            findings.append(mounts_finding(self._mount_check.findings))
            findings.append(synchronizer_finding(feed, health, worker))
            findings.append(planner_finding(health, planner.name, self._skew_s))
            findings += [backend_finding(state) for state in [planner.backend] if state is not None]
            findings.append(output_finding(health, worker, now_us, *limits))
            self._tell_console(findings)
        self._diagnostics.publish(to_diagnostics(ros_message, findings, self.get_fully_qualified_name(), now_us))

    def _tell_of_mounts(self) -> None:
        """Log each finding of the mount check once."""
        for finding in self._mount_check.findings:
            cause = finding.text.split(":")[0]
            if cause not in self._told_of_mounts:
                self._told_of_mounts.add(cause)
                tell = self.get_logger().error if finding.certain else self.get_logger().warning
                tell(f"mounts: {finding.text}")

    def _tell_of_transforms(self, feed: SensorFeed) -> None:
        """Log once which frames are not connected to the ego's, whenever those change."""
        missing = feed.frames_without_transform
        if missing != self._told_of_transforms:
            self._told_of_transforms = missing
            if missing:
                frames = ", ".join(repr(frame) for frame in missing)
                base = self.get_parameter("base_frame").value
                self.get_logger().warning(
                    f"no transform to {base!r} from {frames} on /tf or /tf_static: waiting for it"
                )

    def _tell_console(self, findings: list[Finding]) -> None:
        """Say what planning waits for, now and then; and once when plans come."""
        output = findings[-1]
        causes = [finding for finding in findings[:-1] if finding.level in (Level.WARN, Level.ERROR)]
        text = "; ".join(f"{finding.part}: {finding.message}" for finding in causes[:_CAUSES_TOLD])
        if output.level is Level.OK:
            if self._waits_for:
                self.get_logger().info("plans come")
            self._waits_for = ""
            return
        self._waits_for = f"{output.message} ({text or 'all inputs are fresh'})"
        self.get_logger().warning(self._waits_for, throttle_duration_sec=_CONSOLE_PERIOD_S)


def run(node: PlannerNode) -> int:
    """Start the node if it shall start itself, and turn it."""
    if node.get_parameter("autostart").value and not start(node):
        return 2
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 for parameters that are refused."""
    if help_asked(arguments):
        print(help_text("planner_node", __doc__ or "", PLANNER_PARAMETERS))
        return 0
    return run_program("planner_node", arguments, PlannerNode, run)


if __name__ == "__main__":
    sys.exit(main())
