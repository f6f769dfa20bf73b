"""The other side of the nodes under test: a node of the test itself, publishers of all inputs, a planner process."""

import time

from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.scene import CameraCalibration, CameraImage, DrivingCommand, EgoStatus, LidarSweep

SETTLE_S = 0.5
"""Time for two DDS participants to have found each other's endpoints both ways."""


class Peer:
    """A node of the test itself, with an executor that the test turns."""

    def __init__(self, domain):
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self._rclpy = rclpy
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("peer", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def collect(self, message_type, topic, qos=10):
        """A list that grows by each message on the topic."""
        received = []
        self.node.create_subscription(message_type, topic, received.append, qos)
        return received

    def spin_until(self, condition, timeout_s, period_s=0.02):
        """Turn the executor until the condition holds; returns whether it came to hold."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if condition():
                return True
            self._executor.spin_once(timeout_sec=period_s)
        return bool(condition())

    def spin_for(self, duration_s):
        """Turn the executor for a while."""
        self.spin_until(lambda: False, duration_s)

    def close(self):
        self._executor.shutdown()
        self.node.destroy_node()
        self._rclpy.shutdown(context=self.context)


class SensorRig:
    """Publishes small, whole sets of planner inputs from the test's own node; single streams can be left out."""

    WIDTH, HEIGHT = 32, 18

    def __init__(self, peer):
        from geometry_msgs.msg import AccelWithCovarianceStamped
        from nav_msgs.msg import Odometry
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        from pair_drive_ros.msg import DrivingCommand

        self.peer = peer
        self.speed = 5.0
        self._publishers = {
            "lidar": peer.node.create_publisher(PointCloud2, "lidar/points", 10),
            "odometry": peer.node.create_publisher(Odometry, "odometry", 10),
            "acceleration": peer.node.create_publisher(AccelWithCovarianceStamped, "acceleration", 10),
            "command": peer.node.create_publisher(DrivingCommand, "driving_command", 10),
        }
        for name, namespace in CAMERA_TOPICS.items():
            self._publishers[name] = peer.node.create_publisher(Image, f"{namespace}/image_raw", 10)
            self._publishers[f"{name} info"] = peer.node.create_publisher(CameraInfo, f"{namespace}/camera_info", 10)

    def wait_for_planner(self, timeout_s=90.0):
        """Until the planner listens to everything and its plans are heard here."""
        heard = lambda: all(p.get_subscription_count() for p in self._publishers.values())  # noqa: E731
        assert self.peer.spin_until(heard, timeout_s), "the planner did not subscribe"
        self.peer.spin_for(0.2)

    def now_us(self):
        return self.peer.node.get_clock().now().nanoseconds // 1000

    def publish(self, time_us=None, without=(), **changes):
        """One set of one moment; `changes` alter a stream's message before it is sent."""
        time_us = self.now_us() if time_us is None else time_us
        for name, message in self._messages(time_us).items():
            if name not in without:
                if name in changes:
                    message = changes[name](message)
                self._publishers[name].publish(message)

    def stream(self, duration_s, without=(), period_s=0.05, **changes):
        """Publish sets for a while."""
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            self.publish(without=without, **changes)
            self.peer.spin_for(period_s)

    def stream_until(self, condition, timeout_s, without=(), period_s=0.05, **changes):
        """Publish sets until the condition holds; returns how long it took, or None."""
        start = time.monotonic()
        while time.monotonic() < start + timeout_s:
            self.publish(without=without, **changes)
            self.peer.spin_until(condition, period_s)
            if condition():
                return time.monotonic() - start
        return None

    def _messages(self, time_us):
        import numpy as np

        from pair_drive_ros.message_types import ros_message

        pose = np.array([self.speed * (time_us % 10**9) * 1e-6, 0.0, 0.0])
        status = EgoStatus(time_us, pose, np.array([self.speed, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
        sweep = LidarSweep(np.array([[10, 0, 1, 0.5]], dtype=np.float32), time_us)
        messages = {
            "command": to_driving_command(ros_message, status.command, time_us, "base_link"),
            "odometry": to_odometry(ros_message, status, 0.0, "odom", "base_link"),
            "acceleration": to_acceleration(ros_message, status, "base_link"),
            "lidar": to_point_cloud(ros_message, sweep, "base_link"),
        }
        intrinsics = np.array([[20.0, 0, 16.0], [0, 20.0, 9.0], [0, 0, 1]])
        for name in ("CAM_L0", "CAM_F0", "CAM_R0"):
            calibration = CameraCalibration(
                name, self.WIDTH, self.HEIGHT, intrinsics, np.eye(3), np.zeros(3), np.zeros(5)
            )
            image = CameraImage(calibration, np.zeros((self.HEIGHT, self.WIDTH, 3), np.uint8), time_us)
            messages[f"{name} info"] = to_camera_info(ros_message, calibration, time_us, "optical")
            messages[name] = to_image(ros_message, image, "optical")
        return messages


class PlannerProcess:
    """A planner node in a process of its own, and what it says."""

    def __init__(self, peer, start_process):
        from diagnostic_msgs.msg import DiagnosticArray

        from pair_drive_ros.msg import PlannedTrajectory

        self._peer, self._start = peer, start_process
        self.plans = peer.collect(PlannedTrajectory, "planning/trajectory")
        self.diagnostics = peer.collect(DiagnosticArray, "/diagnostics", 50)
        self.process = None

    def start(self, *remaps, **parameters):
        """Start it; parameters without dots as keywords, others as a dictionary under `extra`."""
        given = {
            "planner": "constant_velocity",
            "autostart": True,
            "stale_after_s": 0.5,
            "plan_age_limit_s": 2.0,
            **parameters.pop("extra", {}),
        }
        given.update(parameters)
        options = []
        for name, value in given.items():
            options += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        for remap in remaps:
            options += ["-r", remap]
        self.process = self._start("-m", "pair_drive_ros.nodes.planner_node", "--ros-args", *options)
        return self

    def output(self):
        return self.process.log_path.read_text()

    def findings(self):
        """Parts of the newest diagnostics: name -> (level, message)."""
        if not self.diagnostics:
            return {}
        newest = self.diagnostics[-1]
        return {s.name.split(": ", 1)[1]: (int.from_bytes(s.level, "little"), s.message) for s in newest.status}

    def values(self, part):
        """Key-value pairs of a part of the newest diagnostics."""
        for status in self.diagnostics[-1].status if self.diagnostics else ():
            if status.name.endswith(f": {part}"):
                return {entry.key: entry.value for entry in status.values}
        return {}

    def call(self, kind, service, request, timeout_s=60.0, while_waiting=None):
        """Call a service of the node; `while_waiting` is called ten times a second or so until the answer is there."""
        client = self._peer.node.create_client(kind, f"/pair_drive_planner/{service}")
        assert self._peer.spin_until(client.service_is_ready, timeout_s), f"no service {service}"
        # The client knows the server before the server knows the client; an answer sent in between would be lost.
        self._peer.spin_until(lambda: False, SETTLE_S)
        future = client.call_async(request)
        end = time.monotonic() + timeout_s
        while while_waiting is not None and not future.done() and time.monotonic() < end:
            while_waiting()
            self._peer.spin_until(future.done, 0.1)
        assert self._peer.spin_until(future.done, timeout_s), f"no answer from {service}"
        self._peer.node.destroy_client(client)
        return future.result()

    def transition(self, name):
        """Trigger a lifecycle transition; whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f"TRANSITION_{name.upper()}")
        return self.call(ChangeState, "change_state", request).success

    def state(self):
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def set_parameters(self, while_waiting=None, **given):
        """Set parameters together; returns (whether it worked, why not)."""
        from rcl_interfaces.srv import SetParametersAtomically
        from rclpy.parameter import Parameter

        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name.replace("__", "."), value=v).to_parameter_msg() for name, v in given.items()
        ]
        service = "set_parameters_atomically"
        result = self.call(SetParametersAtomically, service, request, while_waiting=while_waiting).result
        return result.successful, result.reason
