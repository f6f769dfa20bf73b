// The ego's box along a rollout, and which map areas it is in.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "scene_index.hpp"

namespace pair_drive {

struct Footprint {
  std::array<double, kStates> rear_x, rear_y, x, y, cosine, sine, speed;  // x, y: the box's centre
  Rectangle swept;                                                        // of the centres

  void set(const Rollout& rollout, const EgoShape& ego) {
    swept = Rectangle{};
    for (std::size_t i = 0; i < kStates; ++i) {
      const State& state = rollout[i];
      cosine[i] = std::cos(state[kHeading]);
      sine[i] = std::sin(state[kHeading]);
      rear_x[i] = state[kX];
      rear_y[i] = state[kY];
      x[i] = state[kX] + ego.center_offset * cosine[i];
      y[i] = state[kY] + ego.center_offset * sine[i];
      speed[i] = std::sqrt(state[kVx] * state[kVx] + state[kVy] * state[kVy]);
      swept.include(x[i], y[i]);
    }
  }

  Box box(std::size_t step, const EgoShape& ego) const {
    return {x[step], y[step], cosine[step], sine[step], ego.half_length, ego.half_width};
  }

  void corners(std::size_t step, const EgoShape& ego, double (&out)[4][2]) const {
    const double lx = ego.half_length * cosine[step], ly = ego.half_length * sine[step];
    const double wx = -ego.half_width * sine[step], wy = ego.half_width * cosine[step];
    const double sign[4][2] = {{1, 1}, {-1, 1}, {-1, -1}, {1, -1}};
    for (int i = 0; i < 4; ++i) {
      out[i][0] = x[step] + sign[i][0] * lx + sign[i][1] * wx;
      out[i][1] = y[step] + sign[i][0] * ly + sign[i][1] * wy;
    }
  }
};

// Areas of the map that a footprint is in, by step. Whether it straddles lanes is asked rarely, so found when asked.
class Areas {
 public:
  std::array<bool, kStates> not_drivable, oncoming, in_intersection;  // the last two look at the box's centre

  void set(const Footprint& footprint, const SceneIndex& scene) {
    footprint_ = &footprint;
    scene_ = &scene;
    straddles_.fill(kUnknown);
    for (std::size_t i = 0; i < kStates; ++i) {
      const std::uint32_t center =
          scene.map.categories_at(footprint.x[i], footprint.y[i], kOnRoute | kIntersection);
      oncoming[i] = (center & kOnRoute) == 0;
      in_intersection[i] = (center & kIntersection) != 0;
      double corners[4][2];
      footprint.corners(i, scene.ego, corners);
      not_drivable[i] = false;
      for (const auto& corner : corners)
        if (scene.map.categories_at(corner[0], corner[1], kDrivable) == 0) {
          not_drivable[i] = true;
          break;
        }
    }
  }

  // More than one lane holds a corner and no lane holds all four.
  bool multiple_lanes(std::size_t step) {
    if (straddles_[step] == kUnknown) straddles_[step] = find_multiple_lanes(step) ? kYes : kNo;
    return straddles_[step] == kYes;
  }

  bool multiple_lanes_or_not_drivable(std::size_t step) { return not_drivable[step] || multiple_lanes(step); }

 private:
  enum Answer : std::uint8_t { kUnknown, kNo, kYes };

  bool find_multiple_lanes(std::size_t step) {
    double corners[4][2];
    footprint_->corners(step, scene_->ego, corners);
    lanes_.clear();
    for (const auto& corner : corners)
      scene_->map.visit_polygons(corner[0], corner[1], kLane, [this](std::uint32_t polygon) {
        for (auto& lane : lanes_)
          if (lane.first == polygon) {
            ++lane.second;
            return;
          }
        lanes_.emplace_back(polygon, 1);
      });
    for (const auto& lane : lanes_)
      if (lane.second == 4) return false;
    return lanes_.size() > 1;
  }

  const Footprint* footprint_ = nullptr;
  const SceneIndex* scene_ = nullptr;
  std::array<Answer, kStates> straddles_{};
  std::vector<std::pair<std::uint32_t, int>> lanes_;
};

}  // namespace pair_drive
