// The kernel's C interface: indexing of scenes and scoring of candidates over threads.
#include "kernel.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "comfort.hpp"
#include "contacts.hpp"
#include "footprint.hpp"
#include "proposals.hpp"
#include "rules.hpp"
#include "scene_index.hpp"
#include "simulate.hpp"

namespace pair_drive {
namespace {

// Working memory of one thread.
struct Workspace {
  Path path;
  Rollout rollout;
  Footprint footprint;
  Areas areas;
  Projection projection;
  ComfortFilter::Buffer comfort;
};

void roll_out(const SceneIndex& scene, const PairDriveRequest& request, std::size_t index, Workspace& work) {
  if (request.kind == PAIR_DRIVE_STATES) {
    const double* states = request.input + index * kStates * kStateSize;
    for (std::size_t i = 0; i < kStates; ++i) std::copy_n(states + i * kStateSize, kStateSize, work.rollout[i].begin());
    return;
  }
  if (request.kind == PAIR_DRIVE_PATHS) {
    const double* poses = request.input + index * kStates * 3;
    for (std::size_t i = 0; i < kStates; ++i) work.path[i] = {poses[3 * i], poses[3 * i + 1], poses[3 * i + 2]};
  } else {
    interpolate_plan(request.input + index * kPlanPoses * 3, scene.frame, scene.times, work.path);
  }
  drive(work.path, scene.start, scene.ego.wheel_base, work.rollout);
}

// Whether a rollout stays in this world; if not, it is replaced by standing still.
bool keep_on_earth(const SceneIndex& scene, double max_coordinate, Rollout& rollout) {
  bool valid = true;
  for (const State& state : rollout) {
    valid &= std::fabs(state[kX]) <= max_coordinate && std::fabs(state[kY]) <= max_coordinate;
    for (const double value : state) valid &= std::isfinite(value);
  }
  if (!valid) rollout.fill(scene.start);
  return valid;
}

template <typename T>
void write_states(const Rollout& rollout, T* out) {
  for (std::size_t i = 0; i < kStates; ++i)
    for (std::size_t k = 0; k < kStateSize; ++k) out[i * kStateSize + k] = static_cast<T>(rollout[i][k]);
}

void write_areas(Areas& areas, std::uint8_t* out) {
  for (std::size_t i = 0; i < kStates; ++i)
    out[i] = static_cast<std::uint8_t>((areas.multiple_lanes(i) ? 1 : 0) | (areas.not_drivable[i] ? 2 : 0) |
                                       (areas.oncoming[i] ? 4 : 0) | (areas.in_intersection[i] ? 8 : 0));
}

void score_candidate(const SceneIndex& scene, const PairDriveRequest& request, std::size_t index, Workspace& work) {
  roll_out(scene, request, index, work);
  request.valid[index] = keep_on_earth(scene, request.max_coordinate, work.rollout);
  if (request.states != nullptr) {
    const std::size_t offset = index * kStates * kStateSize;
    if (request.single_states != 0)
      write_states(work.rollout, static_cast<float*>(request.states) + offset);
    else
      write_states(work.rollout, static_cast<double*>(request.states) + offset);
  }
  work.footprint.set(work.rollout, scene.ego);
  work.areas.set(work.footprint, scene);
  work.projection.set(work.footprint);

  const ContactScore collision = no_at_fault_collision(work.footprint, work.areas, scene);
  const ContactScore ttc = time_to_collision(work.footprint, work.projection, work.areas, scene);
  const RuleScore drivable = drivable_area_compliance(work.areas);
  const RuleScore direction = driving_direction_compliance(work.footprint, work.areas, scene.version2);
  const RuleScore lights = traffic_light_compliance(work.footprint, scene);
  const RuleScore lane = scene.version2 ? lane_keeping(work.footprint, work.areas, scene.centerline) : RuleScore{};
  const unsigned comfort =
      scene.has_comfort ? scene.comfort.within_bounds(work.rollout, work.comfort) : unsigned{kAllComfortable};

  double* values = request.values + index * PAIR_DRIVE_VALUES;
  values[PAIR_DRIVE_NC] = collision.score;
  values[PAIR_DRIVE_DAC] = drivable.score;
  values[PAIR_DRIVE_DDC] = direction.score;
  values[PAIR_DRIVE_TLC] = lights.score;
  values[PAIR_DRIVE_TTC] = ttc.score;
  values[PAIR_DRIVE_LK] = lane.score;
  values[PAIR_DRIVE_COMFORT] = comfort == kAllComfortable ? 1.0 : 0.0;
  values[PAIR_DRIVE_PROGRESS] = progress(work.footprint, scene.centerline);
  std::int32_t* events = request.events + index * PAIR_DRIVE_EVENTS;
  events[PAIR_DRIVE_COLLISION_STEP] = collision.step;
  events[PAIR_DRIVE_OFF_ROAD_STEP] = drivable.step;
  events[PAIR_DRIVE_ONCOMING_STEP] = direction.step;
  events[PAIR_DRIVE_RED_LIGHT_STEP] = lights.step;
  events[PAIR_DRIVE_TTC_STEP] = ttc.step;
  events[PAIR_DRIVE_LANE_STEP] = lane.step;
  events[PAIR_DRIVE_COLLISION_OBJECT] = collision.object;
  events[PAIR_DRIVE_TTC_OBJECT] = ttc.object;
  events[PAIR_DRIVE_RED_LIGHT_ROW] = lights.row;
  events[PAIR_DRIVE_COMFORT_BITS] = static_cast<std::int32_t>(comfort);
  if (request.areas != nullptr) write_areas(work.areas, request.areas + index * kStates);
}

// Calls `work(begin, end)` for blocks of [0, count) on up to `threads` threads; every block writes its own results, so
// the outcome does not depend on which thread takes it. Returns whether memory sufficed.
template <typename Work>
bool run_blocks(std::size_t count, std::size_t block, std::int64_t threads, Work make_work) {
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  const auto loop = [&] {
    try {
      auto work = make_work();
      for (std::size_t begin = next.fetch_add(block); begin < count; begin = next.fetch_add(block))
        work(begin, std::min(begin + block, count));
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  };
  const std::size_t blocks = (count + block - 1) / block;
  const std::size_t helpers = std::min(static_cast<std::size_t>(std::max<std::int64_t>(threads, 1)), blocks);
  std::vector<std::thread> pool;
  try {
    pool.reserve(helpers);
    for (std::size_t i = 1; i < helpers; ++i) pool.emplace_back(loop);
  } catch (const std::exception&) {
    // The system gives no more threads or memory: those that run, this one included, do all the work.
  }
  loop();
  for (std::thread& thread : pool) thread.join();
  return !failed;
}

}  // namespace
}  // namespace pair_drive

using pair_drive::SceneIndex;

#ifndef PAIR_DRIVE_STAMP
#define PAIR_DRIVE_STAMP none
#endif
#define PAIR_DRIVE_TEXT(token) #token
#define PAIR_DRIVE_TEXT_OF(macro) PAIR_DRIVE_TEXT(macro)

const char* pair_drive_stamp(void) { return "pair-drive kernel stamp " PAIR_DRIVE_TEXT_OF(PAIR_DRIVE_STAMP); }

int64_t pair_drive_index(const PairDriveBatch* batch, int64_t threads, void** handles) {
  const std::size_t scenes = static_cast<std::size_t>(batch->scenes);
  std::fill_n(handles, scenes, nullptr);
  const bool done = pair_drive::run_blocks(scenes, 1, threads, [&] {
    return [&](std::size_t begin, std::size_t end) {
      for (std::size_t scene = begin; scene < end; ++scene) handles[scene] = new SceneIndex(*batch, scene);
    };
  });
  if (!done) pair_drive_release(handles, batch->scenes);
  return done ? 0 : 1;
}

void pair_drive_release(void** handles, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    delete static_cast<SceneIndex*>(handles[i]);
    handles[i] = nullptr;
  }
}

int64_t pair_drive_score(void* const* handles, int64_t scenes, const PairDriveRequest* request) {
  const std::size_t candidates = static_cast<std::size_t>(request->candidates);
  const std::size_t count = static_cast<std::size_t>(scenes) * candidates;
  constexpr std::size_t block = 16;
  const bool done = pair_drive::run_blocks(count, block, request->threads, [&] {
    return [&, work = std::make_unique<pair_drive::Workspace>()](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i)
        pair_drive::score_candidate(*static_cast<const SceneIndex*>(handles[i / candidates]), *request, i, *work);
    };
  });
  return done ? 0 : 1;
}

int64_t pair_drive_propose(const PairDriveProposals* proposals, double* poses) {
  try {
    pair_drive::drive_proposals(*proposals, poses);
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}
