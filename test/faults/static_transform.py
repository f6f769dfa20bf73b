"""A process that says where frames sit, as robot_state_publisher does: NAME X Y Z and a quaternion for each."""

import sys

import rclpy
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


def transform(child, *numbers):
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = "base_link", child
    x, y, z, qx, qy, qz, qw = (float(number) for number in numbers)
    message.transform.translation = Vector3(x=x, y=y, z=z)
    message.transform.rotation = Quaternion(x=qx, y=qy, z=qz, w=qw)
    return message


def main():
    rclpy.init()
    node = rclpy.create_node("static_transform")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(TFMessage, "/tf_static", latched)
    given = sys.argv[1:]
    publisher.publish(TFMessage(transforms=[transform(*given[i : i + 8]) for i in range(0, len(given), 8)]))
    rclpy.spin(node)


if __name__ == "__main__":
    main()
