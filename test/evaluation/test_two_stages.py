"""Two stages end to end on a town: written by us, scored as the official script scores them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.datasets.navsim.second_stage_writer import SECOND_STAGE_FOLDER
from pair_drive_core.datasets.navsim.submissions import read_submission
from pair_drive_core.datasets.navsim.synthetic_scenes import read_synthetic_scene
from pair_drive_core.town.data.navsim_export import TownExport, export_towns

OFFICIAL = Path(__file__).parent.parent / "golden" / "devkit"


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False).output


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    export_towns(TownExport((20001,), 1, vehicles=1, seconds=10.5, sensors=False), root)
    output = run("navsim", "second-stage", "--data", root, "--split", root / "train_test_split" / "towntest.yaml")
    assert "1 groups, 6 second-stage scenes" in output
    return root


@pytest.fixture(scope="module")
def split(data):
    return data / "train_test_split" / "towntest_two_stage.yaml"


def test_second_stage_scenes_move_the_ego_and_nobody_else(data, split):
    benchmark = read_split(split)
    group = benchmark.groups[0]
    follower = read_synthetic_scene(data / SECOND_STAGE_FOLDER / f"{group.second[0][0]}.pkl")
    dataset = NavsimDataset(NavsimFolders.of(data, benchmark.data_split), benchmark.scene_filter)
    first = dataset.window(group.now)
    assert follower.original_token == first.frames[-1].token
    made = follower.scene(dataset.map_index(follower.map_location)).validate()
    assert len(made.token) == 17
    assert made.human is None
    recorded = first.frames[-1]
    offset = made.ego.pose[:2].numpy() - recorded.ego_translation[:2]
    assert np.hypot(*offset) == pytest.approx(0.3, abs=1e-9)
    scene = dataset.scene(group.now)
    common = set(made.objects.tokens) & set(scene.objects.tokens)
    assert common
    for token in common:
        then = scene.objects.states[8, scene.objects.tokens.index(token)]
        now = made.objects.states[0, made.objects.tokens.index(token)]
        if bool(scene.objects.present[8, scene.objects.tokens.index(token)]) and bool(now.any()):
            torch.testing.assert_close(now[:2], then[:2], atol=1e-6, rtol=0)


def test_both_stages_score_as_officially(data, split, tmp_path):
    """Plans of constant velocity, both stages in IDM traffic; the table is that of the unmodified `run_pdm_score`."""
    arguments = ("--data", data, "--split", split, "--synthetic-scenes", data / SECOND_STAGE_FOLDER)
    assert "2 plans, 6 in the second stage" in run("evaluate", *arguments, "--submission", tmp_path / "a.pkl")
    submission = read_submission(tmp_path / "a.pkl")
    assert (len(submission.first), len(submission.second)) == (2, 6)
    output = run("score", tmp_path / "a.pkl", *arguments, "--csv", tmp_path / "a.csv", "--out", tmp_path / "a.json")
    assert "two-stage, human filter fixed, normalisation single, traffic idm" in output
    assert_same_table((tmp_path / "a.csv").read_text(), (OFFICIAL / "two_stage_constant_velocity.csv").read_text())
    aggregates = json.loads((tmp_path / "a.json").read_text())["planners"][0]["aggregates"]
    assert set(aggregates) == {"stage one", "stage two", "combined"}


def test_a_second_stage_is_never_left_out_in_silence(data, split):
    with pytest.raises(ValueError, match=r"has a second stage.*--synthetic-scenes.*another benchmark"):
        run("evaluate", "--data", data, "--split", split)
    output = run("evaluate", "--data", data, "--split", split, "--one-stage")
    assert "one-stage" in output
    assert "EPDMS on 2 scenes" in output


def assert_same_table(ours, official):
    def rows(text):
        return {row["token"]: row for row in csv.DictReader(text.splitlines())}

    ours, official = rows(ours), rows(official)
    assert set(ours) == set(official)
    for token, row in official.items():
        assert set(ours[token]) == set(row)
        for name, text in row.items():
            if name in ("", "token", "valid"):
                continue
            assert (ours[token][name] == "") == (text == ""), (token, name)
            if text:
                loose = 1e-6 if "progress" in name or name == "score" or token.startswith("extended") else 0.0
                assert float(ours[token][name]) == pytest.approx(float(text), abs=loose), (token, name)
