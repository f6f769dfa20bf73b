"""Which networks compute, and that plans go on eagerly, within the plan, where a faster way fails."""

import logging

import pytest
import torch

from pair_drive_core.driving.findings import Level
from pair_drive_core.driving.guarded_planner import GuardedPlanner
from pair_drive_core.driving.output_guard import GuardLimits
from pair_drive_core.driving.planner_health import backend_finding
from pair_drive_core.models import save_checkpoint
from pair_drive_core.policies import ParallelPlanner, load_planner
from pair_drive_core.policies.parallel import EagerNetworks
from pair_drive_core.policies.runtime.backends import Backend, RuntimeNetworks
from pair_drive_core.policies.runtime.errors import BackendError


class Failing(EagerNetworks):
    """Another way to compute, of which one part breaks."""

    backend = "another"

    def __init__(self, model, part=""):
        super().__init__(model)
        self._part, self.calls = part, []

    def _called(self, part):
        self.calls.append(part)
        if part == self._part:
            raise BackendError(f"{part}: out of memory")

    def look(self, features):
        self._called("look")
        return super().look(features)

    def judge(self, bev, poses, level):
        self._called("judge")
        return super().judge(bev, poses, level)

    def predict(self, bev, poses):
        self._called("predict")
        return super().predict(bev, poses)


def test_another_way_to_compute_is_asked_for_everything(model, agent_input):
    fast = Failing(model)
    networks = RuntimeNetworks(model, Backend.AUTO, fast)
    plan = ParallelPlanner(model, networks=networks).plan(agent_input)
    assert fast.calls == ["look", *["judge", "predict"] * 4, "predict"]
    assert (networks.state.used, networks.state.lost, networks.state.fallbacks) == ("another", "", 0)
    assert torch.equal(plan.poses, ParallelPlanner(model).plan(agent_input).poses)


@pytest.mark.parametrize("part", ["look", "judge", "predict"])
def test_what_fails_is_replaced_within_the_plan_said_once_and_counted(model, agent_input, caplog, part):
    fast = Failing(model, part)
    networks = RuntimeNetworks(model, Backend.AUTO, fast)
    planner = ParallelPlanner(model, networks=networks)
    with caplog.at_level(logging.WARNING):
        plan = planner.plan(agent_input)
        planner.plan(agent_input)
    assert fast.calls.count(part) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "planning eagerly" in caplog.text
    assert networks.state.lost == f"{part}: out of memory"
    assert (networks.state.used, networks.state.fallbacks) == ("eager", 1)
    assert torch.equal(plan.poses, ParallelPlanner(model).plan(agent_input).poses)


@pytest.mark.parametrize("wanted", [Backend.ONNX, Backend.COMPILED, Backend.TENSORRT])
def test_a_backend_that_is_not_there_is_named_and_seen_in_the_diagnostics(model, tmp_path, caplog, wanted):
    save_checkpoint(tmp_path / "model.safetensors", model, {})
    with caplog.at_level(logging.WARNING):
        planner = load_planner(tmp_path / "model.safetensors", backend=wanted)
    assert f"backend {wanted.value!r} is not there; available: auto, eager" in caplog.text
    finding = backend_finding(GuardedPlanner(planner, GuardLimits()).backend)
    assert finding.level is Level.WARN
    assert finding.message.startswith(f"eager instead of {wanted.value}: ")
    assert finding.values["fallbacks"] == 1


@pytest.mark.parametrize("wanted", [Backend.AUTO, Backend.EAGER])
def test_nothing_is_lost_where_eager_is_the_best_there_is(model, tmp_path, wanted):
    save_checkpoint(tmp_path / "model.safetensors", model, {})
    guarded = GuardedPlanner(load_planner(tmp_path / "model.safetensors", backend=wanted), GuardLimits())
    assert backend_finding(guarded.backend).level is Level.OK


def test_a_plan_says_where_its_time_went(model, agent_input):
    planner = ParallelPlanner(model)
    assert planner.stages is None
    planner.plan(agent_input)
    assert min(planner.stages.features, planner.stages.look, planner.stages.choose) > 0.0
