"""Scenes in quantity: town after town, moments spread over each town's life and its demonstrators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pair_drive_core.scene import EgoStatus, Scene
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS, SceneCutter
from pair_drive_core.town.data.splits import TownSplit, town_of
from pair_drive_core.town.traffic.simulator import Town, TownConfig, TownSimulator


@dataclass(frozen=True)
class TownScene:
    """A scene and what the driver knew.

    Attributes:
        scene: ground truth.
        status: of the ego at t0, with where the route goes.
    """

    scene: Scene
    status: EgoStatus


def scenes_of_town(split: TownSplit, number: int, count: int, config: TownConfig | None = None) -> Iterator[TownScene]:
    """Scenes of the n-th town of a split, always the same.

    Args:
        split: which towns.
        number: which of them.
        count: scenes to take.
        config: what towns hold.

    Yields:
        Scenes in random order, no two of one vehicle less than half a second apart.
    """
    cutter, moments, rng = _moments_of_town(split, number, count, config)
    for index in rng.permutation(len(moments))[:count]:
        step, vehicle = moments[int(index)]
        yield TownScene(cutter.scene_at(step, vehicle), cutter.status_at(step, vehicle)[-1])


def scene_pairs_of_town(
    split: TownSplit, number: int, count: int, config: TownConfig | None = None
) -> Iterator[tuple[TownScene, Scene | None]]:
    """The scenes of `scenes_of_town`, each with the one of half a second before.

    Args:
        split: which towns.
        number: which of them.
        count: scenes to take.
        config: what towns hold.

    Yields:
        The scene, and the earlier one; None where the town's life does not reach back that far.
    """
    cutter, moments, rng = _moments_of_town(split, number, count, config)
    for index in rng.permutation(len(moments))[:count]:
        step, vehicle = moments[int(index)]
        before = step - KEY_FRAME_STEPS
        earlier = cutter.scene_at(before, vehicle) if before in cutter.steps else None
        yield TownScene(cutter.scene_at(step, vehicle), cutter.status_at(step, vehicle)[-1]), earlier


def _moments_of_town(
    split: TownSplit, number: int, count: int, config: TownConfig | None
) -> tuple[SceneCutter, list[tuple[int, int]], np.random.Generator]:
    """A town after its life, the (step, vehicle) that scenes can be taken from, and the source of randomness."""
    layout, seed = town_of(split, number)
    rng = np.random.default_rng([layout, seed, 8])
    simulator = TownSimulator(Town.build(layout, config), seed)
    demonstrators = int(simulator.fleet.demonstrator.sum())
    steps_each = -(-count // demonstrators)
    simulator.run(6.6 + max(2.0 * steps_each, 12.0))
    cutter = SceneCutter(simulator)
    steps = cutter.steps[::KEY_FRAME_STEPS]
    return cutter, [(step, vehicle) for step in steps for vehicle in range(demonstrators)], rng
