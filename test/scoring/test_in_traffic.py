"""EPDMS in each of the official traffic policies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric, score
from pair_drive_core.scoring.in_traffic import score_in_traffic
from pair_drive_core.simulation.traffic import LogReplayTraffic
from pair_drive_core.simulation.traffic_constant_velocity import ConstantVelocityTraffic
from pair_drive_core.simulation.traffic_idm import IdmTraffic

POLICIES = {"log": LogReplayTraffic(), "cv": ConstantVelocityTraffic(), "idm": IdmTraffic()}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["0005", "0006", "0012"])
def test_sub_scores_are_the_official_ones(traffic_case, name, policy):
    case = traffic_case(name)
    scores = score_in_traffic(case.scene, case.plans, POLICIES[policy])
    np.testing.assert_allclose(scores.unfiltered[:, 0], case.arrays[f"{policy}_sub_raw"], atol=1e-6)
    np.testing.assert_allclose(scores.sub[:, 0], case.arrays[f"{policy}_sub"], atol=1e-6)


def test_log_replay_is_the_plain_score(traffic_case):
    case = traffic_case("0012")
    ours = score_in_traffic(case.scene, case.plans, LogReplayTraffic(), torch.tensor([1.0, float("nan")]))
    comfort = torch.tensor([[1.0, float("nan")]], dtype=torch.float64)
    plain = score([case.scene], case.plans[None], Metric.V2, extended_comfort=comfort)
    torch.testing.assert_close(ours.total[:, 0], plain.total[0])


def test_each_plan_is_scored_alone(traffic_case):
    case = traffic_case("0006")
    both = score_in_traffic(case.scene, case.plans, IdmTraffic())
    for i in range(2):
        alone = score_in_traffic(case.scene, case.plans[i : i + 1], IdmTraffic())
        torch.testing.assert_close(alone.total[0], both.total[i])


def test_without_a_demonstration_nothing_is_filtered(traffic_case):
    case = traffic_case("0005")
    scores = score_in_traffic(replace(case.scene, human=None), case.plans, ConstantVelocityTraffic())
    torch.testing.assert_close(scores.sub, scores.unfiltered)


def test_bad_plans_are_refused(traffic_case):
    scene = traffic_case("0005").scene
    with pytest.raises(SceneError, match="at least one plan"):
        score_in_traffic(scene, torch.zeros(0, 8, 3), LogReplayTraffic())
    with pytest.raises(SceneError, match="expected shape"):
        score_in_traffic(scene, torch.zeros(1, 7, 3), LogReplayTraffic())
    with pytest.raises(SceneError, match="finite"):
        score_in_traffic(scene, torch.full((1, 8, 3), float("inf")), LogReplayTraffic())
