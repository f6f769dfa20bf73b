"""Exported graphs plan as torch does, and what does not fit is refused, said once and replaced by eager plans."""

import json
import logging
from dataclasses import replace

import pytest
import torch

from pair_drive_core.models import PairModel
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.policies import ParallelPlanner
from pair_drive_core.policies.runtime import backends
from pair_drive_core.policies.runtime.backends import Backend, RuntimeNetworks
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.export_check import agreement, check_export
from pair_drive_core.policies.runtime.graphs import UnsupportedModelError, example_features, graphs_of
from pair_drive_core.policies.runtime.onnx_export import MANIFEST, OPSET, export_onnx, model_digest, read_manifest
from pair_drive_core.policies.runtime.onnx_networks import OnnxNetworks
from pair_drive_core.policies.runtime.torch_export import export_programs

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small():
    """A model whose policy prefers some intentions, so that no two leaves are equally good."""
    torch.manual_seed(0)
    model = PairModel(tiny_config()).eval()
    policy = model.reinforcement.sampler.policy
    with torch.no_grad():
        for parameter in (*policy.offset_head.parameters(), *policy.score_head.parameters()):
            parameter.normal_(0.0, 0.3)
    return model


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    export_onnx(small, folder)
    return folder


@pytest.fixture
def copy(exported, tmp_path):
    """The exported folder, to be spoilt."""
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def planned(model, folder, agent_input, wanted=Backend.ONNX):
    networks = RuntimeNetworks(model, CPU, wanted, folder, 1)
    return ParallelPlanner(model, networks=networks).plan(agent_input), networks


def test_graphs_plan_as_torch_does_on_a_hundred_scenes(small, exported):
    found = check_export(small, exported, 100)
    assert found.scenes == 100
    assert found.same_leaf >= 0.99
    assert found.apart_m <= 0.05
    assert found.reference_m < 1e-4
    assert found.reward < 1e-4


def test_the_check_fails_where_a_graph_computes_something_else(small, exported):
    class Bent(OnnxNetworks):
        def predict(self, bev, poses):
            found = super().predict(bev, poses)
            return replace(found, reward=1.0 - found.reward)

    networks = Bent(exported, model_digest(small))
    found = agreement(small, networks, (example_features(small, seed) for seed in range(5)))
    assert not found.holds


@pytest.mark.parametrize("group_size", [2, 31])
def test_a_graph_takes_any_number_of_leaves(small, exported, agent_input, group_size):
    networks = RuntimeNetworks(small, CPU, Backend.ONNX, exported, 1)
    join = replace(small.config.join, group_size=group_size)
    plan = ParallelPlanner(small, config=join, networks=networks).plan(agent_input)
    assert len(plan.candidates.poses) == group_size
    assert networks.state.used == "onnx"
    assert networks.state.lost == ""


def test_auto_takes_the_graphs_that_are_there(small, exported, agent_input):
    plan, networks = planned(small, exported, agent_input, Backend.AUTO)
    assert networks.backend == "onnx"
    expected = ParallelPlanner(small).plan(agent_input)
    torch.testing.assert_close(plan.candidates.poses, expected.candidates.poses, atol=1e-3, rtol=1e-3)


def test_auto_without_graphs_plans_eagerly_and_loses_nothing(small, tmp_path, agent_input):
    plan, networks = planned(small, tmp_path, agent_input, Backend.AUTO)
    assert networks.backend == "eager"
    assert networks.state.lost == ""
    assert torch.equal(plan.poses, ParallelPlanner(small).plan(agent_input).poses)


def test_a_plan_says_where_its_time_went(small, exported, agent_input):
    planner = ParallelPlanner(small, networks=RuntimeNetworks(small, CPU, Backend.ONNX, exported, 1))
    assert planner.stages is None
    planner.plan(agent_input)
    assert min(planner.stages.features, planner.stages.look, planner.stages.choose) > 0.0


def torn(folder):
    path = folder / "reward.onnx"
    path.write_bytes(path.read_bytes()[:1000])


def foreign(folder):
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": "another"}))


def other_version(folder):
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "torch": "1.0"}))


def no_manifest_at_all(folder):
    (folder / MANIFEST).write_text("{")


