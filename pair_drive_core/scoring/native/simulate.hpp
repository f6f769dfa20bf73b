// A plan in, the driven states out: interpolation, LQR tracker, kinematic bicycle (nuPlan's two-stage controller as
// NAVSIM's PDMSimulator runs it).
//
// The tracker's two regularised least-squares fits are solved in the unknowns "velocity at each step" and "curvature at
// each step". There the first normal matrix is a constant pentadiagonal one and the second a tridiagonal one, so a fit
// costs O(steps) instead of a 40 x 40 pseudo-inverse for every candidate; the minimiser is the same.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "angles.hpp"

namespace pair_drive {

constexpr int kSteps = 40;           // simulated steps of 0.1 s
constexpr int kStates = kSteps + 1;  // with the start state
constexpr int kPlanPoses = 8;
constexpr int kStateSize = 11;

// Columns of a state vector.
enum StateColumn { kX, kY, kHeading, kVx, kVy, kAx, kAy, kSteering, kSteeringRate, kYawRate, kYawAcceleration };

struct TrackerGains {
  static constexpr double dt = 0.1;
  static constexpr int horizon = 10;
  static constexpr double jerk_penalty = 1e-4;
  static constexpr double curvature_rate_penalty = 1e-2;
  static constexpr double initial_curvature_penalty = 1e-10;
  static constexpr double q_velocity = 10.0;
  static constexpr double q_lateral = 1.0;
  static constexpr double q_heading = 10.0;
  static constexpr double r_input = 1.0;
  static constexpr double stopping_gain = 0.5;
  static constexpr double stopping_velocity = 0.2;
};

struct BicycleLimits {
  static constexpr double max_steering = 3.14159265358979323846 / 3.0;
  static constexpr double acceleration_lag = 0.2;
  static constexpr double steering_lag = 0.05;
};

// Where each 10 Hz moment falls between the plan's knots (the start pose and the 8 planned ones).
struct SampleTimes {
  std::array<int, kStates> left;
  std::array<double, kStates> weight;
};

struct Pose {
  double x, y, heading;
};

// Where the local frame sits in the global one: position of its origin and the ego's heading there (the local axes are
// the global ones).
struct Frame {
  double x, y, heading;
};

using Path = std::array<Pose, kStates>;

using State = std::array<double, kStateSize>;

using Rollout = std::array<State, kStates>;

// The plan (ego frame at t0) as 10 Hz poses in the local frame (global axes, origin at the ego's rear axle at t0).
//
// Positions are rounded to global float64 first, as the official code holds them: a vehicle that turns while it all but
// stands still has a curvature that hangs on that rounding. Taking the origin off again is exact.
inline void interpolate_plan(const double* plan, const Frame& frame, const SampleTimes& times, Path& path) {
  const double cosine = std::cos(frame.heading), sine = std::sin(frame.heading);
  std::array<Pose, kPlanPoses + 1> knots;
  knots[0] = {frame.x, frame.y, frame.heading};
  for (int i = 0; i < kPlanPoses; ++i) {
    const double x = plan[3 * i], y = plan[3 * i + 1];
    const double turn = wrap_angle(plan[3 * i + 2] + frame.heading - knots[i].heading);
    knots[i + 1] = {cosine * x - sine * y + frame.x, sine * x + cosine * y + frame.y, knots[i].heading + turn};
  }
  for (int i = 0; i < kStates; ++i) {
    const Pose& a = knots[times.left[i]];
    const Pose& b = knots[times.left[i] + 1];
    const double w = times.weight[i];
    const double x = w * (b.x - a.x) + a.x, y = w * (b.y - a.y) + a.y;
    path[i] = {x - frame.x, y - frame.y, w * (b.heading - a.heading) + a.heading};
  }
}

// L D L^T factors of the velocity fit, I + (jerk_penalty / dt^4) P^T P over 40 velocities. The official penalty is not on
// the jerk throughout: its difference matrix loses the upper diagonal, so rows of P are first differences of velocity
// (the acceleration itself), and only the last row is a second difference.
struct VelocitySmoother {
  std::array<double, kSteps> inverse_diagonal, lower1, lower2;

