// Sub-scores that come from touching other road users: at-fault collision and time to collision.
//
// In both, an object counts once: its first contact either is a violation, or the object is ignored from then on. So
// each object needs its first contact only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "footprint.hpp"

namespace pair_drive {

struct ContactScore {
  double score = 1.0;
  int step = -1;    // first violation
  int object = -1;  // the first row that violates at that step
};

constexpr double kStoppedSpeed = 0.05;     // m/s, collision
constexpr double kStandingSpeed = 0.005;   // m/s, time to collision
constexpr double kCos30 = 0.86602540378443864676;
constexpr int kLookAheads = 4;
constexpr int kLookAheadSteps[kLookAheads] = {0, 3, 6, 9};

// Direction of a point from the rear axle: cosine against the heading, times the distance.
struct Bearing {
  double along, distance;

  bool ahead() const { return along > kCos30 * distance; }     // less than 30 degrees off the heading
  bool behind() const { return along < -kCos30 * distance; }  // more than 150 degrees
};

inline Bearing bearing(const Footprint& footprint, std::size_t step, double x, double y) {
  const double dx = x - footprint.rear_x[step], dy = y - footprint.rear_y[step];
  return {dx * footprint.cosine[step] + dy * footprint.sine[step], std::sqrt(dx * dx + dy * dy)};
}

// Whether the centres of two moving shapes come within `reach` at any of `count` steps.
inline bool comes_near(const double* ax, const double* ay, const double* bx, const double* by, std::size_t count,
                       double reach) {
  const double squared = reach * reach;
  int near = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double dx = ax[i] - bx[i], dy = ay[i] - by[i];
    near |= dx * dx + dy * dy <= squared;
  }
  return near != 0;
}

inline bool is_at_fault(const Footprint& footprint, Areas& areas, const EgoShape& ego, const ObjectTrack& object,
                        std::size_t step) {
  if (footprint.speed[step] <= kStoppedSpeed) return false;
  if (object.stopped) return true;
  if (bearing(footprint, step, object.x[step], object.y[step]).behind()) return false;
  Box front = footprint.box(step, ego);
  front.x += ego.half_length * front.cosine;
  front.y += ego.half_length * front.sine;
  front.half_length = 0.0;
  return boxes_touch(front, object.box(step)) || areas.multiple_lanes_or_not_drivable(step);
}

inline ContactScore no_at_fault_collision(const Footprint& footprint, Areas& areas, const SceneIndex& scene) {
  ContactScore result;
  for (std::size_t row = 0; row < scene.objects.size(); ++row) {
    const ObjectTrack& object = scene.objects[row];
    const double reach = scene.ego.radius + object.radius;
    if (!footprint.swept.overlaps(object.swept, reach)) continue;
    // Once an agent was hit, only an earlier collision could change the outcome.
    const std::size_t end = result.score == 0.0 ? static_cast<std::size_t>(result.step) : std::size_t{kStates};
    if (!comes_near(footprint.x.data(), footprint.y.data(), object.x.data(), object.y.data(), end, reach)) continue;
    for (std::size_t i = 0; i < end; ++i) {
      const double dx = footprint.x[i] - object.x[i], dy = footprint.y[i] - object.y[i];
      if (!(dx * dx + dy * dy <= reach * reach) || !boxes_touch(footprint.box(i, scene.ego), object.box(i))) continue;
      if (is_at_fault(footprint, areas, scene.ego, object, i)) {
        result.score = std::min(result.score, object.is_agent ? 0.0 : 0.5);
        if (result.step < 0 || static_cast<int>(i) < result.step) {
          result.step = static_cast<int>(i);
          result.object = static_cast<int>(row);
        }
      }
      break;
    }
  }
  return result;
}

// Centres of the ego's box moved on at its present speed and heading.
struct Projection {
  std::array<std::array<double, kStates>, kLookAheads> x, y;
  Rectangle swept;

  void set(const Footprint& footprint) {
    swept = Rectangle{};
    for (std::size_t k = 0; k < kLookAheads; ++k) {
      const double ahead = kLookAheadSteps[k] * 0.1;
      for (std::size_t i = 0; i < kStates; ++i) {
        x[k][i] = footprint.x[i] + footprint.cosine[i] * footprint.speed[i] * ahead;
        y[k][i] = footprint.y[i] + footprint.sine[i] * footprint.speed[i] * ahead;
      }
    }
    for (std::size_t i = 0; i < kStates; ++i) {
      swept.include(x[0][i], y[0][i]);
      swept.include(x[kLookAheads - 1][i], y[kLookAheads - 1][i]);
    }
  }
};

// First contact with one object: the start step, and which look-ahead.
struct FirstContact {
  std::size_t step, look_ahead;
};

inline bool find_first_contact(const Footprint& footprint, const Projection& projection, const ObjectTrack& object,
                               const EgoShape& ego, std::size_t end, FirstContact& contact) {
  const double reach = ego.radius + object.radius;
  bool near[kLookAheads], any = false;
  for (std::size_t k = 0; k < kLookAheads; ++k) {
    const int offset = kLookAheadSteps[k];
    near[k] = comes_near(projection.x[k].data(), projection.y[k].data(), object.x.data() + offset,
                         object.y.data() + offset, end, reach);
    any |= near[k];
  }
  if (!any) return false;
  for (std::size_t i = 0; i < end; ++i) {
    if (footprint.speed[i] < kStandingSpeed) continue;
    for (std::size_t k = 0; k < kLookAheads; ++k) {
      if (!near[k]) continue;
      const std::size_t then = i + static_cast<std::size_t>(kLookAheadSteps[k]);
      const double dx = projection.x[k][i] - object.x[then], dy = projection.y[k][i] - object.y[then];
      if (!(dx * dx + dy * dy <= reach * reach)) continue;
      Box box = footprint.box(i, ego);
      box.x = projection.x[k][i];
      box.y = projection.y[k][i];
      if (boxes_touch(box, object.box(then))) {
        contact = {i, k};
        return true;
      }
    }
  }
  return false;
}

inline ContactScore time_to_collision(const Footprint& footprint, const Projection& projection, Areas& areas,
                                      const SceneIndex& scene) {
  ContactScore result;
  // Version 2 starts only where the whole look-ahead lies within the simulated 4 s.
  std::size_t end = scene.version2 ? kStates - static_cast<std::size_t>(kLookAheadSteps[kLookAheads - 1])
                                   : std::size_t{kStates};
  for (std::size_t row = 0; row < scene.objects.size(); ++row) {
    const ObjectTrack& object = scene.objects[row];
    if (!projection.swept.overlaps(object.swept, scene.ego.radius + object.radius)) continue;
    FirstContact contact;
    if (!find_first_contact(footprint, projection, object, scene.ego, end, contact)) continue;
    const std::size_t then = contact.step + static_cast<std::size_t>(kLookAheadSteps[contact.look_ahead]);
    const Bearing direction = bearing(footprint, contact.step, object.x[then], object.y[then]);
    const auto crosses = [&] {
      return areas.multiple_lanes_or_not_drivable(contact.step) ||
             scene.map.categories_at(footprint.rear_x[contact.step], footprint.rear_y[contact.step], kIntersection) != 0;
    };
    if (direction.ahead() || (!direction.behind() && crosses())) {
      result.score = 0.0;
      result.step = static_cast<int>(contact.step);
      result.object = static_cast<int>(row);
      end = contact.step;  // only an earlier start could still matter
    }
  }
  return result;
}

}  // namespace pair_drive
