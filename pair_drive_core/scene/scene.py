"""A scene: everything that a plan is scored against."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pair_drive_core.scene.ego import EgoHistory, EgoState
from pair_drive_core.scene.map import LaneGraph, MapPolygons, Route
from pair_drive_core.scene.objects import TrackedObjects
from pair_drive_core.scene.traffic_lights import TrafficLights
from pair_drive_core.scene.trajectory import Trajectory
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.scene.vehicle import PACIFICA, VehicleParameters


@dataclass(frozen=True)
class Scene:
    """Ground truth around t0, in the global frame, on the CPU in float64.

    Attributes:
        token: the scene's name.
        time_us: t0, us.
        ego: state at t0 (no batch axis).
        history: past ego states, the last at t0.
        objects: key frames at 2 Hz from t0 on, 9 (4 s) or 11 (5 s) rows.
        map: polygons around the ego.
        route: lanes and centre line.
        lights: red states of on-route connectors at 10 Hz, 41 rows.
        lanes: lane graph for traffic and rule-based planning; None where the source does not give one.
        human: the demonstrated trajectory, 8 poses; None where there is none.
        reference: (41, 3) PDM-Closed reference at 10 Hz, global; None until planned.
        vehicle: measures of the ego.
        flaws: what the demonstrating driver did wrong, for evaluation only.
        planner_lights: lights on the corrected route, which the reference planner sees, where they differ from
            `lights`, which follow the recorded route; None where they do not.
    """

    token: str
    time_us: int
    ego: EgoState
    history: EgoHistory
    objects: TrackedObjects
    map: MapPolygons
    route: Route
    lights: TrafficLights
    lanes: LaneGraph | None = None
    human: Trajectory | None = None
    reference: Tensor | None = None
    vehicle: VehicleParameters = PACIFICA
    flaws: tuple[str, ...] = field(default=())
    planner_lights: TrafficLights | None = None

    @property
    def lights_on_route(self) -> TrafficLights:
        """Lights of the connectors in `route`: what a rule-based planner looks at."""
        return self.lights if self.planner_lights is None else self.planner_lights

    def validate(self) -> Scene:
        """Check every part.

        Raises:
            SceneError: naming the part at fault.
        """
        self.ego.validate()
        self.history.validate()
        self.objects.validate()
        self.map.validate()
        self.route.validate()
        self.lights_on_route.validate()
        self.lights.validate()
        if self.lanes is not None:
            self.lanes.validate()
        if self.human is not None:
            self.human.validate()
        if self.reference is not None:
            require_shape("Scene.reference", self.reference, ("T", 3))
        return self
