"""The planner that ships, live on what the town renders, against the same planner without ROS."""

import numpy as np
import pytest
import torch

from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.planner_settings import PlannerSettings
from pair_drive_core.driving.topics import CAMERA_TOPICS, INPUT_TOPICS, InputKind
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.geometry import relative_se2
from pair_drive_core.scene import AgentInput


def publishers(peer):
    from pair_drive_ros.message_types import message_type

    wanted = [e for e in INPUT_TOPICS.values() if e.kind not in (InputKind.COMPRESSED_IMAGE, InputKind.TRANSFORMS)]
    return {e.name: peer.node.create_publisher(message_type(e.kind.value), e.name, 10) for e in wanted}


def town_messages(readings):
    from pair_drive_ros.message_types import ros_message

    time_us = readings.status.time_us
    messages = {
        "driving_command": to_driving_command(ros_message, readings.status.command, time_us, "base_link"),
        "odometry": to_odometry(ros_message, readings.status, readings.yaw_rate, "odom", "base_link"),
        "lidar/points": to_point_cloud(ros_message, readings.lidar, "base_link"),
    }
    for name, image in readings.cameras.items():
        messages[f"{CAMERA_TOPICS[name]}/camera_info"] = to_camera_info(
            ros_message, image.calibration, time_us, "optical"
        )
        messages[f"{CAMERA_TOPICS[name]}/image_raw"] = to_image(ros_message, image, "optical")
    messages["acceleration"] = to_acceleration(ros_message, readings.status, "base_link")
    return messages


def test_the_live_plan_is_the_offline_plan_with_all_its_leaves(planner_process, peer):
    from rosgraph_msgs.msg import Clock

    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.msg import CandidateTrajectories

    planner_process.start(planner="parallel", use_sim_time=True, sensor_reliability="reliable")
    candidates = peer.collect(CandidateTrajectories, "planning/candidates")
    inputs = publishers(peer)
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    readings = TownDrive(20002, 3, image_width_px=240).readings()
    assert peer.spin_until(lambda: all(p.get_subscription_count() for p in (*inputs.values(), clock)), 60)
    peer.spin_for(0.3)
    clock.publish(Clock(clock=to_time(ros_message, readings.status.time_us)))
    peer.spin_for(0.1)
    for topic, message in town_messages(readings).items():
        if topic == "acceleration":
            peer.spin_for(0.3)  # the optional input may come last of all, and still belongs to the plan
        inputs[topic].publish(message)
    assert peer.spin_until(lambda: planner_process.plans and candidates, 20), planner_process.findings()

    offline = PlannerSettings().guarded_planner().plan(AgentInput((readings.status,), readings.cameras, readings.lidar))
    message = planner_process.plans[0]
    assert (message.reason, message.planner) == ("", "pair")
    live = timed_plan(message)
    local = relative_se2(torch.tensor(readings.status.pose), torch.from_numpy(live.poses))
    np.testing.assert_allclose(local[1:], offline.plan.poses, atol=1e-4)
    assert message.score == pytest.approx(offline.plan.score, abs=1e-5)
    leaves = offline.plan.candidates
    assert len(candidates[0].candidates) == leaves.poses.shape[0] > 1
    rewards = [leaf.reward for leaf in candidates[0].candidates]
    np.testing.assert_allclose(rewards, leaves.reward, atol=1e-5)
    assert candidates[0].header.stamp == message.header.stamp
