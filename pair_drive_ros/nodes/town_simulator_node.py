"""A drive through the synthetic town as a ROS 2 node: clock, sensors and ground truth out, plans in."""

from __future__ import annotations

import sys
import time
from typing import Any

from geometry_msgs.msg import AccelWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from pair_drive_core.driving import topics
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.scores import to_pdm_score
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.messages.transforms import to_camera_transform, to_ego_transform, to_transforms
from pair_drive_core.driving.messages.truth import to_scene_truth
from pair_drive_core.evaluation.town_drive import TownDrive, TownReadings
from pair_drive_core.scene import CameraImage
from pair_drive_core.simulation.plan_follower import TimedPlan
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import DrivingCommand, PdmScore, PlannedTrajectory, SceneTruth
from pair_drive_ros.parameters import Parameter, ParameterError, declare
from pair_drive_ros.program import run_program

ODOM_FRAME, BASE_FRAME = "odom", "base_link"
_TRUTH_STEPS = 5
_FUTURE_STEPS = 51
_PROGRESS_STEPS = 10

PARAMETERS = (
    Parameter("layout_seed", 20003, "Which town; 20000 and above were never trained on.", 0, 1_000_000),
    Parameter("seed", 1, "Seed of traffic and people.", 0, 1_000_000),
    Parameter("duration_s", 60.0, "Simulated time after which the node ends [s].", 0.1, 86400.0),
    Parameter("driver", "plan", "Who drives the ego; until the first plan the human does.", choices=("plan", "human")),
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
)


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
        self._drive = TownDrive(value["layout_seed"], value["seed"], value["image_width_px"])
        self._first_step = self._drive.step
        self._plan: TimedPlan | None = None
        self._plans = self._missed = 0
        self._unscored: dict[int, TimedPlan] = {}
        self._totals: list[float] = []
        self._create_publishers()
        self._subscription = self.create_subscription(PlannedTrajectory, topics.PLAN_TOPIC, self._on_plan, 1)
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
        start_s = time.monotonic()
        for index in range(self._steps):
            self._publish_moment(index % self._sensor_steps == 0)
            self._drive.advance(self._plan if self._value["driver"] == "plan" else None)
            self._publish_truth()
            if (index + 1) % _PROGRESS_STEPS == 0:
                self._report(index + 1)
            self._pace(start_s, index + 1)
        self._publish_clock()
        self._spin_for(0.5)

    def close(self) -> None:
        """Destroy the node."""
        self._executor.shutdown()
        self.destroy_node()

    # --- one moment ------------------------------------------------------------------------------------------------

    def _publish_moment(self, with_sensors: bool) -> None:
        """The clock and all readings of now; in lock-step, wait for the plan that is made from them."""
        self._publish_clock()
        time_us = self._drive.time_us
        if not with_sensors:
            self._publish_motion(self._drive.status(), 0.0)
            self._spin_for(0.0)
            return
        readings = self._drive.readings()
        self._command.publish(to_driving_command(ros_message, self._drive.command, time_us, BASE_FRAME))
        self._publish_motion(readings.status, readings.yaw_rate)
        self._publish_sensors(readings)
        if self._value["plan_wait_s"] > 0:
            came = self._spin_until_plan(time_us, self._value["plan_wait_s"])
            self._missed += not came
        else:
            self._spin_for(0.0)

    def _publish_clock(self) -> None:
        self._clock_publisher.publish(Clock(clock=to_time(ros_message, self._drive.time_us)))

    def _publish_motion(self, status: Any, yaw_rate: float) -> None:  # noqa: ANN401 - EgoStatus
        self._odometry.publish(to_odometry(ros_message, status, yaw_rate, ODOM_FRAME, BASE_FRAME))
        self._acceleration.publish(to_acceleration(ros_message, status, BASE_FRAME))
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
        self._lidar.publish(to_point_cloud(ros_message, readings.lidar, BASE_FRAME))

    def _publish_picture(self, camera: str, picture: CameraImage, frame: str) -> None:
        if camera in self._images:
            self._images[camera].publish(to_image(ros_message, picture, frame))
        if camera in self._compressed:
            quality = self._value["jpeg_quality"]
            self._compressed[camera].publish(to_compressed_image(ros_message, picture, frame, "jpeg", quality))

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
            self._plan = timed_plan(message)
        except MessageError as error:
            self.get_logger().error(f"plan refused: {error}")
            return
        self._plans += 1
        self._unscored[self._plan.start_us] = self._plan

    def _wait_for_planner(self) -> None:
        """Until enough subscribers listen to every kind of sensor and somebody plans."""
        if self._value["planner_wait_s"] == 0:
            return
        end = time.monotonic() + self._value["planner_wait_s"]
        while time.monotonic() < end:
            if self._heard() and self.count_publishers(topics.PLAN_TOPIC):
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

    def _spin_for(self, duration_s: float) -> None:
        """Take in messages for a while, at least those that are there already."""
        end = time.monotonic() + duration_s
        while True:
            self._executor.spin_once(timeout_sec=max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return

    def _pace(self, start_s: float, steps: int) -> None:
        """Not faster than the real-time factor."""
        factor = self._value["real_time_factor"]
        if factor > 0:
            self._spin_for(max(0.0, start_s + steps * 0.1 / factor - time.monotonic()))

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
