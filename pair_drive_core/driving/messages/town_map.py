"""visualization_msgs/MarkerArray of a map, for viewers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pair_drive_core.driving.messages.candidates import line_marker
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_point
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene.sensors import FloatArray

_COLOR = (0.55, 0.55, 0.6, 0.8)
_WIDTH_M = 0.12


def to_map_markers(make: MakeMessage, rings: Iterable[FloatArray], frame_id: str) -> Any:  # noqa: ANN401
    """Edges of the lanes; they stay until others come.

    Args:
        make: maker of messages.
        rings: (V, 2) open rings, m.
        frame_id: their frame.
    """
    header = to_header(make, 0, frame_id)
    markers = []
    for number, ring in enumerate(rings):
        corners = [to_point(make, x, y) for x, y in (*ring.tolist(), ring[0].tolist())]
        markers.append(line_marker(make, header, "map", number, corners, _COLOR, _WIDTH_M, lifetime_s=0.0))
    return make("visualization_msgs/msg/MarkerArray", markers=markers)
