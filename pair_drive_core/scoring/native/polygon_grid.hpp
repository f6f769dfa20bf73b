// Point-in-polygon queries against many polygons through a uniform grid.
//
// A cell knows the polygons that cover it whole and, for those whose outline crosses it, the few edges in it and whether
// its anchor (a point inside the cell) is inside. A query walks from the point to the anchor and counts the edges it
// crosses, so it looks at a handful of edges whatever the size of the polygon.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace pair_drive {

// Categories of map polygons, as bits.
enum PolygonCategory : std::uint32_t {
  kDrivable = 1,      // roadblock, intersection, car park, drivable area
  kLane = 2,          // lane or lane connector
  kOnRoute = 4,       // lane or lane connector of the route
  kIntersection = 8,
};

struct Edge {
  double ax, ay, bx, by;

  // Twice the signed area of (a, b, point): positive on the left, 0 on the line.
  double side(double x, double y) const { return (bx - ax) * (y - ay) - (x - ax) * (by - ay); }

  bool on_segment(double x, double y) const {
    return side(x, y) == 0.0 && x >= std::min(ax, bx) && x <= std::max(ax, bx) && y >= std::min(ay, by) &&
           y <= std::max(ay, by);
  }
};

struct RingSet {
  const double* points;        // rows of x, y
  const std::int64_t* offsets;  // ring i is rows offsets[i] .. offsets[i + 1], open
  std::size_t count;

  std::size_t size(std::size_t ring) const { return static_cast<std::size_t>(offsets[ring + 1] - offsets[ring]); }

  Edge edge(std::size_t ring, std::size_t index) const {
    const double* first = points + 2 * offsets[ring];
    const double* a = first + 2 * index;
    const double* b = index + 1 < size(ring) ? a + 2 : first;
    return {a[0], a[1], b[0], b[1]};
  }
};

class PolygonGrid {
 public:
  PolygonGrid() = default;

  PolygonGrid(const RingSet& rings, const std::vector<std::uint32_t>& categories) {
    if (!set_extent(rings)) return;
    std::vector<CellEntry> entries;
    thread_local Workspace work;  // keeps its buffers from scene to scene
    work.reach(static_cast<std::size_t>(rows_), static_cast<std::size_t>(columns_));
    for (std::size_t ring = 0; ring < rings.count; ++ring) add_ring(rings, ring, categories[ring], work, entries);
    sort_by_cell(entries);
  }

  // The union of the categories in `wanted` that contain the point; boundaries are outside.
  std::uint32_t categories_at(double x, double y, std::uint32_t wanted) const {
    Cell cell;
    if (!locate(x, y, cell)) return 0;
    std::uint32_t found = covered_[cell.index] & wanted;
    for (std::size_t i = partial_begin_[cell.index]; i < cell_begin_[cell.index + 1] && found != wanted; ++i)
      if ((entries_[i].category & wanted & ~found) != 0 && inside(entries_[i], cell, x, y))
        found |= entries_[i].category & wanted;
    return found;
  }

  // Calls `visit(polygon)` for every polygon of a category in `wanted` that contains the point.
  template <typename Visit>
  void visit_polygons(double x, double y, std::uint32_t wanted, Visit visit) const {
    Cell cell;
    if (!locate(x, y, cell)) return;
    for (std::size_t i = cell_begin_[cell.index]; i < cell_begin_[cell.index + 1]; ++i)
      if ((entries_[i].category & wanted) != 0 && (i < partial_begin_[cell.index] || inside(entries_[i], cell, x, y)))
        visit(entries_[i].polygon);
  }

  // Size of the index in memory.
  std::size_t bytes() const {
    return entries_.capacity() * sizeof(Entry) + edges_.capacity() * sizeof(Edge) +
           (cell_begin_.capacity() + partial_begin_.capacity() + covered_.capacity()) * sizeof(std::uint32_t);
  }

 private:
  static constexpr double kCellSize = 4.0;  // m
  static constexpr int kMaxCells = 512;     // along one axis; larger maps get larger cells
  // Anchors sit off the cell's middle so that map vertices at round numbers do not fall on their lines.
  static constexpr double kAnchorX = 0.48713, kAnchorY = 0.52837;

  struct Entry {
    std::uint32_t polygon, category;
    std::uint32_t edge_begin, edge_end;
    bool anchor_inside;
  };

  struct Cell {
    int column, row;
    std::size_t index;
  };

  struct CellEntry {
    std::uint32_t cell;
    Entry entry;
  };

  struct Workspace {
    std::vector<std::vector<double>> crossings;          // for each row, where the ring crosses the anchors' line
    std::vector<std::vector<std::uint32_t>> row_edges;   // for each row, the ring's edges in it
    std::vector<std::vector<std::uint32_t>> cell_edges;  // for each column of the row at hand, the edges in that cell

