"""The plan before, seen from where the ego is now."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.geometry import compose_se2, relative_se2, wrap_angle
from pair_drive_core.planning.plan import Plan
from pair_drive_core.planning.planner import Planner, SteadyPlanner
from pair_drive_core.scene import AgentInput, EgoStatus, Trajectory


@dataclass(frozen=True)
class EarlierPlan:
    """A plan that was made some time ago.

    Attributes:
        time_us: its t0.
        knots: (9, 3) its poses from t0 on in the continuous frame of the odometry; m, rad.
        interval_s: time between them.
    """

    time_us: int
    knots: Tensor
    interval_s: float

    @staticmethod
    def of(plan: Plan, status: EgoStatus) -> EarlierPlan:
        """Place a plan that was made at a status."""
        world_se2_ego = torch.as_tensor(status.pose, dtype=torch.float64)
        knots = Trajectory(plan.poses.to(torch.float64), plan.interval_s).with_start()
        return EarlierPlan(status.time_us, compose_se2(world_se2_ego, knots), plan.interval_s)

    def age_s(self, status: EgoStatus) -> float:
        """Time since its t0, s."""
        return (status.time_us - self.time_us) * 1e-6

    def at(self, status: EgoStatus) -> Tensor:
        """(8, 3) where the plan wanted the ego to be after each interval from another t0 on, in the ego frame then."""
        return self.seen_from(torch.as_tensor(status.pose, dtype=torch.float64), status.time_us)

    def seen_from(self, pose: Tensor, time_us: int) -> Tensor:
        """The same from a pose, (3,) in the frame of the knots, at a time."""
        offset = (time_us - self.time_us) * 1e-6 / self.interval_s
        index = torch.arange(1, self.knots.shape[0], dtype=torch.float64) + offset
        last = self.knots.shape[0] - 2
        before = index.floor().clamp(0, last).long()
        fraction = (index - before).unsqueeze(-1)
        start, end = self.knots[before], self.knots[before + 1]
        # Beyond its end the plan goes on as it went last, but does not turn any further.
        turn = wrap_angle(end[:, 2] - start[:, 2]) * fraction[:, 0].clamp(max=1.0)
        poses = torch.cat((start[:, :2] + fraction * (end - start)[:, :2], (start[:, 2] + turn).unsqueeze(-1)), dim=-1)
        return relative_se2(pose, poses)


def plan_after(planner: Planner, agent_input: AgentInput, earlier: EarlierPlan | None) -> Plan:
    """Plan, and let a planner that can do so weigh the plan before (`SteadyPlanner`).

    Args:
        planner: any.
        agent_input: what it sees.
        earlier: the plan before while it is fresh; None where there is none.
    """
    if earlier is None or not isinstance(planner, SteadyPlanner):
        return planner.plan(agent_input)
    return planner.plan_after(agent_input, earlier.at(agent_input.now))
