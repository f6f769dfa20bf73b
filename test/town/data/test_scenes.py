from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.geometry import points_in_polygon, relative_se2
from pair_drive_core.scene import DrivingCommand, MapLayer, ObjectType, Scene, SceneError
from pair_drive_core.scoring import Metric, score
from pair_drive_core.town import SceneCutter, TownConfig, TownSimulator
from pair_drive_core.town.data.archive import make_archive
from pair_drive_core.town.data.splits import LAYOUTS, TownSplit, town_of
from pair_drive_core.town.data.town_scenes import TownScene, scene_pairs_of_town, scenes_of_town

GOLDEN = Path(__file__).parents[2] / "golden" / "town_scenes.json"
DECIMALS = 4
"""Sines differ in their last bit between processors; what a scene says does not."""


@pytest.fixture(scope="module")
def scenes(cutter: SceneCutter) -> list[Scene]:
    return [cutter.scene_at(step, vehicle) for step in cutter.steps[::13] for vehicle in range(4)]


def test_scenes_are_valid(scenes: list[Scene]) -> None:
    for scene in scenes:
        scene.validate()
        assert scene.objects.states.shape[0] == 11
        assert scene.objects.interval_s == 0.5
        assert scene.lights.red.shape[0] == 41
        assert scene.history.pose.shape == (4, 3)
        assert scene.history.time_us.diff().tolist() == [500_000] * 3


def test_history_ends_at_the_ego_and_the_human_goes_on_from_there(
    cutter: SceneCutter, simulator: TownSimulator
) -> None:
    step = cutter.steps[7]
    scene = cutter.scene_at(step, 2)
    assert torch.equal(scene.history.pose[-1], scene.ego.pose)
    later = torch.from_numpy(simulator.moments[step + 40].pose[2])
    assert scene.human is not None
    assert torch.allclose(scene.human.poses[-1], relative_se2(scene.ego.pose, later), atol=1e-5)


def test_the_ego_is_no_object_of_its_own_scene(cutter: SceneCutter, simulator: TownSimulator) -> None:
    scene = cutter.scene_at(cutter.steps[0], 1)
    center = scene.ego.pose[:2] + 1.461 * torch.stack((scene.ego.pose[2].cos(), scene.ego.pose[2].sin()))
    present = scene.objects.present[0]
    distance = (scene.objects.states[0, present, :2] - center).norm(dim=-1)
    assert float(distance.min()) > 1.5
    assert 1 not in cutter.seen_at(cutter.steps[0], 1)


def test_the_ego_stands_on_the_drivable_area_and_on_its_route(scenes: list[Scene]) -> None:
    for scene in scenes:
        if scene.flaws:
            continue
        layers = scene.map.layers.tolist()
        drivable = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA)
        rings = [scene.map.rings[i] for i, layer in enumerate(layers) if layer in drivable]
        assert any(bool(points_in_polygon(scene.ego.pose[:2], ring)) for ring in rings)
        route = [scene.map.rings[i] for i in scene.map.on_route.nonzero()[:, 0].tolist()]
        assert any(bool(points_in_polygon(scene.ego.pose[:2], ring)) for ring in route)


def test_the_centerline_runs_ahead_of_the_ego(scenes: list[Scene]) -> None:
    for scene in scenes:
        local = relative_se2(scene.ego.pose, scene.route.centerline)
        assert float(local[:, :2].norm(dim=-1).min()) < 4.5
        length = scene.route.centerline[:, :2].diff(dim=0).norm(dim=-1).sum()
        assert float(length) > 60.0


def test_red_lights_are_on_the_route_and_held_for_half_a_second(scenes: list[Scene]) -> None:
    assert any(scene.lights.tokens for scene in scenes)
    for scene in scenes:
        assert set(scene.lights.tokens) <= set(scene.route.lane_tokens)
        held = scene.lights.red[:40].reshape(8, 5, -1)
        assert bool((held == held[:, :1]).all())


def test_all_classes_of_object_occur() -> None:
    found: set[int] = set()
    for number in range(3):
        for made in scenes_of_town(TownSplit.TRAIN, number, 24):
            found |= set(made.scene.objects.types.tolist())
    assert found == {int(kind) for kind in ObjectType}


def test_commands_of_turning_drives(cutter: SceneCutter, simulator: TownSimulator) -> None:
    """Who turns far within the plan was told so."""
    turned = 0
    for step in cutter.steps[::4]:
        for vehicle in range(8):
            human = cutter.scene_at(step, vehicle).human
            assert human is not None
            change = float(human.poses[-1, 2])
            if abs(change) > 0.8:
                turned += 1
                expected = DrivingCommand.LEFT if change > 0 else DrivingCommand.RIGHT
                assert cutter.command_at(step, vehicle) is expected
    assert turned > 0


