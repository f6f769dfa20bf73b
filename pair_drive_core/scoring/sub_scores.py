"""All sub-scores of simulated rollouts but progress relative to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pair_drive_core.scoring.comfort import comfort
from pair_drive_core.scoring.drivable_area import drivable_area_compliance
from pair_drive_core.scoring.driving_direction import driving_direction_compliance
from pair_drive_core.scoring.ego_areas import ego_areas
from pair_drive_core.scoring.history_comfort import history_comfort
from pair_drive_core.scoring.lane_keeping import lane_keeping
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.no_at_fault_collision import no_at_fault_collision
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.progress import progress_along_route
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.time_to_collision import time_to_collision
from pair_drive_core.scoring.traffic_light import traffic_light_compliance
from pair_drive_core.scoring.verdict import Verdict


@dataclass(frozen=True)
class SubScores:
    """Sub-scores of K rollouts in S scenes; columns of `Metric.sub_score_names`, EP and comfort left open.

    Attributes:
        values: (S, K, n), zero for EP and the comfort column.
        steps: (S, K, n) int64, first infraction, -1 where there is none.
        causes: (S, K, n) int64, index of the cause within the scene, -1 where there is none.
        comfort: (S, K, 6) bool.
        multiplier: (S, K), product of the multiplying sub-scores.
        progress_m: (S, K).
        valid: (S, K) bool, whether the rollout was finite.
        states: (S, K, 41, 11).
    """

    values: Tensor
    steps: Tensor
    causes: Tensor
    comfort: Tensor
    multiplier: Tensor
    progress_m: Tensor
    valid: Tensor
    states: Tensor

    def narrow(self, start: int, length: int) -> SubScores:
        """Some of the rollouts."""
        return SubScores(*(getattr(self, item.name).narrow(1, start, length) for item in fields(self)))

    def columns(self, ego_progress: Tensor) -> Tensor:
        """(S, K, n): the values with EP (S, K) and comfort filled in."""
        metric = Metric.V1 if self.values.shape[-1] == len(Metric.V1.sub_score_names) else Metric.V2
        names = metric.sub_score_names
        out = self.values.clone()
        out[..., names.index("EP")] = ego_progress
        out[..., names.index(_comfort_name(metric))] = self.comfort.all(-1).to(out)
        return out


def concatenate(parts: Sequence[SubScores], dim: int) -> SubScores:
    """Join parts along scenes (0) or rollouts (1)."""
    if len(parts) == 1:
        return parts[0]
    return SubScores(*(torch.cat([getattr(part, item.name) for part in parts], dim) for item in fields(SubScores)))


def sub_scores(simulated: tuple[Tensor, Tensor], prepared: PreparedScenes) -> SubScores:
    """Score rollouts.

    Args:
        simulated: states (S, K, 41, 11) in the local frames, all finite; and which ones are meant, (S, K) bool.
        prepared: the scenes.
    """
    states, valid = simulated
    rollouts = Rollouts.from_states(states, prepared.vehicle)
    areas = ego_areas(rollouts, prepared, prepared.polygon_index)
    metric = prepared.metric
    verdicts: dict[str, Verdict] = {
        "NC": no_at_fault_collision(rollouts, areas, prepared),
        "DAC": drivable_area_compliance(rollouts, areas),
        "DDC": driving_direction_compliance(rollouts, areas, metric),
        "TTC": time_to_collision(rollouts, areas, prepared),
    }
    if metric is Metric.V2:
        verdicts["TLC"] = traffic_light_compliance(rollouts, prepared, prepared.red_index)
        verdicts["LK"] = lane_keeping(rollouts, areas, prepared)
        flags = history_comfort(rollouts, prepared)
    else:
        flags = comfort(rollouts)
    nothing = Verdict(torch.zeros_like(verdicts["NC"].value), *(torch.full_like(verdicts["NC"].step, -1),) * 2)
    columns = [verdicts.get(name, nothing) for name in metric.sub_score_names]
    multiplier = torch.ones_like(nothing.value)
    for name in metric.multiplying_names:
        multiplier = multiplier * verdicts[name].value
    return SubScores(
        values=torch.stack([verdict.value for verdict in columns], dim=-1),
        steps=torch.stack([verdict.step for verdict in columns], dim=-1),
        causes=torch.stack([_within_scene(name, verdicts, nothing, prepared) for name in metric.sub_score_names], -1),
        comfort=flags,
        multiplier=multiplier,
        progress_m=progress_along_route(rollouts, prepared),
        valid=valid,
        states=states,
    )


def _within_scene(name: str, verdicts: dict[str, Verdict], nothing: Verdict, prepared: PreparedScenes) -> Tensor:
    """(S, K): causes counted from the first object or red connector of their own scene."""
    cause = verdicts.get(name, nothing).cause
    offsets = prepared.red_offsets if name == "TLC" else prepared.object_offsets
    return torch.where(cause < 0, -1, cause - offsets[:-1, None])


def _comfort_name(metric: Metric) -> str:
    return "C" if metric is Metric.V1 else "HC"
