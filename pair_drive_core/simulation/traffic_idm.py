"""Vehicles that follow their lanes and react to the ego and to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
import torch
from torch import Tensor

from pair_drive_core.scene import LaneGraph, Scene, SceneError, StateIndex, TrackedObjects
from pair_drive_core.scene.validation import require_finite, require_shape
from pair_drive_core.simulation.idm import IdmParameters
from pair_drive_core.simulation.rail_vehicle import Rails, RailVehicle, along, box_polygon, place_on_rails
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S
from pair_drive_core.simulation.traffic import vehicles_at_start, with_recorded_others

FloatArray = npt.NDArray[np.float64]
_SIMPLIFY_M = 1e-5
"""Tolerance with which the official manager cleans footprints of nearly equal points."""
_STATIONARY_MPS = 0.1


@dataclass(frozen=True)
class IdmTraffic:
    """NAVSIM's reactive traffic (official `NavsimIDMTrafficAgents` with its standard configuration).

    Vehicles near a lane are put on its centre line and follow the intelligent driver model towards whatever stands in
    their corridor: the ego, each other. Kept from the official code: traffic lights are ignored, a rail ends where its
    lane ends, the ego's box is centred on its rear axle and one step late, vehicles farther than `radius_m` vanish for
    good, vehicles that are off the rails are shown only where they are parked off the lanes or far from a centre line
    and nobody drives through them, other classes follow the log.

    Where the official code stops with an assertion because a vehicle has left its own corridor, or because its lane
    has a centre line of fewer than three points, this one goes on: the first drives on behind whatever is nearest, the
    second is off the rails.

    Attributes:
        parameters: the drivers' manners.
        radius_m: farther from the ego than this vehicles are dropped.
        snap_m: largest distance to a centre line at which a vehicle is put on it.
    """

    parameters: IdmParameters = field(default_factory=IdmParameters)
    radius_m: float = 100.0
    snap_m: float = 3.0

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "idm"

    def simulate(self, scene: Scene, ego_states: Tensor) -> TrackedObjects:
        """Reactive tracks; see `TrafficPolicy.simulate`.

        Raises:
            SceneError: if the scene has no lane graph or the ego states are malformed.
        """
        self.parameters.validate()
        if scene.lanes is None:
            raise SceneError("IdmTraffic: expected a scene with a lane graph (Scene.lanes), got none")
        require_shape("ego_states", ego_states, (SIMULATION_STEPS, len(StateIndex)))
        require_finite("ego_states", ego_states)
        vehicles = vehicles_at_start(scene)
        run = _Run(self, scene, scene.lanes, vehicles)
        count = len(vehicles.tokens)
        states = np.zeros((SIMULATION_STEPS - 1, count, 5))
        present = np.zeros((SIMULATION_STEPS - 1, count), dtype=bool)
        ego = ego_states.double().numpy()
        for step in range(SIMULATION_STEPS - 1):
            run.advance(ego[step])
            run.observe(states[step], present[step])
        return with_recorded_others(scene, vehicles, torch.from_numpy(states), torch.from_numpy(present))


class _Run:
    """One rollout: who is where, and the footprints by which vehicles see each other."""

    def __init__(self, policy: IdmTraffic, scene: Scene, lanes: LaneGraph, vehicles: TrackedObjects) -> None:
        self.policy = policy
        self.vehicle = scene.vehicle
        self.start = vehicles.states[0].double().numpy()
        sizes = vehicles.sizes.double().numpy()
        self.boxes = [
            box_polygon((s[0], s[1], s[2]), z[0], z[1])
            for s, z in zip(self.start.tolist(), sizes.tolist(), strict=True)
        ]
        rails = Rails.of(scene, lanes)
        x, y, heading = scene.ego.pose.double().tolist()
        offset = self.vehicle.rear_axle_to_center_m
        ego = self._ego_box(x + offset * np.cos(heading), y + offset * np.sin(heading), heading)
        self.drivers, self.footprints = place_on_rails(rails, vehicles, ego, policy.parameters, policy.snap_m)
        self.parked = self._may_park(rails)

    def _ego_box(self, x: float, y: float, heading: float) -> shapely.Polygon:
        return box_polygon((x, y, heading), self.vehicle.length_m, self.vehicle.width_m)

    def _may_park(self, rails: Rails) -> npt.NDArray[np.bool_]:
        """(V,): vehicles that are shown standing when they are not driven: parked off the lanes, or far from a rail."""
        may = np.zeros(len(self.boxes), dtype=bool)
        for row, (x, y, heading, vx, vy) in enumerate(self.start.tolist()):
            off_lanes = not rails.on_lane(x, y) and not rails.in_intersection(x, y)
            snap = rails.snap((x, y, heading))
            far = snap is not None and snap.deviation_m > self.policy.snap_m
            may[row] = far or (off_lanes and np.hypot(vx, vy) < _STATIONARY_MPS)
        return may

    def advance(self, ego: FloatArray) -> None:
        """Move every driver by 0.1 s, one after the other, given the ego's state before the step."""
        ego_box = self._ego_box(ego[0], ego[1], ego[2])
        near = [bool(np.hypot(*(np.array(d.pose[:2]) - ego[:2])) <= self.policy.radius_m) for d in self.drivers]
        self.drivers = [d for d, keep in zip(self.drivers, near, strict=True) if keep]
        self.footprints = [f for f, keep in zip(self.footprints, near, strict=True) if keep]
        scenery = np.array([*self.footprints, ego_box], dtype=object)
        scenery = shapely.simplify(scenery, _SIMPLIFY_M, preserve_topology=True)
        for index, driver in enumerate(self.drivers):
            leader, gap = self._leader(index, driver, scenery)
            if leader is None:
                driver.drive(self.policy.parameters, driver.free_road_m - driver.length_m / 2.0, 0.0, STEP_S)
            else:
                speed, heading = self._motion(leader, ego)
                driver.drive(self.policy.parameters, gap, along(speed, heading, driver.pose[2]), STEP_S)
            footprint = driver.footprint(self.policy.parameters.headway_s)
            scenery[index] = shapely.simplify(footprint, _SIMPLIFY_M, preserve_topology=True)
        self.footprints = list(scenery[:-1])

    def _leader(self, index: int, driver: RailVehicle, scenery: npt.NDArray[np.object_]) -> tuple[int | None, float]:
        """The nearest thing in a driver's corridor and the gap to it.

        Trees are asked as in the official code, because several footprints that overlap the driver's are equally near
        and the tree's order then decides.
        """
        corridor = driver.corridor()
        hits = shapely.STRtree(scenery).query(corridor)
        hits = hits[shapely.intersects(scenery[hits], corridor)]
        others = hits[hits != index]
        if others.shape[0] == 0:
            return None, 0.0
        nearest = int(others[shapely.STRtree(scenery[others]).nearest(scenery[index])])
        return nearest, float(shapely.distance(scenery[index], scenery[nearest]))

    def _motion(self, leader: int, ego: FloatArray) -> tuple[float, float]:
        """Speed and heading of a driver, or of the ego when `leader` lies behind the last driver."""
        if leader == len(self.drivers):
            return float(np.hypot(ego[3], ego[4])), float(ego[2])
        return self.drivers[leader].speed, self.drivers[leader].pose[2]

    def observe(self, states: FloatArray, present: npt.NDArray[np.bool_]) -> None:
        """Write what is there to be seen into one row of tracks, (V, 5) and (V,)."""
        shown: list[shapely.Geometry] = []
        for driver in self.drivers:
            x, y, heading = driver.pose
            velocity = driver.speed * np.array([np.cos(heading), np.sin(heading)])
            states[driver.row] = (x, y, heading, velocity[0], velocity[1])
            present[driver.row] = True
            shown.append(box_polygon((x, y, heading), driver.length_m, driver.width_m))
        for row in np.flatnonzero(self.parked & ~present):
            if not shown or not shapely.intersects(np.array(shown, dtype=object), self.boxes[row]).any():
                states[row], present[row] = self.start[row], True
                shown.append(self.boxes[row])
