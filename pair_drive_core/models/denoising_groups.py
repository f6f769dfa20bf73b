"""A denoising chain as a policy of groups that GRPO can learn from: which anchor, then a departure at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.diffusion_drive import Denoised, DiffusionDrive
from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.stochastic_plan import StochasticPlan, StochasticPlanConfig


@dataclass(frozen=True)
class ChainGroup:
    """Chains of K trajectories of B moments, S steps each.

    Attributes:
        plan: (B, 8, 3), the policy's own, without chance.
        plan_anchor: (B,) int64, that it came from.
        anchors: (B, K) int64, that the chains start from.
        means: S of (B, K, 8, 2), where each step would have gone without chance, m.
        visited: S of (B, K, 8, 2), where it went, m.
        coefficients: S of (B, K, 2, 2), of its departure.
        trajectories: (B, K, 8, 3), where the chains end.
    """

    plan: Tensor
    plan_anchor: Tensor
    anchors: Tensor
    means: tuple[Tensor, ...]
    visited: tuple[Tensor, ...]
    coefficients: tuple[Tensor, ...]
    trajectories: Tensor

    @property
    def leaves(self) -> Tensor:
        """(B, 1 + K, 8, 3): the plan and the ends of the chains."""
        return torch.cat((self.plan.unsqueeze(1), self.trajectories), dim=1)

    @property
    def numbers(self) -> Tensor:
        """(B, K, 1 + S): chains of one anchor share the choice of it; each step is one's own."""
        own = torch.arange(self.anchors.shape[1], device=self.anchors.device).expand_as(self.anchors)
        return torch.stack((self.anchors, *(own,) * len(self.means)), dim=-1)

    @property
    def families(self) -> Tensor:
        """(B, 1 + K): anchors."""
        return torch.cat((self.plan_anchor.unsqueeze(1), self.anchors), dim=1)


@dataclass(frozen=True)
class ChainDecisions:
    """The present policy at the steps of earlier chains.

    Attributes:
        log_anchor: (B, N), log-probability of each anchor.
        gaps: S of (B, K, 2, 2), the present steps' departure from the earlier ones, in coefficients.
        std: (2,), of the coefficients.
        draw: the chains.
    """

    log_anchor: Tensor
    gaps: tuple[Tensor, ...]
    std: Tensor
    draw: ChainGroup

    def log_prob(self) -> Tensor:
        """(B, K, 1 + S)."""
        found = [self.log_anchor.gather(1, self.draw.anchors)]
        for gap, coefficients in zip(self.gaps, self.draw.coefficients, strict=True):
            standard = (coefficients - gap) / self.std
            density = -0.5 * standard.square() - self.std.log() - 0.5 * math.log(2.0 * math.pi)
            found.append(density.sum((-2, -1)))
        return torch.stack(found, dim=-1)

    def kl_from(self, previous: ChainDecisions) -> Tensor:
        """(B, K, 1 + S): exact for the anchors, and for each step where it was."""
        choice = (previous.log_anchor.exp() * (previous.log_anchor - self.log_anchor)).sum(1, keepdim=True)
        steps = [
            0.5 * ((gap - before) / self.std).square().sum((-2, -1))
            for gap, before in zip(self.gaps, previous.gaps, strict=True)
        ]
        return torch.stack((choice.expand_as(self.draw.anchors), *steps), dim=-1)

    def entropy(self) -> Tensor:
        """(B, K, 1 + S): of the anchors; the steps' deviation does not learn."""
        choice = -(self.log_anchor.exp() * self.log_anchor).sum(1, keepdim=True).expand_as(self.draw.anchors)
        return torch.stack((choice, *(torch.zeros_like(choice),) * len(self.gaps)), dim=-1)

    def detach(self) -> ChainDecisions:
        """See `Decisions`."""
        return ChainDecisions(self.log_anchor.detach(), tuple(g.detach() for g in self.gaps), self.std, self.draw)


class DenoisingGroups:
    """DiffusionDrive as a policy of groups.

    Args:
        network: in evaluation mode.
        group_size: trajectories G, the plan itself included.
        spread: of the departures at each step.
    """

    def __init__(self, network: DiffusionDrive, group_size: int, spread: StochasticPlanConfig) -> None:
        self.network, self.group_size, self.around = network, group_size, StochasticPlan(spread)

    @torch.no_grad()
    def sample(self, moments: Moments, generator: torch.Generator) -> ChainGroup:
        """See `GroupPolicy`."""
        network, batch = self.network, len(moments.features)
        bev = network.backbone(moments.features, imagine=False)
        certain = network.plans(bev)
        likely = torch.softmax(certain.logits, dim=1)
        anchors = torch.multinomial(likely.cpu(), self.group_size - 1, True, generator=generator).to(likely.device)
        best, row = certain.logits.argmax(1), torch.arange(batch, device=likely.device)
        means: list[Tensor] = []
        visited: list[Tensor] = []
        departures: list[Tensor] = []
        at: Tensor | None = None
        for number in range(len(network.steps())):
            mean, denoised = self._step(bev, anchors, at, number)
            chance = self.around.coefficients((batch, anchors.shape[1]), mean, generator)
            reached = mean[..., :2] + self.around.depart(torch.zeros_like(denoised.poses), chance)[..., :2]
            means.append(mean)
            visited.append(reached)
            departures.append(chance)
            at = reached
        ends = self.around.depart(denoised.poses, departures[-1])
        return ChainGroup(
            certain.poses[row, best], best, anchors, tuple(means), tuple(visited), tuple(departures), ends
        )

    def decisions(self, moments: Moments, draw: ChainGroup) -> ChainDecisions:
        """See `GroupPolicy`."""
        bev = self.network.backbone(moments.features, imagine=False)
        log_anchor = torch.log_softmax(self.network.plans(bev).logits, dim=1)
        gaps = []
        for number, before in enumerate(draw.means):
            at = None if number == 0 else draw.visited[number - 1]
            gaps.append(self.around.between(self._step(bev, draw.anchors, at, number)[0], before))
        return ChainDecisions(log_anchor, tuple(gaps), self.around.std.to(log_anchor), draw)

    def _step(self, bev: BevFeatures, anchors: Tensor, at: Tensor | None, number: int) -> tuple[Tensor, Denoised]:
        """Where a step of the chains leads without chance, (B, K, 8, 2) in m, and what the network thinks there."""
        network, steps = self.network, self.network.steps()
        if at is None:
            noisy = network.start(anchors.shape[0])
            index = anchors[..., None, None].expand(-1, -1, *noisy.shape[2:])
            noisy = noisy.gather(1, index)
        else:
            noisy = network.normalised(at)
        denoised = network.denoise(bev, noisy, steps[number])
        if number + 1 == len(steps):
            return denoised.poses[..., :2], denoised
        return network.metres(network.less_noisy(noisy, denoised, steps[number], steps[number + 1])), denoised