  VelocitySmoother() {
    const double penalty = TrackerGains::jerk_penalty / std::pow(TrackerGains::dt, 4);
    double band0[kSteps], band1[kSteps], band2[kSteps];
    for (int i = 0; i < kSteps; ++i) {
      band0[i] = 1.0;
      band1[i] = band2[i] = 0.0;
    }
    for (int i = 0; i + 3 < kSteps; ++i) {
      band0[i] += penalty;
      band0[i + 1] += penalty;
      band1[i + 1] -= penalty;  // entry (i + 1, i)
    }
    constexpr int last = kSteps - 1;
    band0[last - 2] += penalty;
    band0[last - 1] += 4.0 * penalty;
    band0[last] += penalty;
    band1[last - 1] -= 2.0 * penalty;
    band1[last] -= 2.0 * penalty;
    band2[last] += penalty;  // entry (last, last - 2)
    double d[kSteps], l1[kSteps], l2[kSteps];
    for (int i = 0; i < kSteps; ++i) {
      l2[i] = i >= 2 ? band2[i] / d[i - 2] : 0.0;
      l1[i] = i >= 1 ? (band1[i] - (i >= 2 ? l2[i] * d[i - 2] * l1[i - 1] : 0.0)) / d[i - 1] : 0.0;
      d[i] = band0[i] - (i >= 1 ? l1[i] * l1[i] * d[i - 1] : 0.0) - (i >= 2 ? l2[i] * l2[i] * d[i - 2] : 0.0);
      inverse_diagonal[i] = 1.0 / d[i];
      lower1[i] = l1[i];
      lower2[i] = l2[i];
    }
  }

