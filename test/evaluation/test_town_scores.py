"""Agents in towns by number: who may see what, oracles above their choosers, the same rows every time."""

import json

import pytest
from typer.testing import CliRunner

from pair_drive_core.cli.evaluate_towns import parse_agents, parse_layouts, report_of
from pair_drive_core.cli.main import app
from pair_drive_core.evaluation.scene_rows import RowTable, read_rows
from pair_drive_core.evaluation.town_agents import TownAgent
from pair_drive_core.evaluation.town_scores import TownEvaluation, evaluate_towns
from pair_drive_core.models import save_checkpoint

LAYOUT = 50_003


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, model, {})
    return path


def test_every_agent_has_a_row_a_scene_and_no_chooser_beats_its_oracle(checkpoint):
    rows = evaluate_towns(TownEvaluation((LAYOUT,), 4, 3, tuple(TownAgent), checkpoint, simulated_s=9.0))
    assert len(rows) == 4 * len(TownAgent) and {row.layout for row in rows} == {LAYOUT}
    assert all(0.0 <= value <= 1.0 for row in rows for value in row.values.values())
    by = {(row.token, row.agent): row.values for row in rows}
    for token in {row.token for row in rows}:
        for total in ("PDMS", "EPDMS"):
            values = {agent: by[token, agent.value][total] for agent in TownAgent}
            assert values[TownAgent.BEST_LEAF] >= max(values[TownAgent.PAIR], values[TownAgent.IMITATION]) - 1e-6
            assert values[TownAgent.HUMAN_BEST_LEAF] >= max(values[TownAgent.HUMAN_PAIR], values[TownAgent.HUMAN])
    table = RowTable(rows)
    assert table.means("human")["PDMS"] > table.means("constant-velocity")["PDMS"]


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
