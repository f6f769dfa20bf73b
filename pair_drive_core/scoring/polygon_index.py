"""Point-in-polygon tests for many polygons, with few edges touched per point.

Each polygon is cut into bins along the longer side of its bounding box. A ray across the longer side meets only edges
of the point's own bin, so a test reads a handful of edges instead of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scoring.ragged import expand

BIN_WIDTH_M = 1.0
MAX_BINS = 512


@dataclass(frozen=True)
class PolygonIndex:
    """M polygons (open rings) with their edges in bins.

    In what follows u is the coordinate along the longer side of a polygon's bounding box, v the other one.

    Attributes:
        low: (M, 2), smallest x and y; +infinity for polygons with fewer than three vertices, which contain nothing.
        high: (M, 2), largest x and y; -infinity for such polygons.
        u_is_x: (M,) bool.
        bin_low: (M,), u where the first bin starts, m.
        bins_per_m: (M,).
        bin_count: (M,) int64.
        bin_first: (M,) int64, index of the polygon's first bin in `bin_offsets`.
        bin_offsets: (B + 1,) int64, edges of a bin are columns `bin_offsets[b] : bin_offsets[b + 1]` of `edges`.
        edges: (4, E), u and v of the start, u and v of the end of an edge, m.
    """

    low: Tensor
    high: Tensor
    u_is_x: Tensor
    bin_low: Tensor
    bins_per_m: Tensor
    bin_count: Tensor
    bin_first: Tensor
    bin_offsets: Tensor
    edges: Tensor

    @staticmethod
    def build(points: Tensor, offsets: Tensor) -> PolygonIndex:
        """Index rings.

        Args:
            points: (V, 2), m.
            offsets: (M + 1,) int64.
        """
        count = offsets.diff()
        ring, vertex = expand(offsets[:-1], count)
        following = torch.where(vertex + 1 < offsets[ring + 1], vertex + 1, offsets[ring])
        low, high = _bounds(points[vertex], ring, count)
        u_is_x = (high - low)[:, 0] >= (high - low)[:, 1]
        flip = ~u_is_x[ring][:, None]
        start = torch.where(flip, points[vertex].flip(-1), points[vertex])
        end = torch.where(flip, points[following].flip(-1), points[following])
        solid = count >= 3
        bin_low = torch.where(solid, torch.where(u_is_x, low[:, 0], low[:, 1]), 0.0)
        extent = torch.where(solid, (high - low).amax(-1), 0.0)
        bin_count = (extent / BIN_WIDTH_M).ceil().clamp(1, MAX_BINS).to(torch.int64)
        bins_per_m = bin_count / extent.clamp_min(1e-6)
        bin_first = bin_count.cumsum(0) - bin_count
        u = torch.stack((start[:, 0], end[:, 0]), dim=-1)
        bins = _bin(u, bin_low[ring, None], bins_per_m[ring, None], bin_count[ring, None])
        first, last = bins.amin(-1), bins.amax(-1)
        edge, slot = expand(bin_first[ring] + first, torch.where(solid[ring], last - first + 1, 0))
        order = torch.argsort(slot, stable=True)
        per_bin = torch.bincount(slot, minlength=int(bin_count.sum()))
        return PolygonIndex(
            low,
            high,
            u_is_x,
            bin_low,
            bins_per_m,
            bin_count,
            bin_first,
            torch.cat((per_bin.new_zeros(1), per_bin.cumsum(0))),
            torch.cat((start, end), dim=-1)[edge[order]].T.contiguous(),
        )

    def contains(self, points: Tensor, polygon: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Whether polygons strictly contain points (a point on the boundary is outside; even-odd rule).

        Args:
            points: (Q, P, 2), m.
            polygon: (Q,) int64, which polygon the points of a row are tested against.
            wanted: (Q, P) bool, points that are asked about; all by default.

        Returns:
            (Q, P) bool, False where not asked.
        """
        rows, columns = points.shape[:2]
        low, high = self.low.index_select(0, polygon), self.high.index_select(0, polygon)
        in_box = ((points >= low[:, None]) & (points <= high[:, None])).all(-1)
        if wanted is not None:
            in_box &= wanted
        flat = in_box.reshape(-1).nonzero()[:, 0]
        owner = polygon.index_select(0, flat.div(columns, rounding_mode="floor"))
        x, y = points.reshape(-1, 2).index_select(0, flat).unbind(-1)
        u_is_x = self.u_is_x.index_select(0, owner)
        u, v = torch.where(u_is_x, x, y), torch.where(u_is_x, y, x)
        per_polygon = (self.bin_low, self.bins_per_m, self.bin_count, self.bin_first)
        bin_low, bins_per_m, bin_count, bin_first = (values.index_select(0, owner) for values in per_polygon)
        slot = bin_first + _bin(u, bin_low, bins_per_m, bin_count)
        start = self.bin_offsets.index_select(0, slot)
        test, member = expand(start, self.bin_offsets.index_select(0, slot + 1) - start)
        u = u.index_select(0, test)
        u0, u1 = self.edges[0].index_select(0, member), self.edges[2].index_select(0, member)
        # Most edges of a bin do not reach the point's u: drop them before anything else is looked up.
        reaching = ((u0 - u) * (u1 - u) <= 0).nonzero()[:, 0]
        test, member, u, u0, u1 = (values.index_select(0, reaching) for values in (test, member, u, u0, u1))
        v = v.index_select(0, test)
        v0, v1 = self.edges[1].index_select(0, member), self.edges[3].index_select(0, member)
        side = (u1 - u0) * (v - v0) - (v1 - v0) * (u - u0)
        above = ((u < u0) != (u < u1)) & ((side < 0) == (u1 > u0))
        crossings = torch.zeros(flat.shape[0], dtype=torch.int32, device=points.device)
        crossings.index_add_(0, test, above.to(torch.int32))
        contained = crossings % 2 == 1
        on_line = (side == 0).nonzero()[:, 0]
        on_edge = _between(v[on_line], v0[on_line], v1[on_line])
        contained[test[on_line[on_edge]]] = False
        inside = torch.zeros(rows * columns, dtype=torch.bool, device=points.device)
        inside[flat] = contained
        return inside.reshape(rows, columns)


def _between(value: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (value >= torch.minimum(a, b)) & (value <= torch.maximum(a, b))


def _bin(u: Tensor, low: Tensor, bins_per_m: Tensor, count: Tensor) -> Tensor:
    """Bin of a coordinate; monotonous, so a point meets all edges that span its coordinate."""
    return ((u - low) * bins_per_m).clamp_min(0).to(torch.int64).minimum(count - 1)


def _bounds(points: Tensor, ring: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Bounding boxes of rings; empty (low > high) for rings of fewer than three vertices."""
    shape = (count.shape[0], 2)
    index = ring[:, None].expand(-1, 2)
    low = torch.full(shape, torch.inf, dtype=points.dtype, device=points.device)
    high = torch.full(shape, -torch.inf, dtype=points.dtype, device=points.device)
    low = low.scatter_reduce(0, index, points, "amin")
    high = high.scatter_reduce(0, index, points, "amax")
    empty = (count < 3)[:, None]
    return low.masked_fill(empty, torch.inf), high.masked_fill(empty, -torch.inf)
