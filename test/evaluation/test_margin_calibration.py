"""Margins around a policy and around a human: found in towns, kept in a checkpoint, used where they belong."""

import dataclasses

import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.evaluation.margin_calibration import CalibrationTowns, find_margins, with_margins
from pair_drive_core.evaluation.town_agents import TownAgent
from pair_drive_core.evaluation.town_scores import TownEvaluation, evaluate_towns
from pair_drive_core.models import PairModel, load_checkpoint, save_checkpoint
from pair_drive_core.models.ego_status import EgoStatusConfig
from pair_drive_core.training.calibration import MARGINS

LAYOUT = 40_003


def test_margins_are_found_around_both_and_a_great_one_leaves_the_root_alone(model):
    told = []
    towns = CalibrationTowns((LAYOUT,), scenes=3, seed=3, simulated_s=9.0)
    found = find_margins(model, towns, (0.0, 1.0), lambda *step: told.append(step[:3]))
    assert told == [("calibration", 1, 1)]
    for margin in found.values():
        assert margin.scores[1.0] == pytest.approx(margin.root)
        assert margin.scores[margin.margin] == max(margin.scores.values())
    assert found["human"].root > found["imitation"].root
    told_model = with_margins(model, found)
    assert told_model.config.join.margin == found["imitation"].margin
    assert told_model.config.join.human_margin == found["human"].margin
    with pytest.raises(ValueError, match=r"scenes: expected at least one a town \(2\), got 1"):
        CalibrationTowns((1, 2), scenes=1)


def test_the_humans_margin_holds_around_the_human_alone(model, tmp_path):
    agents = (TownAgent.HUMAN, TownAgent.IMITATION, TownAgent.PAIR, TownAgent.HUMAN_PAIR)
    rows = {}
    for name, margins in {"never": (0.0, 1.0), "always": (0.0, None)}.items():
        join = dataclasses.replace(model.config.join, margin=margins[0], human_margin=margins[1])
        model.config = dataclasses.replace(model.config, join=join)
        save_checkpoint(tmp_path / name, model, {})
        wanted = TownEvaluation((LAYOUT,), 3, 3, agents, tmp_path / name, simulated_s=9.0)
        rows[name] = {(row.token, row.agent): row.values for row in evaluate_towns(wanted)}
    tokens = {token for token, _ in rows["never"]}
    assert all(rows["never"][t, "human+pair"] == rows["never"][t, "human"] for t in tokens)
    assert any(rows["always"][t, "human+pair"] != rows["always"][t, "human"] for t in tokens)
    assert all(rows["always"][t, "pair"] == rows["never"][t, "pair"] for t in tokens)


def test_the_command_joins_two_checkpoints_and_writes_down_what_it_found(model, tmp_path):
    torch.manual_seed(1)
    other = PairModel(dataclasses.replace(model.config, imitation=EgoStatusConfig(hidden=8)))
    branch, policy, out = (tmp_path / f"{name}.safetensors" for name in ("branch", "policy", "out"))
    save_checkpoint(branch, model, {"seed": 7})
    save_checkpoint(policy, other, {})
    options = ["--layouts", str(LAYOUT), "--scenes", "2", "--out", str(out)]
    arguments = ["calibrate", "--checkpoint", str(branch), "--imitation", str(policy), *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    written = load_checkpoint(out)
    assert written.model.config.imitation.kind == "ego_status"
    assert {written.model.config.join.margin, written.model.config.join.human_margin} <= set(MARGINS)
    assert written.training["joined"] == {"imitation": "policy.safetensors", "reinforcement": "branch.safetensors"}
    assert written.training["seed"] == 7
    assert written.training["margins"]["human"]["margin"] == written.model.config.join.human_margin
