"""By which conventions plans are scored; every published number depends on all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import HumanFilter, Metric
from pair_drive_core.scoring.aggregation import TwoStageGroup
from pair_drive_core.scoring.score import Normalisation
from pair_drive_core.simulation.traffic import TrafficPolicy
from pair_drive_core.simulation.traffic_constant_velocity import ConstantVelocityTraffic
from pair_drive_core.simulation.traffic_idm import IdmTraffic


class Traffic(str, Enum):
    """What the others do while a plan is driven."""

    LOG = "log"
    CONSTANT_VELOCITY = "cv"
    IDM = "idm"

    def policy(self) -> TrafficPolicy | None:
        """The simulation; None for the log replay, which the scorer has built in."""
        if self is Traffic.LOG:
            return None
        return IdmTraffic() if self is Traffic.IDM else ConstantVelocityTraffic()


@dataclass(frozen=True)
class ScoreSettings:
    """How to score.

    Attributes:
        metric: PDMS (v1) or EPDMS (v2).
        human_filter: V2 only.
        normalisation: what progress is measured against, where several plans of a scene are scored.
        traffic: V2 only, beyond the log replay. The official two-stage script takes IDM in both stages, the one-stage
            script the log replay unless told otherwise.
        groups: of a two-stage benchmark (V2); none scores one stage.
    """

    metric: Metric = Metric.V2
    human_filter: HumanFilter = HumanFilter.FIXED
    normalisation: Normalisation = "single"
    traffic: Traffic = Traffic.LOG
    groups: tuple[TwoStageGroup, ...] = field(default=())

    def validate(self) -> ScoreSettings:
        """Check that the parts go together.

        Raises:
            SceneError: naming the parts that do not.
        """
        if self.metric is Metric.V1 and (self.traffic is not Traffic.LOG or self.groups):
            wrong = "two stages" if self.groups else f"traffic {self.traffic.value}"
            raise SceneError(f"settings: PDMS (v1) is defined for one stage and the log replay only, got {wrong}")
        if self.normalisation not in ("single", "batch"):
            raise SceneError(f"settings: expected normalisation 'single' or 'batch', got {self.normalisation!r}")
        if self.normalisation == "batch" and self.traffic is not Traffic.LOG:
            raise SceneError("settings: normalisation 'batch' needs the log replay; other traffic answers to each plan")
        return self

    def __str__(self) -> str:
        """One line that names every convention."""
        v1 = self.metric is Metric.V1
        parts = [
            "PDMS (v1, navsim v1.1)" if v1 else "EPDMS (v2, navsim main)",
            "two-stage" if self.groups else "one-stage",
            "no human filter in v1" if v1 else f"human filter {self.human_filter.value}",
            f"normalisation {self.normalisation}",
            f"traffic {self.traffic.value}",
        ]
        return ", ".join(parts)
