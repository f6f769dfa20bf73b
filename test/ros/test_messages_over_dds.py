"""The project's own messages between two processes over DDS."""

from pathlib import Path


def test_two_processes_exchange_the_projects_own_messages(peer, start_process):
    from builtin_interfaces.msg import Time

    from pair_drive_ros.msg import CandidateTrajectories, PlannedTrajectory, TrajectoryPoint

    start_process(Path(__file__).with_name("relay_process.py"))
    received = peer.collect(CandidateTrajectories, "candidates")
    publisher = peer.node.create_publisher(PlannedTrajectory, "plan", 1)
    assert peer.spin_until(lambda: publisher.get_subscription_count() == 1, 60)
    assert peer.spin_until(lambda: peer.node.count_publishers("candidates") == 1, 60)

    plan = PlannedTrajectory(source=PlannedTrajectory.REINFORCEMENT, score=0.75, confidence=0.5)
    plan.header.frame_id = "odom"
    plan.header.stamp = Time(sec=12, nanosec=500)
    for x in (0.0, 1.5, 3.25):
        point = TrajectoryPoint()
        point.pose.position.x = x
        plan.points.append(point)
    publisher.publish(plan)

    assert peer.spin_until(lambda: len(received) == 1, 30)
    answer = received[0]
    assert (answer.header.frame_id, answer.header.stamp) == ("odom", Time(sec=12, nanosec=500))
    assert [pose.position.x for pose in answer.candidates[0].poses] == [0.0, 1.5, 3.25]
    assert list(answer.candidates[0].intentions) == [PlannedTrajectory.REINFORCEMENT]
    assert (answer.candidates[0].reward, list(answer.candidates[0].sub_scores)) == (0.75, [0.5])
    assert answer.sub_score_names == ["comfort"]
