"""Agents in towns by number: who may see what, oracles above their choosers, the same rows every time."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.evaluate_towns import parse_agents, parse_layouts, report_of
from pair_drive_core.cli.main import app
from pair_drive_core.evaluation.scene_rows import RowTable, read_rows
from pair_drive_core.evaluation.town_agents import TownAgent, plan_agents
from pair_drive_core.evaluation.town_scores import TownEvaluation, evaluate_towns
from pair_drive_core.models import save_checkpoint
from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.planning import pdm_references
from pair_drive_core.scoring import Metric, extended_comfort, score
from pair_drive_core.training.town_shards import MomentConfig, moments_of_town

LAYOUT = 50_003


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, model, {})
    return path


def test_every_agent_has_a_row_a_scene_and_no_chooser_beats_its_oracle(checkpoint):
    wanted = TownEvaluation((LAYOUT,), 4, 3, tuple(TownAgent), checkpoint, simulated_s=9.0, consecutive=True)
    rows = evaluate_towns(wanted)
    assert len(rows) == 4 * len(TownAgent) and {row.layout for row in rows} == {LAYOUT}
    assert all(0.0 <= value <= 1.0 for row in rows for name, value in row.values.items() if name != "EC")
    by = {(row.token, row.agent): row.values for row in rows}
    for token in {row.token for row in rows}:
        for total in ("PDMS", "EPDMS"):
            values = {agent: by[token, agent.value][total] for agent in TownAgent}
            assert values[TownAgent.BEST_LEAF] >= max(values[TownAgent.PAIR], values[TownAgent.IMITATION]) - 1e-6
            assert values[TownAgent.HUMAN_BEST_LEAF] >= max(values[TownAgent.HUMAN_PAIR], values[TownAgent.HUMAN])
    table = RowTable(rows)
    assert_consecutive_plans_are_compared(rows, table)
    assert table.means("human")["PDMS"] > table.means("constant-velocity")["PDMS"]


def assert_consecutive_plans_are_compared(rows, table):
    """EC is 0 or 1 of whoever has plans of his own."""
    oracles = ("best-leaf", "human+best-leaf")
    assert all(math.isnan(row.values["EC"]) for row in rows if row.agent in oracles)
    assert {row.values["EC"] for row in rows if row.agent not in oracles} <= {0.0, 1.0}
    report = report_of(table, "imitation", None)
    assert set(report["comfort"]["pair"]) == {"v1 C", "HC", "EC"}
    assert set(report["comfort"]["best-leaf"]) == {"v1 C", "HC"}
    assert "NaN" not in json.dumps(report["means"])


def test_ec_compares_the_drives_of_two_plans_half_a_second_apart():
    rows = evaluate_towns(
        TownEvaluation((LAYOUT,), 3, 3, (TownAgent.HUMAN,), simulated_s=9.0, consecutive=True, human_filter=False)
    )
    config = MomentConfig(3, 9.0, 3, displaced_share=0.0, full_picture_share=0.0)
    features = FeatureConfig(image_height_px=8, image_width_px=16, lidar_size_px=8)
    for row, moment in zip(rows, moments_of_town(LAYOUT, 3, config, features, consecutive=True), strict=True):
        now, before = moment.scene, moment.before.scene
        assert (now.token, now.time_us - before.time_us) == (row.token, 500_000)
        states = []
        for scene in (now, before):
            plan = scene.human.poses.double().reshape(1, 1, 8, 3)
            states.append(score([scene], plan, reference=pdm_references([scene], Metric.V2)).states[0])
        assert row.values["EC"] == float(extended_comfort(*states, 0.5)[0][0])


def test_the_plan_before_is_gone_on_with_where_changes_cost_most(model, features, reference):
    """At a reward of 1 a metre nothing that is predicted of a leaf 5 m beside outweighs the way there."""
    join = dataclasses.replace(model.config.join, change_cost=1.0)
    beside = reference + torch.tensor([0.0, 5.0, 0.0])
    human = [SimpleNamespace(human=SimpleNamespace(poses=poses)) for poses in reference]
    agents = (TownAgent.PAIR, TownAgent.STEADY_PAIR)
    for previous, followed in ((beside, beside), (None, None)):
        plans = plan_agents(agents, human, features, reference, model.eval(), join, previous).plans
        wanted = plans[TownAgent.PAIR] if followed is None else followed
        torch.testing.assert_close(plans[TownAgent.STEADY_PAIR], wanted)
    with pytest.raises(ValueError, match=r"pair\+before: expected plans of 0.5 s before too"):
        TownEvaluation((LAYOUT,), 4, 3, agents, Path("some.safetensors"))


def test_moments_are_the_same_with_and_without_those_before_them():
    plain, both = (
        evaluate_towns(TownEvaluation((LAYOUT,), 3, 3, (TownAgent.HUMAN,), simulated_s=9.0, consecutive=consecutive))
        for consecutive in (False, True)
    )
    assert [row.token for row in plain] == [row.token for row in both]
    assert [row.values["EPDMS"] for row in plain] == [row.values["EPDMS"] for row in both]


def test_baselines_need_no_checkpoint_and_learned_agents_say_that_they_do():
    rows = evaluate_towns(TownEvaluation((LAYOUT,), 2, 3, (TownAgent.HUMAN, TownAgent.PDM_CLOSED), simulated_s=9.0))
    assert [row.agent for row in rows] == ["human", "pdm-closed"] * 2
    with pytest.raises(ValueError, match="agents pair: expected a checkpoint"):
        TownEvaluation((LAYOUT,), 2, 3, (TownAgent.HUMAN, TownAgent.PAIR))


def test_scenes_are_shared_out_over_the_towns():
    jobs = TownEvaluation((5, 6, 7), 8, 0, (TownAgent.HUMAN,)).jobs()
    assert [(job.layout, job.scenes) for job in jobs] == [(5, 3), (6, 3), (7, 2)]


def test_ranges_and_names():
    assert parse_layouts("1,5-7") == (1, 5, 6, 7)
    for wrong in ("", "a", "7-5", "3-", "-3"):
        with pytest.raises(ValueError, match="--layouts: expected numbers"):
            parse_layouts(wrong)
    assert parse_agents([], learned=False) == (TownAgent.HUMAN, TownAgent.CONSTANT_VELOCITY, TownAgent.PDM_CLOSED)
    assert TownAgent.STEADY_PAIR not in parse_agents([], learned=True)
    assert set(parse_agents([], learned=True, consecutive=True)) == set(TownAgent)
    with pytest.raises(ValueError, match="--agent: expected one of human, "):
        parse_agents(["nobody"], learned=True)


def test_the_command_writes_rows_and_compares_two_runs(tmp_path):
    arguments = ["evaluate", "--layouts", str(LAYOUT), "--seed", "3", "--scenes", "2", "--agent", "human"]
    path, out = tmp_path / "rows.csv", tmp_path / "report.json"
    done = CliRunner().invoke(app, [*arguments, "--rows", str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = read_rows(path)
    assert json.loads(out.read_text())["means"]["human"]["PDMS"] == sum(row.values["PDMS"] for row in rows) / 2
    against = report_of(RowTable(rows), "human", path)["against"]
    assert against["human"]["PDMS"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "scenes": 2}
