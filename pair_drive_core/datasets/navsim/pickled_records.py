"""Inert substitutes for the nuPlan classes in second-stage scene files.

Those files hold the traffic of the future as pickled nuPlan objects. A substitute takes an object's place while the
file is read, keeps what it was made from as plain data and runs no code of the file or of nuPlan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class PickledRecord:
    """What was stored of one object.

    Attributes:
        name: the class it was an object of.
        args: what it was made from.
        fields: its attributes.
    """

    name = ""

    def __new__(cls, *args: Any) -> PickledRecord:  # noqa: ANN401  (plain data of a file)
        """Keep the arguments."""
        record = super().__new__(cls)
        record.args = args
        record.fields = {}
        return record

    args: tuple[Any, ...]
    fields: dict[str, Any]

    def __init__(self, *args: Any) -> None:  # noqa: ANN401
        """Nothing is left to do."""

    def __setstate__(self, state: object) -> None:
        """Keep the attributes: a dictionary, or a pair of one and the slots' values."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.fields.update(part)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """An attribute; the leading underscore of private ones may be left out.

        Raises:
            KeyError: if it was not stored.
        """
        for key in (name, f"_{name}"):
            if key in self.fields:
                return self.fields[key]
        raise KeyError(f"{self.name}.{name}")


def _substitute(name: str) -> type[PickledRecord]:
    return type(name, (PickledRecord,), {"name": name})


def _path(*parts: str) -> str:
    return "/".join(parts)


def _nothing(*_: object) -> None:
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
}

STAND_INS: Mapping[tuple[str, str], Callable[..., object]] = {
    **{(module, name): _substitute(name) for module, names in _CLASSES.items() for name in names},
    **{("pathlib", name): _path for name in ("Path", "PosixPath", "PurePosixPath", "WindowsPath")},
    **{("shapely.geometry.polygon", name): _substitute(name) for name in ("Polygon", "LinearRing")},
    ("shapely.io", "from_wkb"): _nothing,
    ("shapely.lib", "from_wkb"): _nothing,
}
"""What `load_restricted` puts in place of each class of a second-stage scene."""
