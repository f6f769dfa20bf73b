"""Why a candidate lost points: which rule, when, where, and because of whom."""

from __future__ import annotations

from dataclasses import dataclass

from pair_drive_core.scene import StateIndex
from pair_drive_core.scoring.comfort_signals import COMFORT_NAMES
from pair_drive_core.scoring.pdm_scores import PdmScores
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.simulation.sampling import STEP_S

_WHAT = {
    "NC": "collision at fault",
    "DAC": "a corner leaves the drivable area",
    "DDC": "2 m driven off the route's lanes within 1 s",
    "TLC": "on a connector that shows red",
    "TTC": "would collide within 1 s",
    "LK": "2 s off the centre line",
}


@dataclass(frozen=True)
class Infraction:
    """One sub-score below 1.

    Attributes:
        name: of the sub-score.
        value: of the sub-score, before the human filter.
        forgiven: whether the human filter set it to 1.
        time_s: when it happened first, after t0; None for sub-scores about the whole rollout.
        position: (x, y) of the centre of the ego's box at that time, global, m; None where there is no time.
        cause: track name of the object or id of the red lane connector; None where nobody else is involved.
        cause_position: (x, y) of the object's centre at that time, global, m; None where there is no object.
        detail: what happened, in words.
    """

    name: str
    value: float
    forgiven: bool
    time_s: float | None
    position: tuple[float, float] | None
    cause: str | None
    cause_position: tuple[float, float] | None
    detail: str

    def __str__(self) -> str:
        """One line for a report."""
        parts = [f"{self.name} = {self.value:.3g}: {self.detail}"]
        if self.cause is not None:
            parts.append(f"with {self.cause}")
        if self.time_s is not None and self.position is not None:
            parts.append(f"at {self.time_s:.1f} s near ({self.position[0]:.1f}, {self.position[1]:.1f})")
        if self.forgiven:
            parts.append("(forgiven: the human did it, too)")
        return " ".join(parts)


def explain(scores: PdmScores, prepared: PreparedScenes, scene: int, candidate: int) -> tuple[Infraction, ...]:
    """List all sub-scores of a candidate that are below 1.

    Args:
        scores: what `score` answered.
        prepared: the scenes that it was asked about.
        scene: index of the scene.
        candidate: index of the candidate.

    Returns:
        In the order of the sub-scores; empty for a plan without fault. An invalid plan has one entry named "plan".
    """
    if not bool(scores.valid[scene, candidate]):
        detail = "the plan holds NaN, infinity or poses out of this world"
        return (Infraction("plan", 0.0, False, None, None, None, None, detail),)
    below = [i for i in range(len(scores.names)) if float(scores.unfiltered[scene, candidate, i]) < 1.0]
    return tuple(_infraction(scores, prepared, scene, candidate, column) for column in below)


def _infraction(scores: PdmScores, prepared: PreparedScenes, scene: int, candidate: int, column: int) -> Infraction:
    name = scores.names[column]
    step, cause = int(scores.step[scene, candidate, column]), int(scores.cause[scene, candidate, column])
    value = float(scores.unfiltered[scene, candidate, column])
    token, place = _cause(name, prepared, scene, step, cause)
    return Infraction(
        name=name,
        value=value,
        forgiven=float(scores.sub[scene, candidate, column]) > value,
        time_s=None if step < 0 else step * STEP_S,
        position=None if step < 0 else _ego_center(scores, prepared, scene, candidate, step),
        cause=token,
        cause_position=place,
        detail=_detail(name, scores, scene, candidate),
    )


def _cause(
    name: str, prepared: PreparedScenes, scene: int, step: int, cause: int
) -> tuple[str | None, tuple[float, float] | None]:
    """Name and place of whoever caused an infraction."""
    if cause < 0:
        return None, None
    if name == "TLC":
        return prepared.red_tokens[scene][cause], None
    row = int(prepared.object_offsets[scene]) + cause
    # An object may appear only later, in the look-ahead of the projection.
    seen = prepared.object_present[row].nonzero()[:, 0]
    at = int(seen[(seen - step).abs().argmin()])
    center = prepared.object_states[row, at, :2].double().cpu() + prepared.origin[scene].cpu()
    return prepared.object_tokens[scene][cause], (float(center[0]), float(center[1]))


def _ego_center(
    scores: PdmScores, prepared: PreparedScenes, scene: int, candidate: int, step: int
) -> tuple[float, float]:
    state = scores.states[scene, candidate, step].double().cpu()
    heading = state[StateIndex.HEADING]
    origin = prepared.origin[scene].cpu()
    ahead = prepared.vehicle.rear_axle_to_center_m
    return (
        float(state[0] + ahead * heading.cos() + origin[0]),
        float(state[1] + ahead * heading.sin() + origin[1]),
    )


def _detail(name: str, scores: PdmScores, scene: int, candidate: int) -> str:
    if name in ("C", "HC"):
        kept = scores.comfort[scene, candidate].tolist()
        broken = [bound for bound, fine in zip(COMFORT_NAMES, kept, strict=True) if not fine]
        return "out of bounds: " + ", ".join(broken)
    if name == "EP":
        made, best = float(scores.progress_m[scene, candidate]), float(scores.reference_progress_m[scene])
        return f"{made:.1f} m along the route, PDM-Closed safely {best:.1f} m"
    return _WHAT[name]
