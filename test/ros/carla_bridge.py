"""What CARLA's ROS bridge publishes, in synchronous steps, with the town as physics: the other process of the tests.

Pictures are bgra8; the cloud comes from CARLA's left-handed frame with y negated; places of sensors and vehicle come
on /tf, in optical frames for cameras; odometry is that of the vehicle's middle in `map`. The next step is taken when
a control has come: pedals and steer (+1 is right), or an Ackermann command, whose angle is left positive. Arguments:
duration in s, seconds to wait for a control, steps between sensors.
"""

import sys
import time

import numpy as np
import rclpy
from ackermann_msgs.msg import AckermannDrive
from carla_msgs.msg import CarlaEgoVehicleControl
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.transforms import to_camera_transform, to_ego_transform, to_transforms
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.scene import EgoStatus, LidarSweep
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand
from pair_drive_ros.message_types import ros_message

ROLE = "ego_vehicle"
OFFSET_M = 1.4
FULL_STEER_RAD, FULL_THROTTLE, FULL_BRAKE = np.deg2rad(70.0), 5.0, 8.0
LIDAR_PLACE = np.array([0.5, 0.0, 1.8])
"""Of the LiDAR in the vehicle's frame, m."""


class Bridge:
    """The bridge's topics around one drive."""

    def __init__(self):
        self.drive = TownDrive(20005, 1, image_width_px=64)
        self.node = rclpy.create_node("carla_ros_bridge")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.command, self.controls = None, 0
        prefix, qos = f"/carla/{ROLE}", QoSProfile(depth=10)
        publisher = self.node.create_publisher
        self.clock = publisher(Clock, "/clock", qos)
        self.tf = publisher(TFMessage, "/tf", qos)
        self.odometry = publisher(Odometry, f"{prefix}/odometry", qos)
        self.lidar = publisher(PointCloud2, f"{prefix}/lidar", qos)
        self.names = {camera: topic.rpartition("/")[2] for camera, topic in CAMERA_TOPICS.items()}
        self.images = {c: publisher(Image, f"{prefix}/{n}/image", qos) for c, n in self.names.items()}
        self.infos = {c: publisher(CameraInfo, f"{prefix}/{n}/camera_info", qos) for c, n in self.names.items()}
        listen = self.node.create_subscription
        self.inputs = [
            listen(CarlaEgoVehicleControl, f"{prefix}/vehicle_control_cmd", self.on_control, qos),
            listen(AckermannDrive, f"{prefix}/ackermann_cmd", self.on_ackermann, qos),
        ]

    def on_control(self, message):
        pedal = message.throttle * FULL_THROTTLE - message.brake * FULL_BRAKE
        self.command = ActuatorCommand(-message.steer * FULL_STEER_RAD, pedal)
        self.controls += 1

    def on_ackermann(self, message):
        speed = float(self.drive.status().velocity[0])
        gain = 1.0 if message.speed >= speed else -1.0
        self.command = ActuatorCommand(message.steering_angle, gain * abs(message.acceleration))
        self.controls += 1

    def publish(self, with_sensors):
        status, time_us = self.drive.status(), self.drive.time_us
        self.clock.publish(Clock(clock=to_time(ros_message, time_us)))
        direction = np.array([np.cos(status.pose[2]), np.sin(status.pose[2])])
        pose = np.array([*(status.pose[:2] + OFFSET_M * direction), status.pose[2]])
        velocity = status.velocity + np.array([0.0, OFFSET_M * self.drive.yaw_rate])
        middle = EgoStatus(time_us, pose, velocity, status.acceleration, status.command)
        transforms = [to_ego_transform(ros_message, middle, "map", ROLE)]
        readings = self.drive.readings() if with_sensors else None
        if readings is not None:
            transforms += self.places(readings, time_us)
        self.tf.publish(to_transforms(ros_message, transforms))
        self.odometry.publish(to_odometry(ros_message, middle, self.drive.yaw_rate, "map", ROLE))
        if readings is not None:
            self.publish_sensors(readings, time_us)

    def places(self, readings, time_us):
        """Where sensors sit, from the vehicle's middle."""
        found = []
        for camera, picture in readings.cameras.items():
            frame = f"{ROLE}/{self.names[camera]}"
            place = to_camera_transform(ros_message, picture.calibration, time_us, ROLE, frame)
            place.transform.translation.x -= OFFSET_M
            found.append(place)
        lidar = to_ego_transform(ros_message, readings.status, ROLE, f"{ROLE}/lidar")
        x, y, z = LIDAR_PLACE.tolist()
        lidar.transform.translation.x, lidar.transform.translation.y, lidar.transform.translation.z = x, y, z
        lidar.transform.rotation.z, lidar.transform.rotation.w = 0.0, 1.0
        return [*found, lidar]

    def publish_sensors(self, readings, time_us):
        for camera, picture in readings.cameras.items():
            frame = f"{ROLE}/{self.names[camera]}"
            message = to_image(ros_message, picture, frame)
            bgra = np.dstack((picture.rgb[..., ::-1], np.full(picture.rgb.shape[:2], 255, np.uint8)))
            message.encoding, message.step = "bgra8", bgra.shape[1] * 4
            message.data = bgra.tobytes()
            self.infos[camera].publish(to_camera_info(ros_message, picture.calibration, time_us, frame))
            self.images[camera].publish(message)
        points = readings.lidar.points.copy()
        points[:, :3] -= (LIDAR_PLACE + np.array([OFFSET_M, 0.0, 0.0])).astype(np.float32)
        carla = points * np.array([1, -1, 1, 1], np.float32)
        carla[:, 1] *= -1.0
        self.lidar.publish(to_point_cloud(ros_message, LidarSweep(carla, time_us), f"{ROLE}/lidar"))

    def ready(self):
        """Whether everybody of the loop is there: who plans, who follows, who says where the route goes."""
        node, topics = self.node, ("/planning/trajectory", "/driving_command", "/rear_axle/odometry")
        known = all(node.count_publishers(topic) and node.count_subscribers(topic) for topic in topics)
        return known and sum(node.count_publishers(entry.topic_name) for entry in self.inputs) > 0

    def wait(self, condition, timeout_s):
        """Take messages in until the condition holds."""
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def step(self, with_sensors, wait_s):
        """One synchronous step: publish, wait for a control (and, with sensors, leave a planner some time), move on."""
        before, start = self.controls, time.monotonic()
        self.publish(with_sensors)
        self.wait(lambda: self.controls > before, wait_s)
        self.wait(lambda: time.monotonic() - start > (0.3 if with_sensors else 0.08), 1.0)
        self.drive.advance(self.command)


def main():
    duration_s, wait_s, every = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    rclpy.init()
    bridge = Bridge()
    bridge.wait(bridge.ready, 120.0)
    bridge.wait(lambda: False, 1.0)
    headings = [bridge.drive.status().pose[2]]
    for step in range(round(duration_s * 10)):
        bridge.step(step % every == 0, wait_s)
        headings.append(bridge.drive.status().pose[2])
    turned = float(np.unwrap(headings)[-1] - headings[0])
    speed = float(bridge.drive.status().velocity[0])
    print(f"turned {turned:.4f} rad, speed {speed:.2f} m/s, controls {bridge.controls}", flush=True)


if __name__ == "__main__":
    main()
