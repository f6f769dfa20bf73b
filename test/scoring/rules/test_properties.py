"""What must not change a score.

Vectorised instructions may round the last bit of a number differently from scalar ones, and which numbers get which
hangs on their place in memory: hence 1e-12 instead of equality where the place changes.
"""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scene import MapLayer, PackedRings, Route, Trajectory
from pair_drive_core.scoring import HumanFilter, Metric, prepare_scenes, score

GOLDEN = Path(__file__).parents[2] / "golden" / "vectors"
NAMES = ("scene_0015", "scene_0055", "scene_0165", "scene_0313")


@pytest.fixture(scope="module")
def files():
    return [read_vector_file(GOLDEN / f"{name}.npz") for name in NAMES]


def assert_same(a, b, tolerance=1e-7):
    torch.testing.assert_close(a.sub, b.sub, rtol=0, atol=tolerance)
    torch.testing.assert_close(a.total, b.total, rtol=0, atol=tolerance)
    assert torch.equal(a.step, b.step)
    assert torch.equal(a.cause, b.cause)
    assert torch.equal(a.valid, b.valid)


def moved(scene, turn, shift):
    """The same scene somewhere else, turned about the origin of the map."""
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    shift = torch.tensor(shift, dtype=torch.float64)
    center = scene.ego.pose[:2].clone()

    def place(xy):
        return (xy - center) @ rotation.T + center + shift

    def pose(p):
        return torch.cat((place(p[..., :2]), p[..., 2:] + turn), dim=-1)

    def rings(r):
        return PackedRings(place(r.points), r.offsets)

    states = torch.cat((pose(scene.objects.states[..., :3]), scene.objects.states[..., 3:] @ rotation.T), dim=-1)
    states = torch.where(scene.objects.present[..., None], states, 0.0)
    return dataclasses.replace(
        scene,
        ego=dataclasses.replace(scene.ego, pose=pose(scene.ego.pose)),
        history=dataclasses.replace(scene.history, pose=pose(scene.history.pose)),
        objects=dataclasses.replace(scene.objects, states=states),
        map=dataclasses.replace(scene.map, rings=rings(scene.map.rings)),
        route=Route(scene.route.lane_tokens, pose(scene.route.centerline)),
        lights=dataclasses.replace(scene.lights, rings=rings(scene.lights.rings)),
        reference=pose(scene.reference),
    )


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(("turn", "shift"), [(0.0, (1234.5, -987.25)), (0.7, (0.0, 0.0)), (-2.5, (5e5, 4e6))])
def test_moving_and_turning_the_whole_scene(files, metric, turn, shift, backend):
    for file in files:
        scene = file.scene(metric)
        here = score([scene], file.candidates[None], metric, backend=backend)
        there = score([moved(scene, turn, shift)], file.candidates[None], metric, backend=backend)
        assert_same(here, there, tolerance=1e-5)


@pytest.mark.parametrize("metric", list(Metric))
def test_order_of_candidates(files, metric, backend):
    for file in files:
        plans = file.candidates[None]
        order = torch.randperm(plans.shape[1], generator=torch.Generator().manual_seed(1))
        straight = score([file.scene(metric)], plans, metric, backend=backend)
        shuffled = score([file.scene(metric)], plans[:, order], metric, backend=backend)
        torch.testing.assert_close(straight.sub[:, order], shuffled.sub, rtol=0, atol=1e-12)
        torch.testing.assert_close(straight.total[:, order], shuffled.total, rtol=0, atol=1e-12)
        assert torch.equal(straight.cause[:, order], shuffled.cause)


