"""The imitation branch alone as a planner."""

from __future__ import annotations

import math

import torch

from pair_drive_core.models.features import FeatureConfig, build_features
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.policies.plausibility import PlausibilityConfig, is_plausible, straight_stop
from pair_drive_core.scene import AgentInput


class ImitationPlanner:
    """Plans what the human would have done (paper section 3.2).

    An implausible output is replaced by a straight stop whose source says so; `fallbacks` counts them.
    """

    def __init__(
        self,
        network: TransFuser,
        features: FeatureConfig,
        device: torch.device | None = None,
        plausibility: PlausibilityConfig | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.network = network.to(self.device).eval()
        self.features = features
        self.plausibility = plausibility or PlausibilityConfig()
        self.fallbacks = 0

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "imitation"

    @torch.inference_mode()
    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead; see `Planner`."""
        poses = self.network(build_features(agent_input, self.features).to(self.device))[0].cpu()
        speed = float(agent_input.now.velocity[0])
        if not is_plausible(poses, speed, self.plausibility):
            self.fallbacks += 1
            return Plan(straight_stop(speed, self.plausibility), PlanSource.FALLBACK, math.nan, math.nan)
        return Plan(poses, PlanSource.IMITATION, math.nan, math.nan)
