import io

import numpy as np
import pytest
import torch
from PIL import Image

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.evaluation.plots import PictureBook, Sight, camera_with_plan, project_ground, scene_picture
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import AgentInput, CameraImage, DrivingCommand, EgoStatus
from pair_drive_core.town import navsim_calibration


def camera(name="CAM_F0"):
    calibration = navsim_calibration(name).scaled(480, 270)
    return CameraImage(calibration, np.zeros((270, 480, 3), np.uint8), 0)


def plan(turn=0.0, source=PlanSource.IMITATION):
    poses = torch.zeros(8, 3)
    poses[:, 0] = 2.5 * torch.arange(1, 9)
    poses[:, 2] = turn * torch.linspace(0, 1, 8)
    leaves = CandidateTrajectories(
        poses=torch.stack((poses, poses * torch.tensor([1.0, 1.0, 1.0]))),
        intentions=torch.zeros(2, 1, dtype=torch.int64),
        log_prob=torch.zeros(2),
        reward=torch.tensor([0.2, 0.9]),
        confidence=torch.ones(2),
        sub_scores=torch.ones(2, 1),
        sub_score_names=("NC",),
        imitation_index=0,
    )
    return GuardedPlan(Plan(poses, source, 0.9, 1.0, leaves), "", False, 0.01)


def agent_input(time_us=0):
    status = EgoStatus(time_us, np.zeros(3), np.array([5.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), {name: camera(name) for name in ("CAM_L0", "CAM_F0", "CAM_R0")}, None)


def test_the_ground_ahead_projects_into_the_lower_middle_of_the_front_camera():
    pixels, in_front = project_ground(camera(), np.array([[20.0, 0.0], [20.0, 2.0], [-5.0, 0.0]]))
    assert in_front.tolist() == [True, True, False]
    assert pixels[0, 0] == pytest.approx(240.0)
    assert 140 < pixels[0, 1] < 270, "below the horizon"
    assert pixels[1, 0] < pixels[0, 0], "left in the world is left in the picture"


def test_the_plan_is_drawn_into_the_front_picture_and_not_into_the_original():
    picture = camera()
    drawn = camera_with_plan(picture, plan())
    assert drawn.any() and not picture.rgb.any()
    assert drawn[-1, 240].tolist() == [30, 110, 230]


def test_a_picture_is_made_with_and_without_ground_truth(town_recording):
    step = town_recording.cutter.steps[0]
    scene = town_recording.cutter.scene_at(step)
    for truth in (None, scene):
        png = scene_picture(Sight(agent_input(), plan()), truth)
        assert Image.open(io.BytesIO(png)).size == (1200, 990)


def test_the_picture_book_keeps_telling_moments_apart_from_each_other():
    book = PictureBook(capacity=2, apart_s=5.0)
    for second, turn in enumerate((0.0, 0.1, 0.9, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5)):
        book.consider(agent_input(second * 1_000_000), plan(turn))
    assert [sight.agent_input.now.time_us for sight in book.best(2, {})] == [2_000_000, 9_000_000]
    assert [sight.agent_input.now.time_us for sight in book.best(1, {9_000_000: None})] == [9_000_000]