@pytest.mark.parametrize("metric", list(Metric))
def test_order_of_agents_and_polygons(files, metric, backend):
    for file in files:
        scene = file.scene(metric)
        generator = torch.Generator().manual_seed(2)
        agents = torch.randperm(len(scene.objects.tokens), generator=generator)
        objects = dataclasses.replace(
            scene.objects,
            tokens=tuple(scene.objects.tokens[i] for i in agents),
            types=scene.objects.types[agents],
            sizes=scene.objects.sizes[agents],
            states=scene.objects.states[:, agents],
            present=scene.objects.present[:, agents],
        )
        order = torch.randperm(len(scene.map.tokens), generator=generator)
        polygons = dataclasses.replace(
            scene.map,
            tokens=tuple(scene.map.tokens[i] for i in order),
            layers=scene.map.layers[order],
            on_route=scene.map.on_route[order],
            rings=PackedRings.from_sequences([scene.map.rings[i] for i in order]),
        )
        other = dataclasses.replace(scene, objects=objects, map=polygons)
        a = score([scene], file.candidates[None], metric, backend=backend)
        b = score([other], file.candidates[None], metric, backend=backend)
        torch.testing.assert_close(a.sub, b.sub, rtol=0, atol=1e-12)
        assert torch.equal(a.step, b.step)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_company_of_other_scenes(files, metric, dtype, backend):
    """Ragged scenes in one call give what each gives alone."""
    count = min(file.candidates.shape[0] for file in files)
    plans = torch.stack([file.candidates[:count] for file in files]).to(dtype)
    together = score([file.scene(metric) for file in files], plans, metric, backend=backend)
    for i, file in enumerate(files):
        alone = score([file.scene(metric)], plans[i : i + 1], metric, backend=backend)
        tolerance = 1e-12 if dtype == torch.float64 else 1e-5
        torch.testing.assert_close(together.sub[i], alone.sub[0], rtol=0, atol=tolerance)
        assert torch.equal(together.step[i], alone.step[0]) and torch.equal(together.cause[i], alone.cause[0])


@pytest.mark.parametrize("metric", list(Metric))
def test_company_of_other_candidates(files, metric, backend):
    """Normalised singly, plans scored together get exactly what each gets alone."""
    file = files[2]
    together = score([file.scene(metric)], file.candidates[None], metric, backend=backend)
    for k in range(file.candidates.shape[0]):
        alone = score([file.scene(metric)], file.candidates[None, k : k + 1], metric, backend=backend)
        torch.testing.assert_close(together.sub[:, k : k + 1], alone.sub, rtol=0, atol=1e-12)


def test_one_and_a_thousand_candidates_agree(files, backend):
    file = files[0]
    plans = file.candidates[None].repeat(1, 84, 1, 1)[:, :1000]
    many = score([file.scene(Metric.V2)], plans, Metric.V2, backend=backend)
    few = score([file.scene(Metric.V2)], file.candidates[None], Metric.V2, backend=backend)
    count = file.candidates.shape[0]
    torch.testing.assert_close(many.sub[0], few.sub[0].repeat(84, 1)[:1000], rtol=0, atol=1e-12)
    assert torch.equal(many.cause[0, :count], few.cause[0])


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_size_of_chunks(files, chunk):
    count = min(file.candidates.shape[0] for file in files)
    plans = torch.stack([file.candidates[:count] for file in files])
    scenes = [file.scene(Metric.V2) for file in files]
    whole = score(scenes, plans, Metric.V2, backend="torch")
    assert_same(whole, score(scenes, plans, Metric.V2, backend="torch", chunk=chunk), tolerance=1e-12)


def test_batch_normalisation_depends_on_the_company_as_documented(road, backend):
    fast, slow = road.plan(12.0), road.plan(8.0)
    scene = road.scene()
    alone = score([scene], slow, Metric.V2, normalisation="batch", backend=backend)
    together = score([scene], torch.cat((slow, fast), dim=1), Metric.V2, normalisation="batch", backend=backend)
    assert float(together.column("EP")[0, 0]) < float(alone.column("EP")[0, 0])
    expected = together.progress_m[0, 0] / together.progress_m[0, 1]
    assert float(together.column("EP")[0, 0]) == pytest.approx(float(expected))


@pytest.mark.parametrize("metric", list(Metric))
def test_a_far_away_scene_loses_nothing_in_float32(files, metric, backend):
    for file in files:
        scene = file.scene(metric)
        plans = file.candidates[None].float()
        near = moved(scene, 0.0, tuple((-scene.ego.pose[:2]).tolist()))
        far = moved(scene, 0.0, tuple((torch.tensor([1e6, -4e6], dtype=torch.float64) - scene.ego.pose[:2]).tolist()))
        assert_same(score([near], plans, metric, backend=backend), score([far], plans, metric, backend=backend), 1e-5)


