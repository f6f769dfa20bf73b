"""The other process of the Autoware test: waits for a trajectory and candidates and prints what they hold as JSON."""

import json

import rclpy
from autoware_internal_planning_msgs.msg import CandidateTrajectories
from autoware_planning_msgs.msg import Trajectory


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("listener")
    heard = {}
    node.create_subscription(Trajectory, "autoware/trajectory", lambda m: heard.update(trajectory=m), 1)
    node.create_subscription(
        CandidateTrajectories, "autoware/candidate_trajectories", lambda m: heard.update(candidates=m), 1
    )
    while len(heard) < 2:
        rclpy.spin_once(node)
    trajectory, candidates = heard["trajectory"], heard["candidates"]
    told = {
        "frame": trajectory.header.frame_id,
        "stamp": [trajectory.header.stamp.sec, trajectory.header.stamp.nanosec],
        "points": len(trajectory.points),
        "wheel": trajectory.points[20].front_wheel_angle_rad,
        "y": trajectory.points[-1].pose.position.y,
        "names": [info.generator_name.data for info in candidates.generator_info],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
