"""The route command node over DDS: a line and odometry in, commands out."""

from pair_drive_core.driving.messages.odometry import to_odometry, to_pose
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import DrivingCommand, EgoStatus


def test_a_turn_of_the_route_becomes_a_command_at_the_odometrys_stamp(peer, start_process):
    import numpy as np
    from nav_msgs.msg import Odometry, Path
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.msg import DrivingCommand as Message

    start_process("-m", "pair_drive_ros.nodes.route_command_node", "--ros-args", "-p", "period_s:=0.0")
    commands = peer.collect(Message, "driving_command")
    odometry = peer.node.create_publisher(Odometry, "odometry", 10)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    route = peer.node.create_publisher(Path, "route", latched)

    def send(points):
        header = to_header(ros_message, 0, "odom")
        poses = [
            ros_message("geometry_msgs/msg/PoseStamped", header=header, pose=to_pose(ros_message, (x, y, 0.0)))
            for x, y in points
        ]
        route.publish(ros_message("nav_msgs/msg/Path", header=header, poses=poses))

    def drive_until(wanted):
        def reached():
            drive_until.time_us += 100_000
            pose, velocity = np.zeros(3), np.array([5.0, 0.0])
            status = EgoStatus(drive_until.time_us, pose, velocity, np.zeros(2), DrivingCommand.UNKNOWN)
            odometry.publish(to_odometry(ros_message, status, 0.0, "odom", "base_link"))
            return bool(commands) and commands[-1].command == int(wanted)

        return peer.spin_until(reached, 60, period_s=0.1)

    drive_until.time_us = 5_000_000
    assert drive_until(DrivingCommand.UNKNOWN), "without a route"
    send([(-10.0, 0.0), (25.0, 0.0), (25.0, 60.0)])
    assert drive_until(DrivingCommand.LEFT)
    send([(-10.0, 0.0), (25.0, 0.0), (25.0, -60.0)])
    assert drive_until(DrivingCommand.RIGHT)
    stamp = commands[-1].header.stamp
    assert (stamp.sec * 10**6 + stamp.nanosec // 1000) % 100_000 == 0 and stamp.sec >= 5
    send([])
    assert drive_until(DrivingCommand.UNKNOWN), "a route without points takes it back"