def without_a_file(folder):
    (folder / "step.onnx").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (torn, "torn or changed"),
        (foreign, "model: expected"),
        (other_version, "torch: expected"),
        (no_manifest_at_all, "expected a manifest"),
        (without_a_file, r"step\.onnx: expected a graph, got none"),
    ],
)
@pytest.mark.parametrize("wanted", [Backend.AUTO, Backend.ONNX])
def test_graphs_that_do_not_fit_are_refused_once_and_eager_plans_go_on(
    small, copy, agent_input, caplog, spoil, words, wanted
):
    spoil(copy)
    with pytest.raises(BackendError, match=words):
        read_manifest(copy, model_digest(small))
    with caplog.at_level(logging.WARNING):
        plan, networks = planned(small, copy, agent_input, wanted)
    assert len(caplog.records) == 1
    assert "planning eagerly" in caplog.text
    assert networks.state.used == "eager"
    assert networks.state.fallbacks == 1
    assert torch.equal(plan.poses, ParallelPlanner(small).plan(agent_input).poses)


@pytest.mark.parametrize("part", ["look", "judge", "predict"])
@pytest.mark.parametrize("error", [MemoryError("out of memory"), RuntimeError("illegal instruction")])
def test_a_backend_that_fails_in_motion_is_replaced_within_the_plan(
    small, exported, agent_input, caplog, monkeypatch, part, error
):
    networks = RuntimeNetworks(small, CPU, Backend.ONNX, exported, 1)
    planner = ParallelPlanner(small, networks=networks)
    name = {"look": "look", "judge": "step", "predict": "reward"}[part]

    class Failing:
        def run(self, *_):
            raise error

    monkeypatch.setitem(networks._fast._sessions, name, Failing())
    with caplog.at_level(logging.WARNING):
        plan = planner.plan(agent_input)
        planner.plan(agent_input)
    assert plan.source in (PlanSource.IMITATION, PlanSource.REINFORCEMENT)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert name in networks.state.lost
    assert (networks.state.used, networks.state.fallbacks) == ("eager", 1)


@pytest.mark.parametrize("wanted", [Backend.TENSORRT, Backend.COMPILED])
def test_a_backend_that_is_not_there_is_named(small, tmp_path, agent_input, caplog, wanted):
    with caplog.at_level(logging.WARNING):
        _, networks = planned(small, tmp_path, agent_input, wanted)
    assert wanted.value in networks.state.lost
    assert "available: auto, eager, onnx" in caplog.text


def test_without_onnxruntime_plans_are_eager(small, exported, agent_input, caplog, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("pair_drive_core.policies.runtime.onnx_networks.importlib.import_module", missing)
    with caplog.at_level(logging.WARNING):
        _, networks = planned(small, exported, agent_input)
    assert networks.state.used == "eager"
    assert "onnxruntime is not installed" in networks.state.lost


def test_another_device_keeps_to_torch(small, exported):
    assert RuntimeNetworks(small, torch.device("meta"), Backend.AUTO, exported, 1).backend == "eager"
    assert "on the CPU" in RuntimeNetworks(small, torch.device("meta"), Backend.ONNX, exported, 1).state.lost


def test_the_cache_lies_in_the_users_cache_folder_by_model(small, tmp_path, monkeypatch):
    monkeypatch.delenv("PAIR_DRIVE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = backends.graphs_folder(small)
    assert folder.parent == tmp_path / "pair_drive" / "graphs"
    with torch.no_grad():
        small.imitation.query[0, 0, 0] += 1.0
        other = backends.graphs_folder(small)
        small.imitation.query[0, 0, 0] -= 1.0
    assert other != folder


def test_the_manifest_states_the_opset_that_the_files_have(exported):
    import onnx

    assert json.loads((exported / MANIFEST).read_text())["opset"] == OPSET
    for path in exported.glob("*.onnx"):
        assert {entry.version for entry in onnx.load(path).opset_import if entry.domain == ""} == {OPSET}


def test_programs_compute_what_the_modules_compute_with_other_numbers_of_leaves(small, tmp_path):
    paths = {path.stem: path for path in export_programs(small, tmp_path)}
    for graph in graphs_of(small):
        given = {
            name: torch.cat((tensor,) * 3, dim=graph.dynamic[name]) if name in graph.dynamic else tensor
            for name, tensor in graph.inputs.items()
        }
        with torch.no_grad():
            expected = graph.module(*given.values())
            found = torch.export.load(paths[graph.name]).module()(*given.values())
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_model_that_draws_at_random_is_refused(small, monkeypatch):
    monkeypatch.setattr("pair_drive_core.policies.runtime.graphs.DiffusionDrive", type(small.imitation))
    with pytest.raises(UnsupportedModelError, match="at random"):
        graphs_of(small)