  // Solves in place.
  void solve(std::array<double, kSteps>& v) const {
    v[1] -= lower1[1] * v[0];
    for (int i = 2; i < kSteps; ++i) v[i] -= lower1[i] * v[i - 1] + lower2[i] * v[i - 2];
    for (int i = 0; i < kSteps; ++i) v[i] *= inverse_diagonal[i];
    v[kSteps - 2] -= lower1[kSteps - 1] * v[kSteps - 1];
    for (int i = kSteps - 3; i >= 0; --i) v[i] -= lower1[i + 1] * v[i + 1] + lower2[i + 2] * v[i + 2];
  }
};

// What the tracker follows.
struct Reference {
  std::array<double, kStates> sine, cosine;  // of the path's headings
  std::array<double, kSteps> velocity, curvature;
};

inline void fit_reference(const Path& path, Reference& reference) {
  static const VelocitySmoother smoother;
  const double dt = TrackerGains::dt;
  std::array<double, kSteps> turn;
  for (int i = 0; i < kStates; ++i) {
    reference.sine[i] = std::sin(path[i].heading);
    reference.cosine[i] = std::cos(path[i].heading);
  }
  for (int i = 0; i < kSteps; ++i) {
    const double dx = path[i + 1].x - path[i].x, dy = path[i + 1].y - path[i].y;
    reference.velocity[i] = (reference.cosine[i] * dx + reference.sine[i] * dy) / dt;
    turn[i] = wrap_angle(path[i + 1].heading - path[i].heading);
  }
  smoother.solve(reference.velocity);

  // Tridiagonal system (v_i dt)^2 k_i + w (2 k_i - k_{i-1} - k_{i+1}) = v_i dt turn_i, w = 1 after scaling. Elimination
  // runs from the end and keeps "diagonal - w": all terms stay positive, so the tiny penalty on the first curvature of
  // a standing vehicle is not lost.
  constexpr double w = TrackerGains::curvature_rate_penalty / (TrackerGains::dt * TrackerGains::dt);
  std::array<double, kSteps> pivot, right;
  double carried = 0.0, carried_right = 0.0;
  for (int i = kSteps - 1; i >= 0; --i) {
    const double gain = reference.velocity[i] * dt;
    const double excess = gain * gain + carried;  // pivot without the coupling to the step before
    right[i] = gain * turn[i] + carried_right;
    pivot[i] = i > 0 ? excess + w : excess + TrackerGains::initial_curvature_penalty;
    carried = w * excess / (w + excess);
    carried_right = w * right[i] / pivot[i];
  }
  reference.curvature[0] = right[0] / pivot[0];
  for (int i = 1; i < kSteps; ++i) reference.curvature[i] = (right[i] + w * reference.curvature[i - 1]) / pivot[i];
}

// Steering rate that minimises the lateral, heading and input cost one horizon ahead, at constant acceleration.
inline double lateral_command(double lateral_error, double heading_error, double steering, double velocity,
                              double acceleration, const double* curvature, int curvature_count, double wheel_base) {
  const double dt = TrackerGains::dt;
  double lateral_gain = 0.0, heading_gain = 0.0, steering_gain = 0.0;
  for (int k = 0; k < TrackerGains::horizon; ++k) {
    const double travel = (velocity + k * (acceleration * dt)) * dt;
    const double bend = curvature[std::min(k, curvature_count - 1)];
    lateral_error += travel * heading_error;
    heading_error += travel * (steering / wheel_base - bend);
    lateral_gain += travel * heading_gain;
    heading_gain += travel / wheel_base * steering_gain;
    steering_gain += dt;
  }
  heading_error = wrap_angle(heading_error);
  const double lateral = lateral_gain * TrackerGains::q_lateral, heading = heading_gain * TrackerGains::q_heading;
  return -(lateral * lateral_error + heading * heading_error) /
         (lateral * lateral_gain + heading * heading_gain + TrackerGains::r_input);
}

// Acceleration and steering rate for the step that starts at `index`.
inline void track(const Reference& reference, const Path& path, int index, const State& state, double wheel_base,
                  double& acceleration, double& steering_rate) {
  const int ahead = std::min(index + TrackerGains::horizon, kSteps - 1);
  const double target = reference.velocity[ahead];
  const double velocity = state[kVx];
  if (target <= TrackerGains::stopping_velocity && velocity <= TrackerGains::stopping_velocity) {
    acceleration = -TrackerGains::stopping_gain * (velocity - target);
    steering_rate = 0.0;
    return;
  }
  constexpr double reach = TrackerGains::horizon * TrackerGains::dt;
  constexpr double weighted = reach * TrackerGains::q_velocity;
  constexpr double gain = weighted / (weighted * reach + TrackerGains::r_input);
  acceleration = -gain * (velocity - target);
  const double dx = state[kX] - path[index].x, dy = state[kY] - path[index].y;
  const double lateral_error = dy * reference.cosine[index] - dx * reference.sine[index];
  const double heading_error = wrap_angle(state[kHeading] - path[index].heading);
  steering_rate = lateral_command(lateral_error, heading_error, state[kSteering], velocity, acceleration,
                                  &reference.curvature[index], ahead - index + 1, wheel_base);
}

// Drives the path from `start` for 40 steps.
inline void drive(const Path& path, const State& start, double wheel_base, Rollout& rollout) {
  Reference reference;
  fit_reference(path, reference);
  const double dt = TrackerGains::dt;
  const double acceleration_filter = TrackerGains::dt / (TrackerGains::dt + BicycleLimits::acceleration_lag);
  const double steering_filter = TrackerGains::dt / (TrackerGains::dt + BicycleLimits::steering_lag);
  const double max_steering = BicycleLimits::max_steering;
  rollout[0] = start;
  double tangent = std::tan(start[kSteering]);
  for (int i = 0; i < kSteps; ++i) {
    const State& now = rollout[i];
    State& next = rollout[i + 1];
    double acceleration_command, steering_rate_command;
    track(reference, path, i, now, wheel_base, acceleration_command, steering_rate_command);
    const double acceleration = now[kAx] + acceleration_filter * (acceleration_command - now[kAx]);
    const double steering_rate = steering_filter * steering_rate_command;
    const double distance = now[kVx] * dt;
    next[kX] = now[kX] + distance * std::cos(now[kHeading]);
    next[kY] = now[kY] + distance * std::sin(now[kHeading]);
    next[kHeading] = wrap_angle(now[kHeading] + distance * tangent / wheel_base);
    next[kVx] = now[kVx] + acceleration * dt;
    next[kVy] = 0.0;
    next[kAx] = acceleration;
    next[kAy] = 0.0;
    next[kSteering] = std::clamp(now[kSteering] + steering_rate * dt, -max_steering, max_steering);
    next[kSteeringRate] = steering_rate;
    tangent = std::tan(next[kSteering]);
    next[kYawRate] = next[kVx] * tangent / wheel_base;
    next[kYawAcceleration] = (next[kYawRate] - now[kYawRate]) / dt;
  }
}

}  // namespace pair_drive
