"""A plan in, driven states out: log replay, sampling, the LQR tracker and the kinematic bicycle."""

from pair_drive_core.simulation.log_replay import replay_objects
from pair_drive_core.simulation.past import past_states
from pair_drive_core.simulation.proposals import interpolate_plans
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S, plan_sampling
from pair_drive_core.simulation.simulate import simulate, simulate_poses

__all__ = [
    "SIMULATION_STEPS",
    "STEP_S",
    "interpolate_plans",
    "past_states",
    "plan_sampling",
    "replay_objects",
    "simulate",
    "simulate_poses",
]