@pytest.mark.parametrize(("step", "vehicle"), [(0, 0), (10_000, 0), (20, 29)])
def test_moments_without_past_future_or_demonstrator_are_refused(cutter: SceneCutter, step: int, vehicle: int) -> None:
    with pytest.raises(SceneError, match="expected"):
        cutter.scene_at(step, vehicle)


def test_human_does_not_run_red_lights_when_careful(cutter: SceneCutter) -> None:
    made = [t.scene for t in scenes_of_town(TownSplit.VAL, 1, 24, TownConfig(flaw_rate=0.0))]
    plans = torch.stack([s.human.poses for s in made if s.human is not None])[:, None]
    reference = torch.stack([s.ego.pose.expand(41, 3) for s in made])
    found = score(made, plans, Metric.V2, reference=reference)
    assert float(found.sub[..., found.names.index("TLC")].mean()) > 0.95


def scene_hash(made: TownScene) -> str:
    """Of everything in a scene, rounded, and of what the driver knew."""
    scene, status = made.scene, made.status
    assert scene.human is not None
    digest = hashlib.sha256("|".join((scene.token, *scene.map.tokens, *scene.objects.tokens, *scene.flaws)).encode())
    command = np.eye(4)[int(status.command)]
    known = torch.from_numpy(np.concatenate((command, status.velocity, status.acceleration)).astype(np.float32))
    tensors = (
        scene.ego.to_vector(), scene.history.pose, scene.objects.states, scene.objects.sizes, scene.map.rings.points,
        scene.route.centerline, scene.lights.red, scene.human.poses, known,
    )  # fmt: skip
    for tensor in tensors:
        rounded = np.round(tensor.to(torch.float64).numpy(), DECIMALS) + 0.0
        digest.update(rounded.tobytes())
    return digest.hexdigest()


def golden_scenes() -> dict[str, str]:
    found = {}
    for split in TownSplit:
        for made in scenes_of_town(split, 0, 3):
            found[f"{split.value}/{made.scene.token}"] = scene_hash(made)
    return found


def test_a_fixed_set_of_scenes_comes_out_the_same_everywhere() -> None:
    assert golden_scenes() == json.loads(GOLDEN.read_text())


def test_a_scene_and_the_one_before_are_half_a_second_apart() -> None:
    pairs = list(scene_pairs_of_town(TownSplit.VAL, 0, 30))
    plain = [made.scene.token for made in scenes_of_town(TownSplit.VAL, 0, 30)]
    assert [now.scene.token for now, _ in pairs] == plain
    earlier = [(now.scene, before) for now, before in pairs if before is not None]
    assert 0 < len(earlier) < 30
    for now, before in earlier:
        assert now.time_us - before.time_us == 500_000
        assert torch.equal(now.history.pose[-2], before.ego.pose)


def test_splits_share_no_town_and_no_seed() -> None:
    towns = {split: {town_of(split, n) for n in range(2_500)} for split in TownSplit}
    for split, pairs in towns.items():
        layouts = LAYOUTS[split]
        assert all(layouts.first <= layout < layouts.first + layouts.count for layout, _ in pairs)
    lives = [{seed for _, seed in pairs} for pairs in towns.values()]
    assert not (lives[0] & lives[1] or lives[1] & lives[2] or lives[0] & lives[2])
    ranges = sorted((seeds.first, seeds.first + seeds.count) for seeds in LAYOUTS.values())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))


def test_an_archive_is_completed_repaired_and_read_back(tmp_path: Path) -> None:
    config = TownConfig(vehicles=20, demonstrators=6)

    def make(scenes: int) -> tuple[int, int, int]:
        report = make_archive(tmp_path, TownSplit.VAL, scenes, config)
        assert report.scenes == scenes
        return report.made, report.kept, report.rebuilt

    assert make(6) == (6, 0, 0)
    assert make(6) == (0, 1, 0)
    first = next(tmp_path.glob("*.scenes"))
    content = first.read_bytes()
    first.write_bytes(content[:-100])
    assert make(6) == (6, 0, 1)
    assert first.read_bytes() == content
    cache = SceneCache(tmp_path)
    again = list(scenes_of_town(TownSplit.VAL, 0, 6, config))
    assert cache.tokens == tuple(t.scene.token for t in again)
    assert torch.equal(cache[2].objects.states, again[2].scene.objects.states)
