"""The other process of the message test: answers each PlannedTrajectory with CandidateTrajectories built from it."""

import rclpy

from pair_drive_ros.msg import CandidateTrajectories, CandidateTrajectory, PlannedTrajectory


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("relay")
    publisher = node.create_publisher(CandidateTrajectories, "candidates", 1)

    def answer(plan: PlannedTrajectory) -> None:
        message = CandidateTrajectories(header=plan.header, sub_score_names=["comfort"], imitation_index=0)
        leaf = CandidateTrajectory(poses=[point.pose for point in plan.points], intentions=[plan.source])
        leaf.reward, leaf.sub_scores = plan.score, [plan.confidence]
        message.candidates = [leaf]
        publisher.publish(message)

    node.create_subscription(PlannedTrajectory, "plan", answer, 1)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
