"""Planar curves in numpy from which roads are drawn.

Coordinates are rounded to a micrometre: vector instruction sets give sines and square roots that differ in the last
bit, and a town must come out the same on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pair_drive_core.geometry import wrap_angle

FloatArray = npt.NDArray[np.float64]

DECIMALS = 6
"""Coordinates, headings and states of a town are multiples of 1e-6."""


def snap(values: FloatArray) -> FloatArray:
    """Round to the town's resolution; also turns -0 into 0."""
    rounded: FloatArray = np.round(values, DECIMALS) + 0.0
    return rounded


def unit(heading: float | FloatArray) -> FloatArray:
    """(..., 2): unit vectors of headings in rad."""
    return np.stack((np.cos(heading), np.sin(heading)), axis=-1)


def arc_lengths(points: FloatArray) -> FloatArray:
    """(P,): arc length of each vertex of a (P, 2) polyline, m, 0 at the first."""
    steps = np.hypot(*np.diff(points[:, :2], axis=0).T)
    return np.concatenate((np.zeros(1), np.cumsum(steps)))


def resample(points: FloatArray, spacing_m: float) -> FloatArray:
    """Vertices at an equal spacing near `spacing_m`, the ends kept.

    Args:
        points: (P, 2), m.
        spacing_m: wanted spacing.

    Returns:
        (Q, 2), m.
    """
    arc = arc_lengths(points)
    count = max(round(float(arc[-1]) / spacing_m), 1) + 1
    at = np.linspace(0.0, float(arc[-1]), count)
    return np.stack((np.interp(at, arc, points[:, 0]), np.interp(at, arc, points[:, 1])), axis=-1)


def tangent_headings(points: FloatArray) -> FloatArray:
    """(P,): headings of a polyline by central differences, rad, not wrapped apart from the first."""
    slope = np.gradient(points[:, :2], axis=0)
    return np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def offset_left(points: FloatArray, headings: FloatArray, offset_m: float | FloatArray) -> FloatArray:
    """Shift a polyline to its left.

    Args:
        points: (P, 2), m.
        headings: (P,), rad.
        offset_m: scalar or (P,), left positive.

    Returns:
        (P, 2), m.
    """
    normal = np.stack((-np.sin(headings), np.cos(headings)), axis=-1)
    shifted: FloatArray = points + normal * np.reshape(offset_m, (-1, 1))
    return shifted


def blend(start: FloatArray, end: FloatArray, spacing_m: float, handle: float = 0.0) -> FloatArray:
    """A cubic Bezier curve that leaves one pose and arrives at another.

    Args:
        start: (3,), x, y, heading; m, rad.
        end: (3,), likewise.
        spacing_m: spacing of the vertices.
        handle: length of the control handles, m; 0 for a length that suits the turn.

    Returns:
        (P, 2), m.
    """
    chord = float(np.hypot(*(end[:2] - start[:2])))
    if handle <= 0.0:
        turn = abs(float(wrap_angle(end[2] - start[2])))
        # 4/3 tan(turn/4) radii approximate a circular arc; a chord is 2 radii sin(turn/2).
        handle = chord / 3.0 if turn < 0.05 else chord * (2.0 / 3.0) * np.tan(turn / 4.0) / np.sin(turn / 2.0)
        handle = min(handle * 1.12, 0.6 * chord)
    control = np.stack((start[:2], start[:2] + handle * unit(start[2]), end[:2] - handle * unit(end[2]), end[:2]))
    t = np.linspace(0.0, 1.0, max(int(chord / 0.2), 16))[:, None]
    curve = (
        (1 - t) ** 3 * control[0]
        + 3 * (1 - t) ** 2 * t * control[1]
        + 3 * (1 - t) * t**2 * control[2]
        + t**3 * control[3]
    )
    return resample(curve, spacing_m)


def oriented(points: FloatArray, first: float | None = None, last: float | None = None) -> FloatArray:
    """Attach headings to a polyline.

    Args:
        points: (P, 2), m.
        first: heading at the first vertex, rad; by the curve itself where None.
        last: heading at the last vertex, likewise.

    Returns:
        (P, 3): x, y, heading; heading wrapped; rounded to the town's resolution.
    """
    headings = tangent_headings(points)
    if first is not None:
        headings[0] = first
    if last is not None:
        headings[-1] = last
    return snap(np.column_stack((points, wrap_angle(headings))))


def strip(points: FloatArray, left_m: float, right_m: float) -> FloatArray:
    """Polygon between two offsets of an oriented polyline.

    Args:
        points: (P, 3), x, y, heading.
        left_m: offset of one side, left positive.
        right_m: offset of the other side, left positive.

    Returns:
        (2P, 2): open ring, m.
    """
    one = offset_left(points[:, :2], points[:, 2], left_m)
    other = offset_left(points[:, :2], points[:, 2], right_m)
    return snap(np.concatenate((one, other[::-1])))
