// PDM-Closed's proposals: speeds on parallel paths, each behind the nearest thing ahead, driven by the IDM.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernel.h"

namespace pair_drive {

struct Point {
  double x, y;
};

inline double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, squared = dx * dx + dy * dy;
  double along = squared > 0.0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / squared : 0.0;
  along = std::min(std::max(along, 0.0), 1.0);
  return std::hypot(p.x - a.x - along * dx, p.y - a.y - along * dy);
}

inline bool segments_cross(Point a, Point b, Point c, Point d) {
  const auto side = [](Point p, Point q, Point r) { return (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x); };
  const double c_side = side(a, b, c), d_side = side(a, b, d), a_side = side(c, d, a), b_side = side(c, d, b);
  return ((c_side > 0.0) != (d_side > 0.0)) && ((a_side > 0.0) != (b_side > 0.0));
}

inline bool ring_holds(const Point* ring, std::size_t count, Point p) {
  bool inside = false;
  for (std::size_t i = 0, j = count - 1; i < count; j = i++)
    if ((ring[i].y > p.y) != (ring[j].y > p.y) &&
        p.x < ring[i].x + (p.y - ring[i].y) / (ring[j].y - ring[i].y) * (ring[j].x - ring[i].x))
      inside = !inside;
  return inside;
}

// Distance between two areas; zero where they overlap.
inline double area_gap(const Point* a, std::size_t a_count, const Point* b, std::size_t b_count) {
  if (ring_holds(a, a_count, b[0]) || ring_holds(b, b_count, a[0])) return 0.0;
  double gap = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < a_count; ++i) {
    const Point p = a[i], q = a[(i + 1) % a_count];
    for (std::size_t j = 0; j < b_count; ++j) {
      const Point r = b[j], s = b[(j + 1) % b_count];
      if (segments_cross(p, q, r, s)) return 0.0;
      gap = std::min({gap, distance_to_segment(r, p, q), distance_to_segment(p, r, s)});
    }
  }
  return gap;
}

// A pose on a path, clipped to its ends; never before 1e-5 m, as in the official code.
inline void pose_on_path(const PairDriveProposals& in, std::size_t path, double distance, double* pose) {
  const std::size_t points = static_cast<std::size_t>(in.points);
  const double* knots = in.path_progress + path * points;
  const double clipped = std::min(std::max(distance, 1e-5), knots[points - 1]);
  std::size_t high = static_cast<std::size_t>(std::lower_bound(knots, knots + points, clipped) - knots);
  high = std::min(std::max<std::size_t>(high, 1), points - 1);
  const std::size_t low = high - 1;
  const double span = knots[high] - knots[low];
  const double share = span > 0.0 ? (clipped - knots[low]) / span : 0.0;
  const double* a = in.path_xy + (path * points + low) * 2;
  const double* headings = in.path_heading + path * points;
  pose[0] = a[0] + share * (a[2] - a[0]);
  pose[1] = a[1] + share * (a[3] - a[1]);
  const double heading = headings[low] + share * (headings[high] - headings[low]);
  pose[2] = std::atan2(std::sin(heading), std::cos(heading));
}

struct Leader {
  double rear = 0.0, speed = 0.0;
};

