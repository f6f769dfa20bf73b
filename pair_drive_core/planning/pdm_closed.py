"""PDM-Closed: the rule-based planner whose progress the metric takes as its reference (Dauner et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.geometry import relative_se2, wrap_angle
from pair_drive_core.planning.pdm_emergency_brake import EmergencyBrake
from pair_drive_core.planning.pdm_forecast import forecast_objects
from pair_drive_core.planning.pdm_proposals import PdmClosedConfig, drive_proposals
from pair_drive_core.planning.pdm_start import speed_limit
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import EgoHistory, Scene, SceneError, TrafficLights
from pair_drive_core.scoring.backends import Backend, sub_scores_of
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.formula import total_score
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.preparation import prepare_scenes
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.progress import ego_progress
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

_STEP_US = 100_000
_PLAN_STRIDE = 5
"""10 Hz steps between two poses of a plan."""


@dataclass(frozen=True)
class Proposals:
    """What PDM-Closed considered in one scene.

    Attributes:
        poses: (P, 41, 3), global, rear axle on its path at 10 Hz, not simulated; the first row is the ego projected
            onto the path. Path by path, slow to fast.
        total: (P,), score against the forecast, in [0, 1].
        collision_step: (P,) int64, step of the first collision by own fault, -1 where there is none.
    """

    poses: Tensor
    total: Tensor
    collision_step: Tensor

    @property
    def best(self) -> int:
        """The best proposal, the first of several equally good ones."""
        return int(self.total.argmax())


def propose(
    scenes: Sequence[Scene],
    metric: Metric = Metric.V2,
    config: PdmClosedConfig | None = None,
    limits_mps: Sequence[float | None] | None = None,
    backend: Backend = "auto",
    prepared: PreparedScenes | None = None,
) -> list[Proposals]:
    """Drive and score all proposals of several scenes (official `PDMClosedPlanner`).

    The scores are those of the metric against constant velocity traffic and lights that stay as they are at t0, with no
    past known, and progress normalised over the proposals. V1 and V2 may prefer different proposals: V2 also looks at
    red lights, direction and lane keeping, not at comfort, does not multiply progress by a proposal's own faults, and
    looks for time to collision in fewer steps.

    Args:
        scenes: at least one. `objects` must hold the key frame at t0; later ones are not looked at. `route` must
            have a centre line; without objects and lights the road is free. An ego off its route is projected onto it.
        metric: by which version of the metric the best one is chosen.
        config: what to try.
        limits_mps: speed limits, one a scene; taken from `Scene.lanes` by default. Where none is known
            `config.driver.desired_speed_mps` stands in, as in the official code.
        backend: who computes; "torch" also avoids the compiled unrolling of proposals.
        prepared: the scenes as the caller has prepared them for scoring, in float64 on the CPU, so that maps are
            validated and packed once.

    Raises:
        SceneError: naming the scene and the part at fault, e.g. a centre line without length.
    """
    if not scenes:
        raise SceneError("propose: expected at least one scene, got none")
    config = (config or PdmClosedConfig()).validate()
    if limits_mps is not None and len(limits_mps) != len(scenes):
        raise SceneError(f"propose: expected {len(scenes)} speed limits, got {len(limits_mps)}")
    forecasts, origins, driven = [], [], []
    for i, scene in enumerate(scenes):
        try:
            if prepared is None:
                scene.validate()
            limit = speed_limit(scene) if limits_mps is None else limits_mps[i]
            forecasts.append(forecast_objects(scene))
            paths, poses = drive_proposals(scene, forecasts[-1], limit, config, native=backend != "torch")
        except SceneError as error:
            raise SceneError(f"scene {scene.token}: {error}") from error
        origins.append(torch.from_numpy(paths.origin))
        driven.append(torch.from_numpy(poses))
    frozen = [_frozen(scene) for scene in scenes]
    relevant = [forecast.relevant for forecast in forecasts]
    foreseen = prepare_scenes(frozen, metric, torch.float64, tracks=relevant, validated=True, ground=prepared)
    local = torch.stack(driven)
    judged = sub_scores_of(foreseen, local, CandidateKind.PATHS, backend)
    best_m = (judged.progress_m * judged.multiplier).amax(1, keepdim=True)
    sub = judged.columns(ego_progress(judged.progress_m, judged.multiplier, best_m, metric))
    total = total_score(sub, metric)
    collision = judged.steps[..., metric.sub_score_names.index("NC")]
    local[..., :2] += torch.stack(origins)[:, None, None]
    return [Proposals(*parts) for parts in zip(local, total, collision, strict=True)]


def pdm_references(
    scenes: Sequence[Scene],
    metric: Metric = Metric.V2,
    config: PdmClosedConfig | None = None,
    limits_mps: Sequence[float | None] | None = None,
    prepared: PreparedScenes | None = None,
) -> Tensor:
    """The metric's reference in several scenes: PDM-Closed's best proposal at the official sampling times.

    Args:
        scenes: see `propose`.
        metric: see `propose`.
        config: see `propose`.
        limits_mps: see `propose`.
        prepared: see `propose`.

    Returns:
        (S, 41, 3) float64, global poses of the rear axle, not simulated.

    Raises:
        SceneError: see `propose`.
    """
    proposals = propose(scenes, metric, config, limits_mps, prepared=prepared)
    return torch.stack([sampled_reference(s.time_us, p.poses[p.best]) for s, p in zip(scenes, proposals, strict=True)])


def pdm_reference(scene: Scene, metric: Metric = Metric.V2) -> Tensor:
    """The metric's reference in one scene; see `pdm_references`.

    Returns:
        (41, 3) float64.
    """
    return pdm_references([scene], metric)[0]


@dataclass(frozen=True)
class PdmClosedPlanner:
    """PDM-Closed as a planner with ground truth: the metric's reference, and a baseline.

    Its plans carry the source `FALLBACK`: no branch of a learned planner made them.

    Attributes:
        metric: by which the best proposal is chosen.
        config: what to try.
        brake: when to brake instead; None never brakes, like the metric's reference.
    """

    metric: Metric = Metric.V2
    config: PdmClosedConfig = field(default_factory=PdmClosedConfig)
    brake: EmergencyBrake | None = field(default_factory=EmergencyBrake)

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "pdm_closed"

    def plan_scene(self, scene: Scene) -> Plan:
        """Plan 4 s ahead of `scene.ego`.

        Raises:
            SceneError: see `propose`.
        """
        proposals = propose([scene], self.metric, self.config)[0]
        best = proposals.best
        step = int(proposals.collision_step[best])
        score = float(proposals.total[best])
        if self.brake is not None and self.brake.applies(scene.ego, None if step < 0 else step * STEP_S):
            poses = self.brake.poses(scene.ego)
        else:
            poses = relative_se2(scene.ego.pose.double(), proposals.poses[best, _PLAN_STRIDE::_PLAN_STRIDE])
        return Plan(poses, PlanSource.FALLBACK, score=score, confidence=float("nan"))


def _frozen(scene: Scene) -> Scene:
    """The scene as PDM-Closed sees it: lights stay as they are at t0, no past, no demonstration."""
    past = scene.history
    history = EgoHistory(past.time_us[-1:], past.pose[-1:], past.velocity[-1:], past.acceleration[-1:])
    seen = scene.lights_on_route
    red = seen.red[:1].expand(SIMULATION_STEPS, -1)
    lights = replace(seen, red=red) if red.shape[0] else TrafficLights.empty(SIMULATION_STEPS)
    return replace(scene, history=history, lights=lights, planner_lights=None, human=None, reference=None)


def sampled_reference(time_us: int, poses: Tensor) -> Tensor:
    """Poses (41, 3) at the official times, which are up to 1 us early (see `simulation.sampling`)."""
    times = ((np.arange(SIMULATION_STEPS) * STEP_S + time_us * 1e-6) * 1e6).astype(np.int64) - time_us
    samples = torch.from_numpy(np.clip(times, 0, (SIMULATION_STEPS - 1) * _STEP_US))
    low = (samples // _STEP_US).clamp_max(SIMULATION_STEPS - 2)
    weight = (samples - low * _STEP_US).to(torch.float64) / _STEP_US
    step = poses[low + 1] - poses[low]
    step[:, 2] = wrap_angle(step[:, 2])
    out: Tensor = poses[low] + weight[:, None] * step
    out[:, 2] = wrap_angle(out[:, 2])
    return out
