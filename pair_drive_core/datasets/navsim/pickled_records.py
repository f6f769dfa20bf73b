"""Inert substitutes for the nuPlan classes in second-stage scene files.

Those files hold the traffic of the future as pickled nuPlan objects. A substitute takes an object's place while the
file is read, keeps what it was made from as plain data and runs no code of the file or of nuPlan.
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
