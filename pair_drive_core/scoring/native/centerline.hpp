// The route's centre line: arc length of the nearest point, and whether a point lies within a distance.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace pair_drive {

class Centerline {
 public:
  Centerline() = default;

  // `points`: rows of x, y and `stride - 2` further numbers.
  Centerline(const double* points, std::size_t count, std::size_t stride) {
    if (count < 2) return;
    double arc = 0.0;
    for (std::size_t i = 0; i + 1 < count; ++i) {
      const double* a = points + i * stride;
      const double* b = a + stride;
      const double dx = b[0] - a[0], dy = b[1] - a[1], squared = dx * dx + dy * dy;
      const double length = std::sqrt(squared);
      segments_.push_back({a[0], a[1], dx, dy, squared > 0.0 ? 1.0 / squared : 0.0, arc, length});
      arc += length;
    }
    for (std::size_t begin = 0; begin < segments_.size(); begin += kChunk) {
      const std::size_t end = std::min(begin + kChunk, segments_.size());
      Chunk chunk{segments_[begin].x, segments_[begin].y, segments_[begin].x, segments_[begin].y, begin, end};
      for (std::size_t i = begin; i < end; ++i) {
        for (const double t : {0.0, 1.0}) {
          const double x = segments_[i].x + t * segments_[i].dx, y = segments_[i].y + t * segments_[i].dy;
          chunk.low_x = std::min(chunk.low_x, x);
          chunk.high_x = std::max(chunk.high_x, x);
          chunk.low_y = std::min(chunk.low_y, y);
          chunk.high_y = std::max(chunk.high_y, y);
        }
      }
      chunks_.push_back(chunk);
    }
  }

  bool empty() const { return segments_.empty(); }

  // Arc length of the nearest point, the first one where several are as near.
  double project(double x, double y) const {
    double best = std::numeric_limits<double>::infinity(), arc = 0.0;
    for (const Chunk& chunk : chunks_) {
      if (chunk.squared_distance(x, y) >= best) continue;
      for (std::size_t i = chunk.begin; i < chunk.end; ++i) {
        double along;
        const double squared = segments_[i].squared_distance(x, y, along);
        if (squared < best) {
          best = squared;
          arc = segments_[i].arc + along * segments_[i].length;
        }
      }
    }
    return arc;
  }

  // Whether the line comes within `limit` (at most that far). `hint` remembers the segment that was near last time.
  bool within(double x, double y, double limit, std::size_t& hint) const {
    const double squared_limit = limit * limit;
    double along;
    const std::size_t last = std::min(hint + 3, segments_.size());
    for (std::size_t i = hint; i < last; ++i) {
      if (segments_[i].squared_distance(x, y, along) <= squared_limit) {
        hint = i;
        return true;
      }
    }
    for (const Chunk& chunk : chunks_) {
      if (chunk.squared_distance(x, y) > squared_limit) continue;
      for (std::size_t i = chunk.begin; i < chunk.end; ++i) {
        if (segments_[i].squared_distance(x, y, along) <= squared_limit) {
          hint = i;
          return true;
        }
      }
    }
    return false;
  }

 private:
  static constexpr std::size_t kChunk = 8;

  struct Segment {
    double x, y, dx, dy, inverse_squared, arc, length;

    double squared_distance(double px, double py, double& along) const {
      const double rx = px - x, ry = py - y;
      along = std::min(std::max((rx * dx + ry * dy) * inverse_squared, 0.0), 1.0);
      const double ex = rx - along * dx, ey = ry - along * dy;
      return ex * ex + ey * ey;
    }
  };

  struct Chunk {
    double low_x, low_y, high_x, high_y;
    std::size_t begin, end;

    double squared_distance(double x, double y) const {
      const double dx = std::max(std::max(low_x - x, x - high_x), 0.0);
      const double dy = std::max(std::max(low_y - y, y - high_y), 0.0);
      return dx * dx + dy * dy;
    }
  };

  std::vector<Segment> segments_;
  std::vector<Chunk> chunks_;
};

}  // namespace pair_drive
