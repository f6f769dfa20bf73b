from __future__ import annotations

import numpy as np
import pytest

from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric
from pair_drive_core.town import TownConfig
from pair_drive_core.town.data.splits import TownSplit
from pair_drive_core.town.data.statistics import PLANNERS, ScoredScenes, score_split, town_statistics


def scored(column: dict[str, list[float]], flaws: tuple[tuple[str, ...], ...]) -> ScoredScenes:
    """The same values for all planners and both metrics."""
    repeated = {name: np.repeat(np.array(values)[:, None], 3, axis=1) for name, values in column.items()}
    count = len(flaws)
    columns = dict.fromkeys(Metric, repeated)
    return ScoredScenes(columns, ("left",) * count, np.linspace(0.0, 12.0, count), flaws)


def test_shares_and_means_over_parts_and_what_never_occurs() -> None:
    parts = [
        scored({"NC": [1.0, 0.5], "EC": [np.nan, 0.0], "total": [0.9, 0.2]}, ((), ("clip",))),
        scored({"NC": [1.0, 1.0], "EC": [1.0, 1.0], "total": [0.9, 1.0]}, ((), ())),
    ]
    found = town_statistics(parts)
    collisions, comfort, total = found.values[Metric.V2]["human"]
    assert (collisions.mean, collisions.zero, collisions.between, collisions.one) == (0.875, 0.0, 0.25, 0.75)
    assert comfort.mean == pytest.approx(2 / 3), "a scene without an earlier frame has no say"
    assert total.not_taken == comfort.not_taken == ()
    assert collisions.not_taken == ("0",)
    assert "v1 PDM-Closed NC = 0" in found.not_taken
    assert len(found.not_taken) == 2 * len(PLANNERS)
    assert found.flaws == {"any": 0.25, "clip": 0.25}
    assert found.flawed_total[Metric.V1] == (0.2, pytest.approx(14 / 15))
    assert found.human_bad[Metric.V1] == 0.25


def test_no_scenes_are_refused() -> None:
    with pytest.raises(SceneError, match="at least one scene"):
        town_statistics([])


def test_the_human_scores_well_and_constant_velocity_badly() -> None:
    seen: list[tuple[int, int]] = []
    found = score_split(TownSplit.VAL, 40, TownConfig(flaw_rate=0.0), progress=lambda *now: seen.append(now))
    totals = {planner: columns[-1].mean for planner, columns in found.values[Metric.V1].items()}
    assert tuple(totals) == PLANNERS
    assert totals["human"] > 0.88
    assert totals["human"] > totals["constant velocity"] + 0.15
    assert totals["PDM-Closed"] > 0.8
    assert {values.name for values in found.values[Metric.V2]["human"]} >= {"NC", "TLC", "EC", "total"}
    assert seen == [(24, 40), (40, 40)]
