"""The route of a scene as the official metric prepares it: corrected roadblocks, their lanes, the centre line.

Sources: NAVSIM `route_utils.route_roadblock_correction`, `AbstractPDMPlanner`, nuPlan `BreadthFirstSearchRoadBlock` and
`Dijkstra`. The order in which candidates are looked at decides ties, so it is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Point, Polygon

from pair_drive_core.datasets.maps.map_index import Block, Edge, MapIndex, block_of
from pair_drive_core.datasets.maps.nuplan_map import RoadblockConnector
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import SceneError

FloatArray = npt.NDArray[np.float64]

_NEARBY_M = 1.0
_MAX_HEADING_ERROR = math.pi / 4
_MAX_DISPLACEMENT_M = 3.0
_BACKWARD_DEPTH = 15
_FORWARD_DEPTH = 30
_SEARCH_DEPTH = 30
_MAX_OVERLAP_M2 = 1.0


def route_edges(index: MapIndex, block_ids: Sequence[int]) -> dict[str, Edge]:
    """Lanes and lane connectors of a route, by token, in the route's order.

    Raises:
        SceneError: if the map does not hold a block of the route.
    """
    edges: dict[str, Edge] = {}
    for fid in dict.fromkeys(block_ids):
        for edge in index.interior(index.block(fid)):
            edges[str(edge.fid)] = edge
    return edges


def corrected_route(index: MapIndex, pose: FloatArray, block_ids: Sequence[int]) -> list[int]:
    """Make a route start where the ego is, without gaps and without loops.

    Args:
        index: the map.
        pose: (3,), rear axle x, y, heading; m, rad.
        block_ids: the recorded route.

    Returns:
        Ids of roadblocks and roadblock connectors in driving order.

    Raises:
        SceneError: if the route is empty, names a block that the map does not hold, or the map has no roadblocks.
    """
    route = list(dict.fromkeys(block_ids))
    if not route:
        raise SceneError("expected a route of at least one roadblock, got none")
    for fid in route:
        index.block(fid)
    start, candidates = _current_blocks(index, pose, set(route))
    if start.fid not in route:
        route = _joined_to_start(index, route, start.fid, {block.fid for block in candidates})
    return _without_loops(index, _without_gaps(index, route))


def route_centerline(
    index: MapIndex,
    pose: FloatArray,
    footprint: Polygon,
    center: FloatArray,
    route: Sequence[int],
    edges: dict[str, Edge],
    drivable: tuple[Sequence[str], shapely.STRtree],
) -> FloatArray:
    """Centre line of the lanes that lead from the ego to the end of the route.

    Args:
        index: the map.
        pose: (3,), rear axle; m, rad.
        footprint: the ego's box.
        center: (2,), centre of the ego's box, m.
        route: corrected route.
        edges: its lanes and connectors.
        drivable: tokens and tree of the polygons around the ego, in the official order.

    Returns:
        (C, 3): x, y, heading; joint points of consecutive lanes are there twice.

    Raises:
        SceneError: if no lane of the route can be found.
    """
    start = _starting_edge(index, pose, footprint, center, edges, drivable)
    blocks = list(dict.fromkeys(route))
    first = blocks.index(block_of(start)) if block_of(start) in blocks else 0
    target = blocks[first : first + _SEARCH_DEPTH][-1]
    lanes = _shortest_path(index, start, target, set(edges))
    return np.concatenate([index.centerline(lane) for lane in lanes])


def _current_blocks(index: MapIndex, pose: FloatArray, route: set[int]) -> tuple[Block, list[Block]]:
    """The block that the ego most likely is in, and all that come into question."""
    x, y = float(pose[0]), float(pose[1])
    layers = ((index.roadblocks, index.map.roadblocks), (index.roadblock_connectors, index.map.roadblock_connectors))
    blocks: list[Block] = [elements[i] for places, elements in layers for i in places.within(x, y, _NEARBY_M)]
    if not blocks:
        for places, elements in layers:
            nearest = places.nearest(x, y)
            if nearest is not None:
                blocks.append(elements[nearest])
    if not blocks:
        raise SceneError(f"the map of {index.map.location} has no roadblocks")
    on_route: list[tuple[float, Block]] = []
    off_route: list[tuple[float, Block]] = []
    displacements = []
    for block in blocks:
        best = math.inf
        for edge in index.interior(block):
            displacement, heading_error = _errors(index.centerline(edge), pose)
            best = min(best, displacement)
            if heading_error < _MAX_HEADING_ERROR and displacement < _MAX_DISPLACEMENT_M:
                (on_route if block.fid in route else off_route).append((displacement, block))
        displacements.append(best)
    for fitting in (on_route, off_route):
        if fitting:
            return min(fitting, key=lambda entry: entry[0])[1], [block for _, block in fitting]
    return blocks[int(np.argmin(displacements))], blocks


def _errors(line: FloatArray, pose: FloatArray) -> tuple[float, float]:
    """Distance to the nearest vertex of a centre line and the difference to its heading."""
    distances = np.hypot(line[:, 0] - pose[0], line[:, 1] - pose[1])
    nearest = int(distances.argmin())
    return float(distances[nearest]), abs(wrap_angle(float(line[nearest, 2] - pose[2])))


def _joined_to_start(index: MapIndex, route: list[int], start: int, candidates: set[int]) -> list[int]:
    """Prefix a route with the way from where the ego is."""
    backward = _breadth_first(route[0], index.preceding, candidates, _BACKWARD_DEPTH)
    if backward is not None:
        return backward[:0:-1] + route
    forward = _breadth_first(start, index.following, set(route[:3]), _FORWARD_DEPTH)
    if forward is not None:
        return forward + route[route.index(forward[-1]) + 1 :]
    return route


def _without_gaps(index: MapIndex, route: list[int]) -> list[int]:
    """Insert the blocks between two that do not follow one another, where a way is found."""
    filled = route[:1]
    for before, after in pairwise(route):
        if before not in index.preceding(after):
            path = _breadth_first(before, index.following, {after}, _FORWARD_DEPTH)
            if path is not None:
                filled += path[1:-1]
        filled.append(after)
    return filled


def _without_loops(index: MapIndex, route: list[int]) -> list[int]:
    """End a route before it crosses itself; that happens within intersections only."""
    crossed: list[Polygon] = []
    for position, fid in enumerate(route):
        block = index.block(fid)
        if not isinstance(block, RoadblockConnector):
            continue
        if crossed and bool((shapely.area(shapely.intersection(crossed, block.polygon)) > _MAX_OVERLAP_M2).any()):
            return route[:position]
        crossed.append(block.polygon)
    return route


def _breadth_first(
    start: int, neighbours: Callable[[int], list[int]], targets: set[int], max_depth: int
) -> list[int] | None:
    """The path that the official search finds, without its exponential queue.

    That search enqueues a block once for every way to it. At one depth the first entry decides which target is met
    first, and the last entry decides a block's predecessor; both orders are kept, each block once.

    Returns:
        The path from `start` to the target, or None.
    """
    parents: list[dict[int, int]] = []
    by_first, by_last = [start], [start]
    for depth in range(max_depth):
        goal = next((fid for fid in by_first if fid in targets), None)
        if goal is not None:
            path = [goal]
            for parent in reversed(parents[:depth]):
                path.append(parent[path[-1]])
            return path[::-1]
        parents.append({after: fid for fid in by_last for after in neighbours(fid)})
        by_first = list(dict.fromkeys(after for fid in by_first for after in neighbours(fid)))
        backwards = dict.fromkeys(after for fid in reversed(by_last) for after in reversed(neighbours(fid)))
        by_last = list(reversed(backwards))
        if not by_first:
            return None
    return None


def _starting_edge(
    index: MapIndex,
    pose: FloatArray,
    footprint: Polygon,
    center: FloatArray,
    edges: dict[str, Edge],
    drivable: tuple[Sequence[str], shapely.STRtree],
) -> Edge:
    """The lane of the route that the ego is in or nearest to."""
    if not edges:
        raise SceneError("the route has no lanes")
    tokens, tree = drivable
    # Polygons are matched by token alone, so a roadblock that shares its id with a lane of the route stands for it.
    found = [
        edges[tokens[i]] for i in tree.query(Point(pose[0], pose[1]), predicate="intersects") if tokens[i] in edges
    ]
    if found:
        return min(found, key=lambda edge: _heading_error(index.centerline(edge), pose))
    point, best, nearest = Point(center), math.inf, next(iter(edges.values()))
    for edge in edges.values():
        if edge.polygon.contains(point):
            return edge
        distance = float(edge.polygon.distance(footprint))
        if distance < best:
            best, nearest = distance, edge
    return nearest


def _heading_error(line: FloatArray, pose: FloatArray) -> float:
    """Difference to the heading of the vertex that is nearest in x, y and heading (sic)."""
    nearest = int(((line - pose) ** 2).sum(-1).argmin())
    return abs(wrap_angle(float(line[nearest, 2] - pose[2])))


def _shortest_path(index: MapIndex, start: Edge, target_block: int, allowed: set[str]) -> list[Edge]:
    """Shortest way to any lane of a block; without one, the deepest way.

    The cost of a way is the length of its edges after the first one.
    """
    parent: dict[int, Edge | None] = {start.fid: None}
    frontier: dict[int, tuple[float, int, Edge]] = {start.fid: (1.0, 1, start)}
    expanded: list[tuple[int, float, Edge]] = []
    done: set[int] = set()
    while frontier:
        fid = min(frontier, key=lambda key: frontier[key][0])
        cost, depth, edge = frontier.pop(fid)
        if block_of(edge) == target_block:
            return _walked_back(parent, edge)
        done.add(fid)
        expanded.append((depth, cost, edge))
        for after in index.outgoing(edge):
            if str(after.fid) not in allowed or after.fid in done:
                continue
            reached = cost + float(after.baseline.length)
            if after.fid not in frontier or reached < frontier[after.fid][0]:
                parent[after.fid] = edge
                frontier[after.fid] = (reached, depth + 1, after)
    deepest = max(depth for depth, _, _ in expanded)
    return _walked_back(parent, min((e for e in expanded if e[0] == deepest), key=lambda e: e[1])[2])


def _walked_back(parent: dict[int, Edge | None], edge: Edge) -> list[Edge]:
    path: list[Edge] = []
    step: Edge | None = edge
    while step is not None:
        path.append(step)
        step = parent[step.fid]
    return path[::-1]
