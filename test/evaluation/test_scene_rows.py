"""Rows by scene: written and read alike, compared pair by pair."""

import numpy as np
import pytest

from pair_drive_core.evaluation.scene_rows import RowTable, SceneRow, bootstrap, read_rows, write_rows


def rows_of(agent, totals):
    return [
        SceneRow(f"s{k}", 7, agent, {"PDMS": total, "EPDMS": total / 2, "NC": 1.0}) for k, total in enumerate(totals)
    ]


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = rows_of("human", [0.25, 1.0]) + rows_of("pair", [0.5, 0.125])
    write_rows(tmp_path / "rows.csv", rows)
    assert read_rows(tmp_path / "rows.csv") == rows


def test_a_gain_is_paired_so_that_hard_scenes_do_not_blur_it():
    """Scenes differ wildly, the agents by exactly 0.1: the interval of the gain has no width, that of a mean has."""
    hardness = np.linspace(0.0, 0.9, 40).tolist()
    table = RowTable(rows_of("a", hardness) + rows_of("b", [value + 0.1 for value in hardness]))
    gain = table.gain("b", "a", "PDMS")
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    mean = table.total("a", "PDMS")
    assert mean.scenes == 40 and mean.low < 0.45 < mean.high and mean.high - mean.low > 0.1


def test_only_scenes_of_both_runs_are_compared():
    now, before = RowTable(rows_of("a", [0.5, 0.5, 0.5])), RowTable(rows_of("a", [0.25, 0.75]))
    gain = now.gain("a", "a", "PDMS", other=before)
    assert gain.scenes == 2 and gain.mean == pytest.approx(0.0)


def test_the_human_bad_subset_is_told_by_the_humans_own_score():
    table = RowTable(rows_of("human", [0.84, 0.86, 0.2]) + rows_of("pair", [1.0, 0.0, 0.5]))
    found = table.total("pair", "PDMS", table.human_bad("PDMS"))
    assert (found.mean, found.scenes) == (0.75, 2)


def test_interval_of_a_fair_coin_by_hand():
    """100 tosses: mean 0.5, standard error 0.05, so the interval is about 0.4 to 0.6."""
    found = bootstrap(np.array([0.0, 1.0] * 50))
    assert (found.low, found.high) == pytest.approx((0.4, 0.6), abs=0.015)


def test_unknown_agents_and_foreign_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="expected one of a, got 'b'"):
        RowTable(rows_of("a", [1.0])).means("b")
    with pytest.raises(ValueError, match="two rows of scene s0"):
        RowTable(rows_of("a", [1.0]) * 2)
    path = tmp_path / "rows.csv"
    path.write_text("token,layout,agent,PDMS,EPDMS\ns0,7,a,1.0\n")
    with pytest.raises(ValueError, match="line 2"):
        read_rows(path)
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match="expected columns token, layout, agent"):
        read_rows(path)
