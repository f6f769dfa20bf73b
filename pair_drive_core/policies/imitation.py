"""The imitation branch alone as a planner."""

from __future__ import annotations

import math

import torch

from pair_drive_core.models.features import FeatureConfig, build_features
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import AgentInput


class ImitationPlanner:
    """Plans what the human would have done (paper section 3.2); `GuardedPlanner` checks what comes out."""

    def __init__(self, network: TransFuser, features: FeatureConfig, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device).eval()
        self.features = features

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "imitation"

    @torch.inference_mode()
    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead; see `Planner`."""
        poses = self.network(build_features(agent_input, self.features).to(self.device))[0].cpu()
        return Plan(poses, PlanSource.IMITATION, math.nan, math.nan)