@pytest.mark.parametrize("metric", list(Metric))
def test_objects_of_other_layers_change_nothing(road, metric, backend):
    crosswalk = ("crosswalk", MapLayer.CROSSWALK, road.rectangle(10, 14, -5, 8), False)
    plain = score([road.scene()], road.plan(), metric, backend=backend)
    marked = score([road.scene(polygons=(crosswalk, *road.POLYGONS))], road.plan(), metric, backend=backend)
    assert_same(plain, marked)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scenes_without_agents_lights_or_map(road, metric, dtype, backend):
    scenes = [road.scene(), road.scene(polygons=()), road.scene([road.object("parked", 30.0)])]
    plans = road.plan(dtype=dtype).expand(3, 2, -1, -1).contiguous()
    scores = score(scenes, plans, metric, human_filter=HumanFilter.OFF, backend=backend)
    dac = scores.column("DAC")
    assert dac[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert torch.isfinite(scores.total).all()
    assert scores.column("NC")[:, 0].tolist() == [1.0, 1.0, 0.0]


def test_selected_scenes_score_as_in_the_whole_batch(files, backend):
    count = min(file.candidates.shape[0] for file in files)
    plans = torch.stack([file.candidates[:count] for file in files])
    prepared = prepare_scenes([file.scene(Metric.V2) for file in files], Metric.V2, torch.float64)
    whole = score(prepared, plans, Metric.V2, backend=backend)
    order = [2, 0, 2]
    chosen = score(prepared.select(order), plans[order], Metric.V2, backend=backend)
    torch.testing.assert_close(chosen.sub, whole.sub[order], rtol=0, atol=1e-12)
    assert torch.equal(chosen.cause, whole.cause[order])
    assert prepared.select(order).object_tokens == tuple(prepared.object_tokens[i] for i in order)


def test_scoring_twice_gives_the_same_bits(files, backend):
    file = files[1]
    runs = [score([file.scene(Metric.V2)], file.candidates[None], Metric.V2, backend=backend) for _ in range(2)]
    assert torch.equal(runs[0].states, runs[1].states) and torch.equal(runs[0].total, runs[1].total)


def test_no_gradient_is_recorded(road, backend):
    plan = road.plan().requires_grad_()
    assert not score([road.scene()], plan, Metric.V2, backend=backend).total.requires_grad


def test_a_scene_without_a_human_is_not_filtered(road, backend):
    narrow = (road.OWN_LANE, road.LEFT_LANE)
    scene = dataclasses.replace(road.scene(polygons=narrow), human=None)
    scores = score(
        [scene, road.scene(polygons=narrow)], road.plan().expand(2, -1, -1, -1).contiguous(), backend=backend
    )
    assert scores.column("DAC")[:, 0].tolist() == [0.0, 1.0]


def test_other_samplings_of_the_same_path(road, backend):
    """A plan of 40 poses at 10 Hz along the 2 Hz one."""
    time = torch.arange(1, 41, dtype=torch.float64) * 0.1
    dense = torch.stack((9.0 * time, torch.zeros(40), torch.zeros(40)), dim=-1)[None, None]
    coarse = road.plan(9.0)
    a = score([road.scene()], coarse, Metric.V2, backend=backend)
    b = score([road.scene()], dense, Metric.V2, interval_s=0.1, backend=backend)
    torch.testing.assert_close(a.sub, b.sub, rtol=0, atol=1e-5)


def test_the_human_plan_scored_as_a_candidate_matches_its_own_sub_scores(files, backend):
    for file in files:
        scene = file.scene(Metric.V2)
        human = Trajectory(scene.human.poses).poses[None, None]
        scores = score([scene], human, Metric.V2, human_filter=HumanFilter.FIXED, backend=backend)
        names = scores.names
        kept = [i for i, name in enumerate(names) if name not in ("EP", "HC")]
        assert torch.equal(scores.unfiltered[0, 0, kept], scores.human_sub[0, kept])
