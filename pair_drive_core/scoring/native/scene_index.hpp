// Everything about one scene that does not depend on the plan, worked out once.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "boxes.hpp"
#include "centerline.hpp"
#include "comfort.hpp"
#include "kernel.h"
#include "polygon_grid.hpp"
#include "simulate.hpp"

namespace pair_drive {

// nuPlan's SemanticMapLayer, as far as scoring reads it.
enum MapLayer : std::int64_t {
  kLayerLane = 0,
  kLayerIntersection = 1,
  kLayerDrivableArea = 5,
  kLayerLaneConnector = 11,
  kLayerCarpark = 15,
  kLayerRoadblock = 17,
};

inline std::uint32_t polygon_category(std::int64_t layer, bool on_route) {
  switch (layer) {
    case kLayerLane:
    case kLayerLaneConnector:
      return on_route ? kLane | kOnRoute : kLane;
    case kLayerIntersection:
      return kDrivable | kIntersection;
    case kLayerDrivableArea:
    case kLayerCarpark:
    case kLayerRoadblock:
      return kDrivable;
    default:
      return 0;
  }
}

struct Rectangle {
  double low_x = std::numeric_limits<double>::infinity(), low_y = std::numeric_limits<double>::infinity();
  double high_x = -std::numeric_limits<double>::infinity(), high_y = -std::numeric_limits<double>::infinity();

  void include(double x, double y) {
    low_x = std::fmin(low_x, x);
    low_y = std::fmin(low_y, y);
    high_x = std::fmax(high_x, x);
    high_y = std::fmax(high_y, y);
  }

  bool overlaps(const Rectangle& other, double margin) const {
    return low_x - margin <= other.high_x && other.low_x <= high_x + margin && low_y - margin <= other.high_y &&
           other.low_y <= high_y + margin;
  }
};

// One tracked object over the horizon; positions are NaN where it is absent.
struct ObjectTrack {
  std::vector<double> x, y, cosine, sine;
  double half_length, half_width, radius;
  bool is_agent, stopped;
  Rectangle swept;  // of the centres

  Box box(std::size_t step) const { return {x[step], y[step], cosine[step], sine[step], half_length, half_width}; }
};

// A lane connector that shows red at some steps.
struct RedArea {
  std::vector<Edge> edges;
  std::array<bool, kStates> red;
  Rectangle extent;
};

struct EgoShape {
  double half_length, half_width, center_offset, wheel_base, radius;
};

struct SceneIndex {
  bool version2;
  EgoShape ego;
  Frame frame;
  State start;
  SampleTimes times;
  PolygonGrid map;
  std::vector<ObjectTrack> objects;
  std::vector<RedArea> reds;
  Centerline centerline;
  bool has_comfort;
  ComfortFilter comfort;
  std::size_t object_steps;

  SceneIndex(const PairDriveBatch& batch, std::size_t scene)
      : version2(batch.version == 2), ego(ego_shape(batch)), frame(local_frame(batch, scene)),
        map(build_map(batch, scene)), centerline(build_centerline(batch, scene)),
        has_comfort(!version2 || batch.has_history[scene] != 0),
        comfort(past_motion(batch, scene), !version2, version2 ? ego.center_offset : 0.0),
        object_steps(static_cast<std::size_t>(batch.object_steps)) {
    const double* state = batch.ego + scene * kStateSize;
    for (std::size_t i = 0; i < kStateSize; ++i) start[i] = state[i];
    for (std::size_t i = 0; i < kStates; ++i) {
      times.left[i] = static_cast<int>(batch.sample_index[scene * kStates + i]);
      times.weight[i] = batch.sample_weight[scene * kStates + i];
    }
    for (std::int64_t row = batch.object_offsets[scene]; row < batch.object_offsets[scene + 1]; ++row)
      objects.push_back(build_track(batch, static_cast<std::size_t>(row)));
    for (std::int64_t row = batch.red_offsets[scene]; row < batch.red_offsets[scene + 1]; ++row)
      reds.push_back(build_red(batch, static_cast<std::size_t>(row)));
  }

 private:
  static EgoShape ego_shape(const PairDriveBatch& batch) {
    const double half_length = 0.5 * (batch.front_length + batch.rear_length), half_width = 0.5 * batch.width;
    return {half_length, half_width, half_length - batch.rear_length, batch.wheel_base,
            std::hypot(half_length, half_width)};
  }

  static Frame local_frame(const PairDriveBatch& batch, std::size_t scene) {
    return {batch.origin[2 * scene], batch.origin[2 * scene + 1], batch.ego[scene * kStateSize + kHeading]};
  }

  static PolygonGrid build_map(const PairDriveBatch& batch, std::size_t scene) {
    const std::int64_t first = batch.polygon_offsets[scene], last = batch.polygon_offsets[scene + 1];
    const RingSet rings{batch.ring_points, batch.ring_offsets + first, static_cast<std::size_t>(last - first)};
    std::vector<std::uint32_t> categories;
    for (std::int64_t i = first; i < last; ++i)
      categories.push_back(polygon_category(batch.polygon_layers[i], batch.polygon_on_route[i] != 0));
    return PolygonGrid(rings, categories);
  }

  static Centerline build_centerline(const PairDriveBatch& batch, std::size_t scene) {
    const std::int64_t first = batch.centerline_offsets[scene], last = batch.centerline_offsets[scene + 1];
    return Centerline(batch.centerline + 3 * first, static_cast<std::size_t>(last - first), 3);
  }

  static std::vector<MotionSample> past_motion(const PairDriveBatch& batch, std::size_t scene) {
    std::vector<MotionSample> past;
    if (batch.version != 2) return past;
    for (std::int64_t row = batch.history_offsets[scene]; row < batch.history_offsets[scene + 1]; ++row)
      past.push_back(MotionSample::of(batch.history + row * kStateSize));
    return past;
  }

  static ObjectTrack build_track(const PairDriveBatch& batch, std::size_t row) {
    const std::size_t steps = static_cast<std::size_t>(batch.object_steps);
    ObjectTrack track;
    track.half_length = 0.5 * batch.object_size[2 * row];
    track.half_width = 0.5 * batch.object_size[2 * row + 1];
    track.radius = std::hypot(track.half_length, track.half_width);
    track.is_agent = batch.object_is_agent[row] != 0;
    track.stopped = batch.object_stopped[row] != 0;
    for (auto* series : {&track.x, &track.y, &track.cosine, &track.sine})
      series->assign(steps, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < steps; ++i) {
      if (batch.object_present[row * steps + i] == 0) continue;
      const double* state = batch.object_states + (row * steps + i) * 5;
      track.x[i] = state[0];
      track.y[i] = state[1];
      track.cosine[i] = std::cos(state[2]);
      track.sine[i] = std::sin(state[2]);
      track.swept.include(state[0], state[1]);
    }
    return track;
  }

  static RedArea build_red(const PairDriveBatch& batch, std::size_t row) {
    RedArea area;
    const RingSet ring{batch.red_points, batch.red_ring_offsets + row, 1};
    for (std::size_t i = 0; i < kStates; ++i) area.red[i] = batch.red_on[row * kStates + i] != 0;
    if (ring.size(0) < 3) return area;
    for (std::size_t i = 0; i < ring.size(0); ++i) {
      area.edges.push_back(ring.edge(0, i));
      area.extent.include(area.edges.back().ax, area.edges.back().ay);
    }
    return area;
  }
};

}  // namespace pair_drive