    void reach(std::size_t rows, std::size_t columns) {
      crossings.resize(std::max(crossings.size(), rows));
      row_edges.resize(std::max(row_edges.size(), rows));
      cell_edges.resize(std::max(cell_edges.size(), columns));
      for (auto& edges : cell_edges) edges.clear();
    }
  };

  bool set_extent(const RingSet& rings) {
    double low_x = std::numeric_limits<double>::infinity(), low_y = low_x, high_x = -low_x, high_y = -low_x;
    if (rings.count > 0)
      for (std::int64_t i = rings.offsets[0]; i < rings.offsets[rings.count]; ++i) {
        low_x = std::min(low_x, rings.points[2 * i]);
        high_x = std::max(high_x, rings.points[2 * i]);
        low_y = std::min(low_y, rings.points[2 * i + 1]);
        high_y = std::max(high_y, rings.points[2 * i + 1]);
      }
    if (!(high_x >= low_x) || !std::isfinite(high_x - low_x) || !std::isfinite(high_y - low_y)) return false;
    cell_ = std::max(kCellSize, std::max(high_x - low_x, high_y - low_y) / (kMaxCells - 2));
    inverse_cell_ = 1.0 / cell_;
    low_x_ = low_x - 0.5 * cell_;
    low_y_ = low_y - 0.5 * cell_;
    columns_ = static_cast<int>((high_x - low_x_) * inverse_cell_ + 0.5) + 1;
    rows_ = static_cast<int>((high_y - low_y_) * inverse_cell_ + 0.5) + 1;
    return true;
  }

  bool locate(double x, double y, Cell& cell) const {
    const double column = (x - low_x_) * inverse_cell_, row = (y - low_y_) * inverse_cell_;
    if (!(column >= 0.0 && column < columns_ && row >= 0.0 && row < rows_)) return false;  // NaN lands here, too
    cell.column = static_cast<int>(column);
    cell.row = static_cast<int>(row);
    cell.index = static_cast<std::size_t>(cell.row * columns_ + cell.column);
    return true;
  }

  double anchor_x(int column) const { return low_x_ + (column + kAnchorX) * cell_; }
  double anchor_y(int row) const { return low_y_ + (row + kAnchorY) * cell_; }

  // Cells keep edges that come this close, so that rounding loses none.
  double margin() const { return 1e-6 * cell_; }

  // Clamped before the cast, which then rounds down: std::floor is a call on plain x86-64, and slow for every vertex.
  int clamp_column(double x) const {
    return static_cast<int>(std::clamp((x - low_x_) * inverse_cell_, 0.0, columns_ - 1.0));
  }
  int clamp_row(double y) const { return static_cast<int>(std::clamp((y - low_y_) * inverse_cell_, 0.0, rows_ - 1.0)); }

  bool inside(const Entry& entry, const Cell& cell, double x, double y) const {
    const double ax = anchor_x(cell.column), ay = anchor_y(cell.row);
    bool result = entry.anchor_inside;
    for (std::uint32_t i = entry.edge_begin; i < entry.edge_end; ++i) {
      const Edge& edge = edges_[i];
      const double here = edge.side(x, y);
      if (here == 0.0 && edge.on_segment(x, y)) return false;
      // First along y = const to the anchor's x, then along x = const to the anchor.
      const double corner = edge.side(ax, y);
      if ((edge.ay > y) != (edge.by > y) && (here > 0.0) != (corner > 0.0)) result = !result;
      if ((edge.ax > ax) != (edge.bx > ax) && (corner > 0.0) != (edge.side(ax, ay) > 0.0)) result = !result;
    }
    return result;
  }

  void add_ring(const RingSet& rings, std::size_t ring, std::uint32_t category, Workspace& work,
                std::vector<CellEntry>& entries) {
    const std::size_t size = rings.size(ring);
    if (size < 3 || category == 0) return;
    double low_x = std::numeric_limits<double>::infinity(), low_y = low_x, high_x = -low_x, high_y = -low_x;
    for (std::size_t i = 0; i < size; ++i) {
      const Edge edge = rings.edge(ring, i);
      low_x = std::min(low_x, edge.ax);
      high_x = std::max(high_x, edge.ax);
      low_y = std::min(low_y, edge.ay);
      high_y = std::max(high_y, edge.ay);
    }
    const int first_row = clamp_row(low_y - margin()), last_row = clamp_row(high_y + margin());
    const int first_column = clamp_column(low_x - 2.0 * margin()), last_column = clamp_column(high_x + 2.0 * margin());
    for (int row = first_row; row <= last_row; ++row) {
      work.crossings[static_cast<std::size_t>(row)].clear();
      work.row_edges[static_cast<std::size_t>(row)].clear();
    }
    for (std::size_t i = 0; i < size; ++i) spread_over_rows(rings.edge(ring, i), static_cast<std::uint32_t>(i), work);
    for (int row = first_row; row <= last_row; ++row)
      add_row(rings, ring, category, row, first_column, last_column, work, entries);
  }

