"""Driving commands for recordings that hold none: a fixed one, or what a route or the path driven afterwards says."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.routes import route_points
from pair_drive_core.driving.route_command import RouteCommander
from pair_drive_core.evaluation.bag_reader import Bag, BagError
from pair_drive_core.scene import DrivingCommand, SceneError
from pair_drive_core.scene.sensors import FloatArray

ROUTE_TYPE = "nav_msgs/msg/Path"
DRIVEN = "driven"
"""The command that follows the path that was driven afterwards."""
_EARTH_RADIUS_M = 6_378_137.0
_LEAST_DRIVEN_M = 2.0


class CommandSource(Protocol):
    """Says where to go."""

    def command(self, motion: MotionSample) -> DrivingCommand:
        """The command of a moment.

        Args:
            motion: of the ego then.
        """
        ...


class FixedCommand:
    """The same command all the time."""

    def __init__(self, command: DrivingCommand) -> None:
        self._command = command

    def command(self, motion: MotionSample) -> DrivingCommand:
        """See `CommandSource`."""
        return self._command


class AlongRoute:
    """What a route says, by the rules of `driving/route_command.py`."""

    def __init__(self, points: FloatArray) -> None:
        self._commander = RouteCommander()
        self._commander.set_route(points)

    def command(self, motion: MotionSample) -> DrivingCommand:
        """See `CommandSource`."""
        return self._commander.command(motion.pose, float(motion.velocity[0]))


def driven_route(bag: Bag, path: list[MotionSample]) -> CommandSource:
    """What the path that was driven afterwards says; UNKNOWN where the vehicle stood all the time.

    Raises:
        BagError: without any ego motion.
    """
    if not path:
        raise BagError(bag.path, "no usable odometry, so the command cannot come from the path that was driven")
    points = np.array([sample.pose[:2] for sample in path])
    # Noise of a standing vehicle is no path.
    kept = [points[0]]
    for point in points[1:]:
        if math.dist(point, kept[-1]) > 0.25:
            kept.append(point)
    if sum(math.dist(a, b) for a, b in itertools.pairwise(kept)) < _LEAST_DRIVEN_M:
        return FixedCommand(DrivingCommand.UNKNOWN)
    return AlongRoute(np.array(kept))


def route_source(bag: Bag, route: str, origin: tuple[float, float] | None) -> CommandSource:
    """A route from a file or from the recording.

    Args:
        bag: the recording.
        route: a GeoJSON file, or a topic of nav_msgs/Path in the recording (its last route counts).
        origin: latitude and longitude in degrees of the odometry's origin, whose axes point east and north, for a
            GeoJSON in degrees; None for one in metres in the odometry's frame.

    Raises:
        BagError: for a topic that is missing or of another type.
        SceneError: for a route that is none.
        FileNotFoundError: for a file that is missing.
    """
    if bag.topics.get(route) == ROUTE_TYPE:
        *_, last = bag.stored({route})
        try:
            return AlongRoute(route_points(bag.decode(last)))
        except MessageError as error:
            raise BagError(bag.path, f"topic {route}, message {last.index}: {error}") from None
    if route.startswith("/") and not Path(route).exists():
        available = ", ".join(f"{t} ({kind})" for t, kind in sorted(bag.topics.items()) if kind == ROUTE_TYPE)
        raise BagError(
            bag.path,
            f"route {route}: expected a topic of {ROUTE_TYPE} or a file; the recording holds {available or 'none'}",
        )
    return AlongRoute(geojson_route(Path(route), origin))


def geojson_route(path: Path, origin: tuple[float, float] | None) -> FloatArray:
    """(P, 2) places along the first line of a GeoJSON file, m; degrees are laid onto the plane at `origin`.

    Raises:
        SceneError: if the file holds no line, or numbers that are not finite.
        FileNotFoundError: if there is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SceneError(f"{path}: not GeoJSON ({error})") from None
    line = next(_lines(document), None)
    try:
        points = np.array([place[:2] for place in line or []], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, IndexError):
        raise SceneError(f"{path}: expected a line of pairs of numbers") from None
    if len(points) < 2 or not np.isfinite(points).all():
        raise SceneError(f"{path}: expected a LineString of two or more finite places")
    if origin is None:
        return points
    latitude, longitude = origin
    east = np.radians(points[:, 0] - longitude) * math.cos(math.radians(latitude)) * _EARTH_RADIUS_M
    return np.column_stack((east, np.radians(points[:, 1] - latitude) * _EARTH_RADIUS_M))


def _lines(node: Any) -> Iterator[list[Any]]:  # noqa: ANN401 - plain JSON values
    """Coordinates of all lines of a GeoJSON object."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "LineString":
        yield node.get("coordinates") or []
    elif node.get("type") == "MultiLineString":
        yield [place for part in node.get("coordinates") or [] for place in part]
    for key in ("geometry", "features", "geometries"):
        inner = node.get(key)
        for entry in inner if isinstance(inner, list) else [inner]:
            yield from _lines(entry)
