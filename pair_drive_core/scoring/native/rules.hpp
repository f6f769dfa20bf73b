// Sub-scores that come from the map: driving direction, red lights, lane keeping, progress.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "footprint.hpp"

namespace pair_drive {

struct RuleScore {
  double score = 1.0;
  int step = -1;  // first violation
  int row = -1;   // red area
};

inline RuleScore drivable_area_compliance(const Areas& areas) {
  for (std::size_t i = 0; i < kStates; ++i)
    if (areas.not_drivable[i]) return {0.0, static_cast<int>(i), -1};
  return {};
}

// Distance driven against traffic within one second (11 steps): below 2 m is fine, from 6 m on it is a violation.
inline RuleScore driving_direction_compliance(const Footprint& footprint, const Areas& areas, bool version2) {
  constexpr std::size_t window = 11;
  constexpr double tolerated = 2.0, violated = 6.0;
  double travelled[kStates];
  travelled[0] = 0.0;
  RuleScore result;
  for (std::size_t i = 1; i < kStates; ++i) {
    const bool counts = areas.oncoming[i] && !(version2 && areas.in_intersection[i]);
    const double dx = footprint.x[i] - footprint.x[i - 1], dy = footprint.y[i] - footprint.y[i - 1];
    travelled[i] = counts ? std::sqrt(dx * dx + dy * dy) : 0.0;
    double sum = 0.0;
    for (std::size_t k = i + 1 >= window ? i + 1 - window : 0; k <= i; ++k) sum += travelled[k];
    if (sum < tolerated) continue;
    if (result.step < 0) result.step = static_cast<int>(i);
    result.score = std::min(result.score, sum < violated ? 0.5 : 0.0);
  }
  return result;
}

inline bool contains(const RedArea& area, double x, double y) {
  bool inside = false;
  for (const Edge& edge : area.edges)
    if ((edge.ay > y) != (edge.by > y) && (edge.side(x, y) > 0.0) == (edge.by > edge.ay)) inside = !inside;
  return inside;
}

inline bool touches(const RedArea& area, const Box& box, double reach) {
  if (!(box.x >= area.extent.low_x - reach && box.x <= area.extent.high_x + reach &&
        box.y >= area.extent.low_y - reach && box.y <= area.extent.high_y + reach))
    return false;
  for (const Edge& edge : area.edges)
    if (segment_touches(edge.ax, edge.ay, edge.bx, edge.by, box)) return true;
  return contains(area, box.x, box.y);  // no edge reaches the box: it lies wholly inside or wholly outside
}

inline RuleScore traffic_light_compliance(const Footprint& footprint, const SceneIndex& scene) {
  RuleScore result;
  std::size_t end = kStates;
  for (std::size_t row = 0; row < scene.reds.size(); ++row)
    for (std::size_t i = 0; i < end; ++i)
      if (scene.reds[row].red[i] && touches(scene.reds[row], footprint.box(i, scene.ego), scene.ego.radius)) {
        result = {0.0, static_cast<int>(i), static_cast<int>(row)};
        end = i;
      }
  return result;
}

// More than 0.5 m off the centre line for 2 s; steps in an intersection neither count nor interrupt.
inline RuleScore lane_keeping(const Footprint& footprint, const Areas& areas, const Centerline& centerline) {
  constexpr double limit = 0.5;
  constexpr int required = 20;
  int run = 0;
  std::size_t hint = 0;
  for (std::size_t i = 0; i < kStates; ++i) {
    if (areas.in_intersection[i]) continue;
    run = centerline.within(footprint.x[i], footprint.y[i], limit, hint) ? 0 : run + 1;
    if (run >= required) return {0.0, static_cast<int>(i), -1};
  }
  return {};
}

inline double progress(const Footprint& footprint, const Centerline& centerline) {
  const double start = centerline.project(footprint.x[0], footprint.y[0]);
  return std::max(centerline.project(footprint.x[kSteps], footprint.y[kSteps]) - start, 0.0);
}

}  // namespace pair_drive
