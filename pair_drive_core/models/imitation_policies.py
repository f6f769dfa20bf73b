"""All imitation policies: from a configuration to a network, and from a network to a policy that GRPO can train."""

from __future__ import annotations

from typing import Any

from pair_drive_core.models.denoising_groups import DenoisingGroups
from pair_drive_core.models.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from pair_drive_core.models.ego_status import EgoStatusConfig, EgoStatusPolicy
from pair_drive_core.models.group_policy import GroupPolicy
from pair_drive_core.models.imitation_policy import ImitationPolicy
from pair_drive_core.models.plan_groups import PlanGroups
from pair_drive_core.models.stochastic_plan import StochasticPlanConfig
from pair_drive_core.models.transfuser import TransFuser, TransFuserConfig

ImitationPolicyConfig = TransFuserConfig | DiffusionDriveConfig | EgoStatusConfig
"""Told apart by `kind`; TransFuser's where none is given. Its latent variant is a setting of the backbone."""


def build_imitation(config: ImitationPolicyConfig) -> ImitationPolicy:
    """The network of a configuration."""
    if isinstance(config, DiffusionDriveConfig):
        return DiffusionDrive(config)
    if isinstance(config, EgoStatusConfig):
        return EgoStatusPolicy(config)
    return TransFuser(config)


def groups_of(network: ImitationPolicy, group_size: int, spread: StochasticPlanConfig) -> GroupPolicy[Any, Any]:
    """A network as what GRPO trains: its denoising chain where it has one, else chance around its plan."""
    if isinstance(network, DiffusionDrive):
        return DenoisingGroups(network, group_size, spread)
    return PlanGroups(network, group_size, spread)
