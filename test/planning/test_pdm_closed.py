"""PDM-Closed: the metric's reference and a planner of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.planning.pdm_closed import PdmClosedPlanner, pdm_reference, pdm_references, propose
from pair_drive_core.planning.pdm_emergency_brake import EmergencyBrake
from pair_drive_core.planning.pdm_forecast import forecast_objects
from pair_drive_core.planning.pdm_proposals import PdmClosedConfig, drive_proposals
from pair_drive_core.planning.pdm_start import speed_limit, starting_lane
from pair_drive_core.planning.planner import PrivilegedPlanner
from pair_drive_core.scene import EgoState, ObjectType, PackedRings, Route, SceneError, TrackedObjects
from pair_drive_core.scoring import Metric, prepare_scenes, score

VECTORS = Path(__file__).parents[1] / "golden" / "vectors"
OFFICIAL = {Metric.V1: "v11_pdm_ref", Metric.V2: "v2_pdm_ref"}
# The files do not hold the limit of the lane under the ego; each is the one of the map that the scene was made with.
LIMITS_MPS = {
    "scene_0008": 13.41,
    "scene_0015": None,
    "scene_0019": 11.18,
    "scene_0055": 11.18,
    "scene_0064": 6.7,
    "scene_0098": 6.7,
    "scene_0104": 20.1,
    "scene_0112": 6.7,
    "scene_0119": 13.41,
    "scene_0165": 15.65,
    "scene_0199": 20.1,
    "scene_0313": 11.18,
}


def pose_error(ours, official):
    error = np.asarray(ours) - np.asarray(official)
    error[..., 2] = (error[..., 2] + np.pi) % (2.0 * np.pi) - np.pi
    return np.abs(error).max()


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("name", LIMITS_MPS)
def test_the_reference_is_the_official_one(name, metric):
    file = read_vector_file(VECTORS / f"{name}.npz")
    reference = pdm_references([file.scene(metric)], metric, limits_mps=[LIMITS_MPS[name]])[0]
    assert reference.shape == (41, 3)
    assert pose_error(reference, file.arrays[OFFICIAL[metric]]) < 1e-6


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("name", ["scene_0041", "scene_0045", "scene_0131", "scene_0154"])
def test_the_reference_is_the_official_one_where_details_matter(name, metric):
    file = read_vector_file(VECTORS.parent / "planning" / f"{name}.npz")
    limit = float(file.arrays["speed_limit_mps"])
    reference = pdm_references([file.scene(metric)], metric, limits_mps=[None if np.isnan(limit) else limit])[0]
    assert pose_error(reference, file.arrays[OFFICIAL[metric]]) < 1e-6


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("name", ["0005", "0006", "0012"])
def test_the_lane_graph_gives_the_speed_limit(traffic_case, name, metric):
    case = traffic_case(name, metric)
    assert pose_error(pdm_reference(case.scene, metric), case.arrays[OFFICIAL[metric]]) < 1e-6


def crowded(roads, seed):
    """Many objects on and beside a road with a red light, and an ego at any speed."""
    rng = np.random.default_rng(seed)
    objects = [
        (
            f"object-{i}",
            ObjectType(int(rng.integers(0, 7))),
            (rng.uniform(4.0, 70.0), rng.uniform(-4.0, 4.0), rng.uniform(-3.1, 3.1)),
            float(rng.uniform(0.0, 9.0)),
        )
        for i in range(12)
    ]
    red = [[50.0, -2.0], [60.0, -2.0], [60.0, 2.0], [50.0, 2.0]]
    return roads.road(objects, speed=float(rng.uniform(0.0, 25.0)), red=red, limit=float(rng.uniform(5.0, 25.0)))


@pytest.mark.parametrize("seed", range(12))
def test_compiled_and_readable_proposals_agree(roads, seed):
    scene = crowded(roads, seed)
    forecast = forecast_objects(scene)
    limit = speed_limit(scene)
    _, compiled = drive_proposals(scene, forecast, limit, PdmClosedConfig(), native=True)
    _, readable = drive_proposals(scene, forecast, limit, PdmClosedConfig(), native=False)
    assert compiled.shape == (15, 41, 3)
    assert pose_error(compiled, readable) < 1e-9


def test_both_backends_choose_the_same():
    scenes = [read_vector_file(VECTORS / f"{name}.npz").scene(Metric.V2) for name in ("scene_0055", "scene_0199")]
    torch_path, auto = (propose(scenes, backend=backend) for backend in ("torch", "auto"))
    for ours, theirs in zip(torch_path, auto, strict=True):
        torch.testing.assert_close(ours.total, theirs.total, atol=1e-9, rtol=0.0)
        torch.testing.assert_close(ours.collision_step, theirs.collision_step)
        assert ours.best == theirs.best


def test_scenes_planned_together_are_planned_as_alone():
    scenes = [read_vector_file(VECTORS / f"{name}.npz").scene(Metric.V2) for name in ("scene_0008", "scene_0064")]
    together = pdm_references(scenes)
    for scene, reference in zip(scenes, together, strict=True):
        assert torch.equal(pdm_reference(scene), reference)


def test_scenes_prepared_for_scoring_are_planned_as_bare_ones():
    """Their map is taken over; lights, past and objects are what PDM-Closed sees."""
    files = [read_vector_file(VECTORS / f"{name}.npz") for name in ("scene_0008", "scene_0064", "scene_0098")]
    scenes = [file.scene(Metric.V2) for file in files]
    bare = pdm_references(scenes)
    assert torch.equal(pdm_references(scenes, prepared=prepare_scenes(scenes, Metric.V2, torch.float64)), bare)
    with pytest.raises(SceneError, match="ground of 3 scenes, got that of 2"):
        pdm_references(scenes, prepared=prepare_scenes(scenes[:2], Metric.V2, torch.float64))


def test_an_open_road_is_driven_at_the_limit(roads):
    reference = pdm_reference(roads.road(speed=8.0, limit=10.0))
    assert reference[:, 1:].abs().max() < 1e-12
    pace = reference[:, 0].diff() / 0.1
    assert pace[0] == pytest.approx(8.0)
    assert pace[1] == pytest.approx(7.7), "every proposal brakes in the first step, before it knows its leader"
    assert 9.5 < pace[39] < 10.0
    slow = pdm_reference(roads.road(speed=8.0, limit=4.0))
    assert slow[40, 0] < reference[40, 0]


def test_an_unknown_limit_means_fifteen_metres_per_second(roads):
    scene = roads.road(speed=8.0, limit=None)
    assert speed_limit(scene) is None
    known = pdm_references([scene], limits_mps=[15.0])[0]
    assert torch.equal(pdm_reference(scene), known)
    assert torch.equal(pdm_reference(replace(scene, lanes=None)), known)


def test_it_stops_behind_a_standing_car(roads):
    car = ("car", ObjectType.VEHICLE, (25.0, 0.0, 0.0), 0.0)
    reference = pdm_reference(roads.road([car], speed=6.0))
    front = reference[40, 0] + 4.049
    assert 15.0 < front < 25.0 - 2.3


def test_it_stops_before_a_red_light(roads):
    red = [[25.0, -2.0], [45.0, -2.0], [45.0, 2.0], [25.0, 2.0]]
    reference = pdm_reference(roads.road(speed=6.0, red=red))
    assert reference[40, 0] + 4.049 < 25.0
    assert pdm_reference(roads.road(speed=6.0))[40, 0] + 4.049 > 25.0


def test_a_red_light_over_the_whole_ego_is_no_obstacle(roads):
    red = [[-10.0, -2.0], [15.0, -2.0], [15.0, 2.0], [-10.0, 2.0]]
    inside, free = propose([roads.road(red=red), roads.road()])
    assert torch.equal(inside.poses, free.poses)
    assert inside.total.tolist() == [0.0] * 15, "but every proposal is on red"
    assert inside.best == 0, "of equally bad ones the first"


def test_what_touches_the_ego_at_the_start_is_ignored(roads):
    car = ("car", ObjectType.VEHICLE, (5.0, 0.0, 0.0), 0.0)
    assert torch.equal(pdm_reference(roads.road([car])), pdm_reference(roads.road()))


def test_it_passes_beside_an_obstacle_at_the_edge(roads):
    # The box reaches 0.95 m to the left of the centre line's corridor: only the path 1 m to the right is free.
    cone = ("cone", ObjectType.TRAFFIC_CONE, (25.0, 1.7, 0.0), 0.0)
    best = propose([roads.road([cone], speed=6.0)])[0]
    assert best.poses[best.best, 40, 1] == pytest.approx(-1.0)


def test_place_direction_and_order_change_nothing(roads):
    objects = [
        ("walker", ObjectType.PEDESTRIAN, (22.0, -3.0, 1.6), 0.8),
        ("car", ObjectType.VEHICLE, (30.0, 0.2, 0.0), 3.0),
        ("cone", ObjectType.TRAFFIC_CONE, (40.0, 2.0, 0.0), 0.0),
    ]
    here = pdm_reference(roads.road(objects))
    shift, turn = (412_345.6, 4_234_567.8), 2.4
    there = pdm_reference(roads.road(objects[::-1], shift=shift, turn=turn))
    assert pose_error(there, roads.placed(here, shift, turn)) < 1e-6


def test_an_ego_off_its_route_is_projected_onto_it(roads):
    reference = pdm_reference(roads.road(ego=(10.0, 30.0, 1.0), speed=3.0))
    assert bool(reference.isfinite().all())
    assert reference[0].tolist() == pytest.approx([10.0, 0.0, 0.0], abs=1.1)


def test_at_the_end_of_the_route_it_stays_there(roads):
    reference = pdm_reference(roads.road(ego=(260.0, 0.0, 0.0), speed=5.0))
    assert bool(reference.isfinite().all())
    assert reference[:, 0].max() <= 250.0 + 1e-9


def test_later_key_frames_are_not_looked_at(roads):
    scene = roads.road([("car", ObjectType.VEHICLE, (30.0, 0.0, 0.0), 3.0)])
    objects = scene.objects
    first = replace(objects, states=objects.states[:1], present=objects.present[:1])
    assert torch.equal(pdm_reference(replace(scene, objects=first)), pdm_reference(scene))


def test_bad_scenes_are_refused_by_name(roads):
    scene = roads.road()
    point = replace(scene, route=Route(("lane",), torch.zeros(5, 3, dtype=torch.float64)))
    with pytest.raises(SceneError, match=r"scene road: Route.centerline: expected a line with a length"):
        pdm_reference(point)
    empty = replace(scene, route=Route((), torch.zeros(0, 3, dtype=torch.float64)))
    with pytest.raises(SceneError, match=r"scene road: .*at least 2 points, got 0"):
        pdm_reference(empty)
    nothing = replace(scene, objects=TrackedObjects.empty(0, 0.5))
    with pytest.raises(SceneError, match=r"scene road: .*key frame at t0"):
        pdm_reference(nothing)
    lost = replace(scene, ego=replace(scene.ego, pose=torch.full((3,), float("nan"), dtype=torch.float64)))
    with pytest.raises(SceneError, match=r"scene road: EgoState.pose"):
        pdm_reference(lost)
    with pytest.raises(SceneError, match="at least one scene"):
        pdm_references([])


def test_bad_settings_are_refused_by_name(roads):
    scene = roads.road()
    with pytest.raises(SceneError, match="expected 1 speed limits, got 2"):
        pdm_references([scene], limits_mps=[10.0, 10.0])
    for limit in (0.0, -3.0, float("nan"), float("inf")):
        with pytest.raises(SceneError, match="speed limit: expected a positive number"):
            pdm_references([scene], limits_mps=[limit])
    for config, name in (
        (PdmClosedConfig(lateral_offsets_m=()), "lateral_offsets_m"),
        (PdmClosedConfig(speed_fractions=(0.0,)), "speed_fractions"),
    ):
        with pytest.raises(SceneError, match=name):
            pdm_references([scene], config=config)


def test_other_proposals_can_be_asked_for(roads):
    config = PdmClosedConfig(lateral_offsets_m=(0.0, 2.0), speed_fractions=(0.5, 1.0, 1.2))
    proposals = propose([roads.road()], config=config)[0]
    assert proposals.poses.shape == (6, 41, 3)
    assert proposals.poses[3:, 0, 1].tolist() == pytest.approx([2.0] * 3)


def test_the_lane_under_the_ego(roads):
    scene = roads.road()
    assert starting_lane(scene, scene.lanes) == 0
    far = roads.road(ego=(10.0, 30.0, 0.0))
    assert starting_lane(far, far.lanes) == 0, "off all lanes the nearest counts"
    other = replace(scene, route=replace(scene.route, lane_tokens=("elsewhere",)))
    assert starting_lane(other, scene.lanes) is None
    assert speed_limit(other) is None


def test_of_overlapping_lanes_the_one_in_the_ego_s_direction_counts(roads):
    scene = roads.road(limit=10.0)
    ring, line = scene.lanes.rings[0], scene.lanes.centerlines[0]
    against = line.flip(0).clone()
    against[:, 2] += torch.pi
    both = replace(
        scene.lanes,
        tokens=("against", "lane"),
        is_connector=torch.tensor([False, False]),
        roadblocks=("road", "road"),
        centerlines=PackedRings.from_sequences([against, line]),
        rings=PackedRings.from_sequences([ring, ring]),
        speed_limits_mps=torch.tensor([5.0, 10.0], dtype=torch.float64),
        successors=((), ()),
    )
    both_ways = replace(scene, lanes=both, route=replace(scene.route, lane_tokens=("against", "lane")))
    assert speed_limit(both_ways) == 10.0


def test_the_planner_drives_its_own_reference(roads):
    scene = roads.road(ego=(3.0, 0.0, 0.0))
    planner = PdmClosedPlanner()
    assert isinstance(planner, PrivilegedPlanner)
    plan = planner.plan_scene(scene)
    reference = pdm_reference(scene)
    torch.testing.assert_close(plan.poses[:, 0], reference[5::5, 0] - 3.0)
    assert 0.0 < plan.score <= 1.0
    scenes = [replace(scene, reference=reference)]
    assert score(prepare_scenes(scenes, dtype=torch.float64), plan.poses[None, None]).total.item() > 0.9


def test_the_brake_applies_only_to_slow_vehicles_about_to_collide():
    brake = EmergencyBrake()
    slow, fast = (EgoState.at(torch.zeros(3), torch.tensor([speed, 0.0]), torch.zeros(2)) for speed in (4.9, 5.1))
    assert brake.applies(slow, 2.0)
    assert not brake.applies(slow, 2.1)
    assert not brake.applies(slow, None)
    assert not brake.applies(fast, 1.0)


def test_the_brake_makes_the_tracker_stop(roads):
    scene = roads.road(speed=4.0)
    scene = replace(scene, reference=pdm_reference(scene))
    poses = EmergencyBrake().poses(scene.ego)
    speed = score(prepare_scenes([scene], dtype=torch.float64), poses[None, None]).states[0, 0, :, 3]
    assert speed[20] < 0.5
    assert speed.diff().min() / 0.1 < -2.0


def test_the_planner_brakes_unless_told_not_to(roads, monkeypatch):
    scene = roads.road(speed=3.0)
    monkeypatch.setattr(EmergencyBrake, "applies", lambda self, ego, collision_s: True)
    braking = PdmClosedPlanner().plan_scene(scene).poses
    torch.testing.assert_close(braking, EmergencyBrake().poses(scene.ego))
    assert (PdmClosedPlanner(brake=None).plan_scene(scene).poses[:, 0] > 0.0).all()
