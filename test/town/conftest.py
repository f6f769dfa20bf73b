"""One town and ten seconds of its life, shared by the tests that only look at it."""

from __future__ import annotations

import pytest

from pair_drive_core.town import SceneCutter, Town, TownConfig, TownSensors, TownSimulator

LAYOUTS = (0, 4, 20001)


@pytest.fixture(scope="session", params=LAYOUTS)
def town(request: pytest.FixtureRequest) -> Town:
    return Town.build(request.param)


@pytest.fixture(scope="session")
def simulator() -> TownSimulator:
    simulator = TownSimulator(Town.build(1, TownConfig(vehicles=30, demonstrators=8)), 3)
    simulator.run(12.0)
    return simulator


@pytest.fixture(scope="session")
def cutter(simulator: TownSimulator) -> SceneCutter:
    return SceneCutter(simulator)


@pytest.fixture(scope="session")
def sensors(simulator: TownSimulator) -> TownSensors:
    return TownSensors(simulator)
