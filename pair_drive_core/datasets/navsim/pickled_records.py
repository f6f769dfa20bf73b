"""Inert substitutes for the nuPlan and NAVSIM classes in second-stage scenes and official metric caches.

Those files hold pickled objects of the devkit. A substitute takes an object's place while the file is read, keeps what
it was made from as plain data and runs no code of the file or of the devkit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pair_drive_core.datasets.navsim.stand_ins import Budget, Maker, PickleError, StandIn

_RECORD_BYTES = 160
_ENTRY_BYTES = 104
_LONGEST_PATH = 4096


class PickledRecord(StandIn):
    """What was stored of one object.

    Attributes:
        name: the class it was an object of.
        args: what it was made from.
        fields: its attributes.
    """

    __slots__ = ("args", "fields", "name")

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        """Keep the arguments."""
        self.name = name
        self.args = args
        self.fields: dict[str, Any] = {}

    def fill(self, state: object, budget: Budget) -> PickledRecord:
        """Keep the attributes: a dictionary, or a pair of one and the slots' values.

        Raises:
            PickleError: for any other state.
        """
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                budget.charge(_ENTRY_BYTES * len(part))
                self.fields.update(part)
            elif part is not None:
                raise PickleError(f"expected attributes of a {self.name}, got {type(part).__name__}")
        return self

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  (plain data of a file)
        """An attribute; the leading underscore of private ones may be left out.

        Raises:
            KeyError: if it was not stored.
        """
        for key in (name, f"_{name}"):
            if key in self.fields:
                return self.fields[key]
        raise KeyError(f"{self.name}.{name}")


def _record(name: str, args: tuple[object, ...], budget: Budget) -> PickledRecord:
    budget.charge(_RECORD_BYTES)
    return PickledRecord(name, args)


def _path(args: tuple[object, ...], budget: Budget) -> str:
    """The text of a path, of its parts."""
    parts = [part for part in args if isinstance(part, str)]
    if len(parts) != len(args) or sum(map(len, parts)) + len(parts) > _LONGEST_PATH:
        raise PickleError(f"expected a path of texts, {_LONGEST_PATH} characters in all")
    budget.charge(_LONGEST_PATH)
    return "/".join(parts)


def _nothing(args: tuple[object, ...], budget: Budget) -> None:
    """Geometry that nuPlan had computed and stored along; it is not needed."""


def _well_known_binary(args: tuple[object, ...], budget: Budget) -> bytes:
    """Geometry as the bytes that it was stored in; who wants a shape checks them first (`check_wkb`)."""
    content = args[0] if len(args) == 1 else None
    if not isinstance(content, bytes):
        raise PickleError("expected geometry as well-known binary")
    return content


_ACTORS = "nuplan.common.actor_state"
_CLASSES = {
    f"{_ACTORS}.agent": ("Agent",),
    f"{_ACTORS}.static_object": ("StaticObject",),
    f"{_ACTORS}.scene_object": ("SceneObject", "SceneObjectMetadata"),
    f"{_ACTORS}.oriented_box": ("OrientedBox", "Dimension", "OrientedBoxPointType"),
    f"{_ACTORS}.state_representation": ("StateSE2", "StateVector2D", "Point2D", "TimePoint", "ProgressStateSE2"),
    f"{_ACTORS}.tracked_objects": ("TrackedObjects",),
    f"{_ACTORS}.tracked_objects_types": ("TrackedObjectType",),
    "nuplan.common.maps.maps_datatypes": (
        "TrafficLightStatuses",
        "TrafficLightStatusData",
        "TrafficLightStatusType",
    ),
    "nuplan.planning.simulation.observation.observation_type": ("DetectionsTracks",),
    "shapely.geometry.polygon": ("Polygon", "LinearRing"),
}

STAND_INS: Mapping[tuple[str, str], Maker] = {
    **{(module, name): partial(_record, name) for module, names in _CLASSES.items() for name in names},
    **{("pathlib", name): _path for name in ("Path", "PosixPath", "PurePosixPath", "WindowsPath")},
    ("shapely.io", "from_wkb"): _nothing,
    ("shapely.lib", "from_wkb"): _nothing,
}
"""What `load_restricted` puts in place of each class of a second-stage scene."""

_PDM = "navsim.planning.simulation.planner.pdm_planner"
_METRIC_CACHE_CLASSES = {
    "navsim.common.dataclasses": ("Trajectory",),
    "navsim.common.enums": ("SceneFrameType",),
    "navsim.planning.metric_caching.metric_cache": ("MetricCache", "MapParameters"),
    f"{_PDM}.observation.pdm_observation": ("PDMObservation",),
    f"{_PDM}.observation.pdm_occupancy_map": ("PDMOccupancyMap", "PDMDrivableMap"),
    f"{_PDM}.utils.pdm_path": ("PDMPath",),
    f"{_ACTORS}.car_footprint": ("CarFootprint",),
    f"{_ACTORS}.dynamic_car_state": ("DynamicCarState",),
    f"{_ACTORS}.ego_state": ("EgoState",),
    f"{_ACTORS}.vehicle_parameters": ("VehicleParameters",),
    "nuplan.common.maps.maps_datatypes": ("SemanticMapLayer",),
    "nuplan.planning.simulation.trajectory.interpolated_trajectory": ("InterpolatedTrajectory",),
    "nuplan.planning.simulation.trajectory.trajectory_sampling": ("TrajectorySampling",),
}

METRIC_CACHE_STAND_INS: Mapping[tuple[str, str], Maker] = {
    **STAND_INS,
    **{(module, name): partial(_record, name) for module, names in _METRIC_CACHE_CLASSES.items() for name in names},
    ("shapely.io", "from_wkb"): _well_known_binary,
    ("shapely.lib", "from_wkb"): _well_known_binary,
}
"""What `load_restricted` puts in place of each class of an official metric cache."""