  // Notes an edge in the rows it touches, and where it crosses the lines of their anchors.
  void spread_over_rows(const Edge& edge, std::uint32_t index, Workspace& work) {
    const double low = std::min(edge.ay, edge.by), high = std::max(edge.ay, edge.by);
    for (int row = clamp_row(low - margin()); row <= clamp_row(high + margin()); ++row) {
      work.row_edges[static_cast<std::size_t>(row)].push_back(index);
      const double y = anchor_y(row);
      if ((edge.ay > y) != (edge.by > y))
        work.crossings[static_cast<std::size_t>(row)].push_back(edge.ax + (y - edge.ay) / (edge.by - edge.ay) *
                                                                         (edge.bx - edge.ax));
    }
  }

  void add_row(const RingSet& rings, std::size_t ring, std::uint32_t category, int row, int first_column,
               int last_column, Workspace& work, std::vector<CellEntry>& entries) {
    std::vector<double>& crossings = work.crossings[static_cast<std::size_t>(row)];
    std::sort(crossings.begin(), crossings.end());
    for (const std::uint32_t index : work.row_edges[static_cast<std::size_t>(row)]) {
      const Edge edge = rings.edge(ring, index);
      int begin, end;
      columns_in_row(edge, row, begin, end);
      for (int column = begin; column <= end; ++column) work.cell_edges[static_cast<std::size_t>(column)].push_back(index);
    }
    std::size_t passed = 0;
    for (int column = first_column; column <= last_column; ++column) {
      const double x = anchor_x(column);
      while (passed < crossings.size() && crossings[passed] <= x) ++passed;
      const bool anchor_inside = ((crossings.size() - passed) & 1) != 0;
      std::vector<std::uint32_t>& edges = work.cell_edges[static_cast<std::size_t>(column)];
      if (!anchor_inside && edges.empty()) continue;
      Entry entry{static_cast<std::uint32_t>(ring), category, static_cast<std::uint32_t>(edges_.size()), 0,
                  anchor_inside};
      for (const std::uint32_t index : edges) edges_.push_back(rings.edge(ring, index));
      entry.edge_end = static_cast<std::uint32_t>(edges_.size());
      edges.clear();
      entries.push_back({static_cast<std::uint32_t>(row * columns_ + column), entry});
    }
  }

  // Columns that the part of an edge within a row may touch (a little more than it does).
  void columns_in_row(const Edge& edge, int row, int& begin, int& end) const {
    const double low = low_y_ + row * cell_ - margin(), high = low_y_ + (row + 1) * cell_ + margin();
    double xa = edge.ax, xb = edge.bx;
    const double rise = edge.by - edge.ay;
    if (rise != 0.0) {
      const double run = edge.bx - edge.ax;
      const double t0 = std::clamp((low - edge.ay) / rise, 0.0, 1.0), t1 = std::clamp((high - edge.ay) / rise, 0.0, 1.0);
      xa = edge.ax + t0 * run;
      xb = edge.ax + t1 * run;
    }
    begin = clamp_column(std::min(xa, xb) - margin());
    end = clamp_column(std::max(xa, xb) + margin());
  }

  // Groups entries by cell, whole covers before partial ones, otherwise in the polygons' order.
  void sort_by_cell(const std::vector<CellEntry>& entries) {
    const std::size_t cells = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_);
    std::vector<std::uint32_t> whole(cells, 0), partial(cells, 0);
    covered_.assign(cells, 0);
    for (const CellEntry& item : entries) {
      const bool is_whole = item.entry.edge_begin == item.entry.edge_end;
      ++(is_whole ? whole : partial)[item.cell];
      if (is_whole) covered_[item.cell] |= item.entry.category;
    }
    cell_begin_.assign(cells + 1, 0);
    partial_begin_.assign(cells, 0);
    std::uint32_t total = 0;
    for (std::size_t cell = 0; cell < cells; ++cell) {
      cell_begin_[cell] = total;
      partial_begin_[cell] = total + whole[cell];
      total += whole[cell] + partial[cell];
      whole[cell] = cell_begin_[cell];
      partial[cell] = partial_begin_[cell];
    }
    cell_begin_[cells] = total;
    entries_.resize(total);
    for (const CellEntry& item : entries) {
      const bool is_whole = item.entry.edge_begin == item.entry.edge_end;
      entries_[(is_whole ? whole : partial)[item.cell]++] = item.entry;
    }
  }

  double low_x_ = 0.0, low_y_ = 0.0, cell_ = 1.0, inverse_cell_ = 1.0;
  int columns_ = 0, rows_ = 0;
  std::vector<Entry> entries_;
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> cell_begin_, partial_begin_, covered_;
};

}  // namespace pair_drive
