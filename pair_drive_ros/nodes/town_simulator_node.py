"""A drive through the synthetic town as a ROS 2 node: clock, sensors and ground truth out, plans or commands in."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from geometry_msgs.msg import AccelWithCovarianceStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from pair_drive_core.driving import topics
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.scores import to_pdm_score
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.town_map import to_map_markers
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.messages.transforms import to_camera_transform, to_ego_transform, to_transforms
from pair_drive_core.driving.messages.truth import to_scene_truth
from pair_drive_core.driving.messages.vehicle_commands import actuator_command
from pair_drive_core.driving.sensor_faults import FaultySensor, parse_fault
from pair_drive_core.evaluation.plan_jumps import PlanJumpMeter
from pair_drive_core.evaluation.town_drive import TownDrive, TownReadings
from pair_drive_core.scene import CameraImage, EgoStatus
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand
from pair_drive_core.simulation.plan_follower import TimedPlan
from pair_drive_core.town import STEP_S
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import DrivingCommand, PdmScore, PlannedTrajectory, SceneTruth, VehicleCommand
from pair_drive_ros.parameters import Parameter, ParameterError, declare, value_problems, values
from pair_drive_ros.program import run_program

ODOM_FRAME, BASE_FRAME = "odom", "base_link"
_TRUTH_STEPS = 5
_FUTURE_STEPS = 51
_PROGRESS_STEPS = 10
_UNSCORED_US = 30_000_000
"""Plans whose ground truth has not come by then are forgotten: where none is published, all of them."""
_WATCHDOG_US = 500_000
"""A command older than this is not obeyed: the vehicle brakes, as any receiver of commands must."""
_WATCHDOG = ActuatorCommand(0.0, -3.0)
_FAULT = "fault."
_SENSORS = (*(name.rpartition("/")[2] for name in topics.CAMERA_TOPICS.values()), "lidar")
_STREAMS = (*_SENSORS, "odometry", "acceleration", "command")

PARAMETERS = (
    Parameter("layout_seed", 20003, "Which town; 20000 and above were never trained on.", 0, 1_000_000),
    Parameter("seed", 1, "Seed of traffic and people.", 0, 1_000_000),
    Parameter("duration_s", 60.0, "Simulated time after which the node ends [s].", 0.1, 86400.0),
    Parameter(
        "driver",
        "plan",
        "Who drives the ego: plans, the follower's commands, or the human, who does until the first of them.",
        choices=("plan", "command", "human"),
    ),
    Parameter("plan_wait_s", 2.0, "Wall-clock time for which each plan is waited for; 0 never waits [s].", 0.0, 60.0),
    Parameter("planner_wait_s", 30.0, "Wall-clock time for which a planner is waited for first [s].", 0.0, 600.0),
    Parameter("listeners", 1, "How many subscribers each sensor must have before the drive starts.", 1, 10),
    Parameter("real_time_factor", 0.0, "Greatest speed against wall-clock time; 0 runs as fast as it can.", 0.0, 100.0),
    Parameter("sensor_period_s", 0.2, "Simulated time between sets of readings, a multiple of 0.1 [s].", 0.1, 10.0),
    Parameter("image_width_px", 480, "Width of each camera's image [px].", 64, 1920),
    Parameter(
        "image_transport", "compressed", "Image topics that are published.", choices=("raw", "compressed", "both")
    ),
    Parameter("jpeg_quality", 90, "Quality of compressed images.", 1, 100),
    Parameter("publish_truth", True, "Whether ground truth and scores are published, 5 s late."),
    Parameter("report", "", "File (JSON) for what the drive was like; empty writes none."),
    *(
        Parameter(f"{_FAULT}{name}", "", f"What is wrong with {name}: drop[:share],delay:s,freeze,corrupt,stamp:s.")
        for name in _STREAMS
    ),
)
CHANGEABLE = ("real_time_factor", *(f"{_FAULT}{name}" for name in _STREAMS))
"""What may be set while the town lives."""


class TownSimulatorNode(Node):  # type: ignore[misc]
    """See the module. In lock-step (`plan_wait_s` above 0) the clock stands still until the plan of t0 has come."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_town", **node_options)
        declare(self, PARAMETERS)
        value = {parameter.name: self.get_parameter(parameter.name).value for parameter in PARAMETERS}
        self._steps = round(value["duration_s"] * 10)
        self._sensor_steps = round(value["sensor_period_s"] * 10)
        if abs(self._sensor_steps - value["sensor_period_s"] * 10) > 1e-6:
            raise ParameterError(f"sensor_period_s: expected a multiple of 0.1, got {value['sensor_period_s']}")
        self._value = value
        self._sensors = {name: FaultySensor(ros_message, seed) for seed, name in enumerate(_STREAMS)}
        self._set_faults(value)
        self._drive = TownDrive(value["layout_seed"], value["seed"], value["image_width_px"])
        self._first_step = self._drive.step
        self._paced_s = 0.0
        self._plan: TimedPlan | None = None
        self._plans = self._missed = 0
        self._actuators: tuple[int, int, ActuatorCommand] | None = None
        self._watchdog = 0
        self._sources: Counter[int] = Counter()
        self._reasons: Counter[str] = Counter()
        self._jumps = PlanJumpMeter()
        self._unscored: dict[int, TimedPlan] = {}
        self._totals: list[float] = []
        self._create_publishers()
        self._subscription = self.create_subscription(PlannedTrajectory, topics.PLAN_TOPIC, self._on_plan, 1)
        self._commands = self.create_subscription(VehicleCommand, topics.COMMAND_TOPIC, self._on_command, 1)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def _create_publishers(self) -> None:
        """Sensors are offered reliably: a subscriber that asks for best effort gets it."""
        sensor = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        transport = self._value["image_transport"]
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10)
        self._odometry = self.create_publisher(Odometry, "odometry", sensor)
        self._acceleration = self.create_publisher(AccelWithCovarianceStamped, "acceleration", sensor)
        self._command = self.create_publisher(DrivingCommand, "driving_command", sensor)
        self._lidar = self.create_publisher(PointCloud2, "lidar/points", sensor)
        self._truth = self.create_publisher(SceneTruth, topics.TRUTH_TOPIC, QoSProfile(depth=50))
        self._score = self.create_publisher(PdmScore, topics.SCORE_TOPIC, QoSProfile(depth=50))
        self._map = self.create_publisher(MarkerArray, topics.MAP_TOPIC, latched)
        self._map.publish(to_map_markers(ros_message, self._drive.lane_rings, ODOM_FRAME))
        self._images: dict[str, Any] = {}
        self._compressed: dict[str, Any] = {}
        self._infos: dict[str, Any] = {}
        for camera, namespace in topics.CAMERA_TOPICS.items():
            if transport in ("raw", "both"):
                self._images[camera] = self.create_publisher(Image, f"{namespace}/image_raw", sensor)
            if transport in ("compressed", "both"):
                topic = f"{namespace}/image_raw/compressed"
                self._compressed[camera] = self.create_publisher(CompressedImage, topic, sensor)
            self._infos[camera] = self.create_publisher(CameraInfo, f"{namespace}/camera_info", latched)
        self._transforms = self._static_transforms = None
        try:
            kind = message_type("tf2_msgs/msg/TFMessage")
        except ModuleNotFoundError as error:
            self.get_logger().warning(f"/tf is not published: {error}")
        else:
            self._transforms = self.create_publisher(kind, "/tf", 10)
            self._static_transforms = self.create_publisher(kind, "/tf_static", latched)

    def run(self) -> None:
        """Drive for the whole duration."""
        self._wait_for_planner()
        self._paced_s = time.monotonic()
        for index in range(self._steps):
            self._publish_moment(index % self._sensor_steps == 0)
            self._drive.advance(self._driver())
            self._publish_truth()
            if (index + 1) % _PROGRESS_STEPS == 0:
                self._report(index + 1)
            self._pace()
        self._publish_clock()
        self._spin_for(0.5)
        if self._value["report"]:
            self._write_report(Path(self._value["report"]))

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        self.destroy_node()

    # --- one moment ------------------------------------------------------------------------------------------------

    def _publish_moment(self, with_sensors: bool) -> None:
        """The clock and all readings of now; in lock-step, wait for the plan that is made from them."""
        self._publish_clock()
        time_us = self._drive.time_us
        self._publish_late(time_us)
        if not with_sensors:
            self._publish_motion(self._drive.status())
            self._spin_until_command(time_us, 0)
            return
        readings = self._drive.readings()
        self._send("command", self._command, to_driving_command(ros_message, self._drive.command, time_us, BASE_FRAME))
        self._publish_motion(readings.status)
        self._publish_sensors(readings)
        came = False
        if self._value["plan_wait_s"] > 0:
            came = self._spin_until_plan(time_us, self._value["plan_wait_s"])
            self._missed += not came
        self._spin_until_command(time_us, time_us if came else 0)

    def _send(self, name: str, publisher: Any, message: Any) -> None:  # noqa: ANN401 - any sensor's
        """Publish what its fault leaves of a sensor's message."""
        for received in self._sensors[name].send(message):
            publisher.publish(received)

    def _publish_late(self, time_us: int) -> None:
        """What was delayed and has come by now."""
        publishers = {"odometry": self._odometry, "acceleration": self._acceleration, "command": self._command}
        publishers["lidar"] = self._lidar
        for name, publisher in publishers.items():
            for message in self._sensors[name].due(time_us):
                publisher.publish(message)
        for camera, namespace in topics.CAMERA_TOPICS.items():
            for message in self._sensors[namespace.rpartition("/")[2]].due(time_us):
                pictures = self._images if hasattr(message, "encoding") else self._compressed
                pictures[camera].publish(message)

    def _publish_clock(self) -> None:
        self._clock_publisher.publish(Clock(clock=to_time(ros_message, self._drive.time_us)))

    def _publish_motion(self, status: EgoStatus) -> None:
        odometry = to_odometry(ros_message, status, self._drive.yaw_rate, ODOM_FRAME, BASE_FRAME)
        self._send("odometry", self._odometry, odometry)
        self._send("acceleration", self._acceleration, to_acceleration(ros_message, status, BASE_FRAME))
        if self._transforms is not None:
            pose = to_ego_transform(ros_message, status, ODOM_FRAME, BASE_FRAME)
            self._transforms.publish(to_transforms(ros_message, [pose]))

    def _publish_sensors(self, readings: TownReadings) -> None:
        frames = {camera: f"{topics.CAMERA_TOPICS[camera].replace('/', '_')}_optical" for camera in readings.cameras}
        if self._static_transforms is not None:
            poses = [
                to_camera_transform(ros_message, picture.calibration, picture.time_us, BASE_FRAME, frames[camera])
                for camera, picture in readings.cameras.items()
            ]
            self._static_transforms.publish(to_transforms(ros_message, poses))
        for camera, picture in readings.cameras.items():
            frame, time_us = frames[camera], picture.time_us
            self._infos[camera].publish(to_camera_info(ros_message, picture.calibration, time_us, frame))
            self._publish_picture(camera, picture, frame)
        self._send("lidar", self._lidar, to_point_cloud(ros_message, readings.lidar, BASE_FRAME))

    def _publish_picture(self, camera: str, picture: CameraImage, frame: str) -> None:
        name = topics.CAMERA_TOPICS[camera].rpartition("/")[2]
        if camera in self._images:
            self._send(name, self._images[camera], to_image(ros_message, picture, frame))
        if camera in self._compressed:
            quality = self._value["jpeg_quality"]
            compressed = to_compressed_image(ros_message, picture, frame, "jpeg", quality)
            self._send(name, self._compressed[camera], compressed)

    def _publish_truth(self) -> None:
        """Ground truth, twice a second or so, of a moment with sensor readings whose future has just become known."""
        if not self._value["publish_truth"]:
            return
        step = self._drive.step - _FUTURE_STEPS
        period = self._sensor_steps * max(1, _TRUTH_STEPS // self._sensor_steps)
        if step < self._first_step or (step - self._first_step) % period:
            return
        scene = self._drive.scene_at(step)
        if scene is None:
            return
        self._truth.publish(to_scene_truth(ros_message, scene, ODOM_FRAME))
        plan = self._unscored.get(scene.time_us)
        self._unscored = {t0: later for t0, later in self._unscored.items() if t0 > scene.time_us}
        if plan is not None:
            message = to_pdm_score(ros_message, self._drive.score_of(scene, plan), scene.time_us, ODOM_FRAME)
            self._score.publish(message)
            self._totals.append(message.total)

    # --- waiting ---------------------------------------------------------------------------------------------------

    def _on_plan(self, message: PlannedTrajectory) -> None:
        try:
            plan = self._plan = timed_plan(message)
        except MessageError as error:
            self.get_logger().error(f"plan refused: {error}")
            return
        self._plans += 1
        self._sources[message.source] += 1
        if message.reason:
            self._reasons[message.reason.partition(":")[0]] += 1
        self._jumps.add(plan)
        oldest = plan.start_us - _UNSCORED_US
        self._unscored = {t0: waiting for t0, waiting in self._unscored.items() if t0 > oldest}
        self._unscored[plan.start_us] = plan

    def _on_command(self, message: VehicleCommand) -> None:
        try:
            received = actuator_command(message)
        except MessageError as error:
            self.get_logger().error(f"command refused: {error}")
            return
        # Until something is followed for the first time the human drives on.
        if self._actuators is not None or not message.reason:
            self._actuators = received

    def _driver(self) -> TimedPlan | ActuatorCommand | None:
        """Who moves the ego in the step that begins now."""
        if self._value["driver"] == "plan":
            return self._plan
        if self._value["driver"] == "human" or self._actuators is None:
            return None
        time_us, _, command = self._actuators
        if self._drive.time_us - time_us > _WATCHDOG_US:
            self._watchdog += 1
            return _WATCHDOG
        return command

    # --- parameters ------------------------------------------------------------------------------------------------

    def _on_set_parameters(self, changed: list[RosParameter]) -> SetParametersResult:
        """Faults and the real-time factor can change while the town lives; what is wrong changes nothing."""
        known = {parameter.name for parameter in PARAMETERS}
        ours = {parameter.name: parameter.value for parameter in changed if parameter.name in known}
        now = values(self, PARAMETERS)
        fixed = sorted(name for name, value in ours.items() if name not in CHANGEABLE and value != now[name])
        problems = [f"{', '.join(fixed)}: can only be given at the start"] if fixed else []
        problems += value_problems(PARAMETERS, ours)
        if not problems:
            try:
                self._set_faults(ours)
            except ParameterError as error:
                problems.append(str(error))
            else:
                self._value.update(ours)
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    def _set_faults(self, given: dict[str, Any]) -> None:
        """Take the faults among some parameters, all or none.

        Raises:
            ParameterError: for a text that names no fault.
        """
        texts = {name.removeprefix(_FAULT): text for name, text in given.items() if name.startswith(_FAULT)}
        try:
            faults = {name: parse_fault(text) for name, text in texts.items()}
        except ValueError as error:
            raise ParameterError(str(error)) from None
        for name, fault in faults.items():
            self._sensors[name].set_fault(fault)

    def _wait_for_planner(self) -> None:
        """Until enough subscribers listen to every kind of sensor and somebody plans (and follows, if asked for)."""
        if self._value["planner_wait_s"] == 0:
            return
        end = time.monotonic() + self._value["planner_wait_s"]
        while time.monotonic() < end:
            needed = (topics.PLAN_TOPIC, *((topics.COMMAND_TOPIC,) if self._value["driver"] == "command" else ()))
            if self._heard() and all(self.count_publishers(topic) for topic in needed):
                # What is matched on this side may not be on the other.
                self._spin_for(0.5)
                return
            self._spin_for(0.05)
        self.get_logger().warning(f"no planner within {self._value['planner_wait_s']} s; starting without one")

    def _heard(self) -> bool:
        """Whether every sensor has enough subscribers; of raw and compressed images one kind is enough."""
        cameras = [[p[camera] for p in (self._images, self._compressed) if camera in p] for camera in self._infos]
        sensors = [*cameras, [self._lidar], [self._odometry], [self._command]]
        wanted = self._value["listeners"]
        return all(max(p.get_subscription_count() for p in publishers) >= wanted for publishers in sensors)

    def _spin_until_plan(self, time_us: int, timeout_s: float) -> bool:
        """Take in messages until the plan of a moment is there; whether it came. Not where nobody plans at all."""
        end = time.monotonic() + (timeout_s if self.count_publishers(topics.PLAN_TOPIC) else 0.0)
        while self._plan is None or self._plan.start_us < time_us:
            remaining = end - time.monotonic()
            if remaining <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(remaining, 0.2))
        return True

    def _spin_until_command(self, time_us: int, plan_us: int) -> None:
        """In lock-step with a follower, take in messages until it has answered this moment (from this plan)."""
        wait_s = self._value["plan_wait_s"] if self._value["driver"] == "command" else 0.0
        end = time.monotonic() + (wait_s if self.count_publishers(topics.COMMAND_TOPIC) else 0.0)
        while self._actuators is None or self._actuators[0] < time_us or self._actuators[1] < plan_us:
            remaining = end - time.monotonic()
            if remaining <= 0 or (self._actuators is None and self._plan is None):
                break
            self._executor.spin_once(timeout_sec=min(remaining, 0.2))
        self._spin_for(0.0)

    def _spin_for(self, duration_s: float) -> None:
        """Take in messages for a while, at least those that are there already."""
        end = time.monotonic() + duration_s
        while True:
            self._executor.spin_once(timeout_sec=max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return

    def _pace(self) -> None:
        """Not faster than the real-time factor; time lost is not made up for."""
        factor = self._value["real_time_factor"]
        if factor > 0:
            self._paced_s = max(self._paced_s + STEP_S / factor, time.monotonic())
            self._spin_for(self._paced_s - time.monotonic())

    def _write_report(self, path: Path) -> None:
        """What the drive was like, written whole or not at all."""
        report = {
            "layout_seed": self._value["layout_seed"],
            "seed": self._value["seed"],
            "driver": self._value["driver"],
            "drive": self._drive.meter.measures().to_json(),
            "plans": self._plans,
            "plans_missed": self._missed,
            "plans_by_source": {str(source): count for source, count in sorted(self._sources.items())},
            "guard_events": dict(self._reasons),
            "plan_jumps": self._jumps.summary().to_json(),
            "watchdog_steps": self._watchdog,
            "pdms": sum(self._totals) / len(self._totals) if self._totals else None,
        }
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(report, indent=2), encoding="utf-8")
        partial.rename(path)

    def _report(self, done: int) -> None:
        """One line of progress on standard output."""
        progress = f"{done / 10:.1f} / {self._steps / 10:.1f} s"
        score = f", mean PDMS {100.0 * sum(self._totals) / len(self._totals):.1f}" if self._totals else ""
        print(f"town {progress}, plans {self._plans}, missed {self._missed}{score}", flush=True)


def run(node: TownSimulatorNode) -> int:
    """Drive once."""
    node.run()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Drive once; exit code 2 for parameters that are refused."""
    return run_program("town_simulator_node", arguments, TownSimulatorNode, run)


if __name__ == "__main__":
    sys.exit(main())