// The leaders of all proposals of one path. What a proposal does not write stays from the one before it (see
// `LeaderSearch` in planning/pdm_leaders.py, which this repeats).
inline void find_leaders(const PairDriveProposals& in, std::size_t path, std::size_t search, const double* poses,
                         const double* progress, Leader* leaders) {
  const std::size_t cell = path * static_cast<std::size_t>(in.searches) + search;
  const std::int64_t begin = in.hit_offsets[cell], end = in.hit_offsets[cell + 1];
  const std::int64_t boxes = in.objects;
  const double front = in.length / 2.0 + in.center, rear = in.center - in.length / 2.0, side = in.width / 2.0;
  double speed = 0.0, margin = 0.0;
  for (std::int64_t i = 0; i < in.speeds; ++i) {
    const double* pose = poses + i * 3;
    const double cosine = std::cos(pose[2]), sine = std::sin(pose[2]);
    const auto place = [&](double u, double v) {
      return Point{pose[0] + u * cosine - v * sine, pose[1] + u * sine + v * cosine};
    };
    const Point ego[4] = {place(front, side), place(rear, side), place(rear, -side), place(front, -side)};
    double nearest = std::numeric_limits<double>::infinity();
    std::int64_t leader = -1;
    for (std::int64_t hit = begin; hit < end; ++hit) {
      if (!(in.hit_progress[hit] > progress[i])) continue;
      const std::int64_t row = in.hit_rows[hit];
      double gap;
      if (row < boxes) {
        const double* corners = in.box_corners + (static_cast<std::int64_t>(search) * boxes + row) * 8;
        gap = area_gap(ego, 4, reinterpret_cast<const Point*>(corners), 4);
      } else {
        const std::int64_t first = in.light_offsets[row - boxes], last = in.light_offsets[row - boxes + 1];
        gap = area_gap(ego, 4, reinterpret_cast<const Point*>(in.light_xy + 2 * first),
                       static_cast<std::size_t>(last - first));
      }
      if (gap < nearest) nearest = gap, leader = row;
    }
    if (leader < 0) {
      margin = in.length / 2.0;
      leaders[i].rear = in.path_end[path] - margin;
    } else {
      leaders[i].rear = progress[i] + nearest - margin;
      if (leader < boxes) speed = in.object_speed[leader] * std::cos(in.object_heading[leader] - pose[2]);
    }
    leaders[i].speed = speed;
  }
}

// Acceleration of the intelligent driver model within the driver's limits.
inline double idm_acceleration(const PairDriveProposals& in, double speed, double target, double gap, double leader) {
  const double softness = 2.0 * std::sqrt(in.max_acceleration * in.max_deceleration);
  const double wanted = in.min_gap + speed * in.headway + speed * (speed - leader) / softness;
  const double ratio = wanted / std::max(gap, in.min_gap);
  const double pull = 1.0 - std::pow(speed / target, in.exponent) - ratio * ratio;
  return std::min(std::max(in.max_acceleration * pull, -in.max_deceleration), in.max_acceleration);
}

// Unrolls every proposal; `poses` takes (L, V, steps, 3).
inline void drive_proposals(const PairDriveProposals& in, double* poses) {
  const std::size_t speeds = static_cast<std::size_t>(in.speeds), steps = static_cast<std::size_t>(in.steps);
  const std::size_t interval = static_cast<std::size_t>(in.search_interval);
  std::vector<double> progress(speeds), speed(speeds), now(speeds * 3);
  std::vector<Leader> leaders(speeds);
  for (std::size_t path = 0; path < static_cast<std::size_t>(in.paths); ++path) {
    std::fill(progress.begin(), progress.end(), in.start[path]);
    std::fill(speed.begin(), speed.end(), in.ego_speed);
    std::fill(leaders.begin(), leaders.end(), Leader{});
    const auto write = [&](std::size_t step) {
      for (std::size_t i = 0; i < speeds; ++i) {
        pose_on_path(in, path, progress[i], now.data() + 3 * i);
        std::copy_n(now.data() + 3 * i, 3, poses + ((path * speeds + i) * steps + step) * 3);
      }
    };
    write(0);
    for (std::size_t step = 1; step < steps; ++step) {
      if (step % interval == 0)
        find_leaders(in, path, step / interval - 1, now.data(), progress.data(), leaders.data());
      for (std::size_t i = 0; i < speeds; ++i) {
        const double gap = leaders[i].rear - progress[i];
        const double acceleration = idm_acceleration(in, speed[i], in.targets[i], gap, leaders[i].speed);
        progress[i] += in.step * speed[i];
        speed[i] += in.step * acceleration;
      }
      write(step);
    }
  }
}

}  // namespace pair_drive
