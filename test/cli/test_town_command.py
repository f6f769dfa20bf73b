from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.datasets.cache.scene_cache import SceneCache

runner = CliRunner()


def run(*arguments: str) -> str:
    result = runner.invoke(app, ["town", *arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_make_writes_an_archive_and_a_second_run_keeps_it(tmp_path: Path) -> None:
    arguments = ("make", "--split", "val", "--scenes", "5", "--out", str(tmp_path), "--workers", "1")
    assert "5 scenes of val; 5 made" in run(*arguments)
    assert len(SceneCache(tmp_path)) == 5
    assert "0 made" in run(*arguments)


def test_another_recipe_rebuilds(tmp_path: Path) -> None:
    arguments = ("make", "--split", "val", "--scenes", "4", "--out", str(tmp_path), "--workers", "1")
    run(*arguments)
    assert "1 rebuilt" in run(*arguments, "--flaw-rate", "0.2")


def test_sheet_is_a_picture(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    run("sheet", "--scenes", "2", "--out", str(out))
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape[1] > 2000


def test_histograms_name_every_planner_and_sub_score() -> None:
    text = run("histograms", "--split", "val", "--scenes", "12")
    for word in (
        "human",
        "constant velocity",
        "PDM-Closed",
        "NC",
        "DAC",
        "DDC",
        "TLC",
        "EP",
        "TTC",
        "LK",
        "EC",
        "values never taken",
        "commands",
        "speed",
    ):
        assert word in text, word


@pytest.mark.parametrize(
    "arguments",
    [
        ("make", "--split", "nowhere", "--out", "x"),
        ("make", "--scenes", "0", "--out", "x"),
        ("make",),
        ("sheet", "--scenes", "0"),
    ],
)
def test_bad_arguments_end_with_code_2_and_write_nothing(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["town", *arguments])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    result = runner.invoke(app, ["town", "make", "--scenes", "1", "--out", str(taken), "--workers", "1"])
    assert isinstance(result.exception, OSError)
    assert taken.read_text() == "mine"
