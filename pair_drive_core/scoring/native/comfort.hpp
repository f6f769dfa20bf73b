// Comfort bounds over a rollout: history comfort (v2, with the past in front) and comfort (v1.1).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "angles.hpp"
#include "savgol.hpp"
#include "simulate.hpp"

namespace pair_drive {

struct ComfortBounds {
  static constexpr double min_longitudinal = -4.05, max_longitudinal = 2.40;  // m/s^2
  static constexpr double max_lateral = 4.89;                                 // m/s^2
  static constexpr double max_jerk = 8.37;                                    // m/s^3
  static constexpr double max_longitudinal_jerk = 4.13;                       // m/s^3
  static constexpr double max_yaw_acceleration = 1.93;                        // rad/s^2
  static constexpr double max_yaw_rate = 0.95;                                // rad/s
};

// Bits of the result of `within_bounds`, in the official order.
enum ComfortBit : unsigned {
  kLongitudinalOk = 1,
  kLateralOk = 2,
  kJerkOk = 4,
  kLongitudinalJerkOk = 8,
  kYawAccelerationOk = 16,
  kYawRateOk = 32,
  kAllComfortable = 63
};

// The part of a state that comfort looks at.
struct MotionSample {
  double heading, ax, ay, yaw_rate, yaw_acceleration;

  static MotionSample of(const double* state) {
    return {state[kHeading], state[kAx], state[kAy], state[kYawRate], state[kYawAcceleration]};
  }
};

class ComfortFilter {
 public:
  // `center_offset`: distance from the rear axle to where the longitudinal acceleration is looked at.
  ComfortFilter(const std::vector<MotionSample>& past, bool whole_window, double center_offset)
      : past_(past), count_(static_cast<int>(past.size()) + kStates), center_offset_(center_offset),
        bounded_acceleration_(count_, whole_window ? count_ : kAccelerationWindow, 2, 0, kSpacing),
        acceleration_(count_, kAccelerationWindow, 2, 0, kSpacing),
        jerk_(count_, whole_window ? count_ : kJerkWindow, 2, 1, kSpacing), yaw_rate_(count_, kYawWindow, 2, 1, kSpacing),
        yaw_acceleration_(count_, kYawWindow, 3, 2, kSpacing) {}

  // Working memory of `within_bounds`, one a thread.
  struct Buffer {
    std::vector<double> longitudinal, lateral, magnitude, heading, smooth_longitudinal, smooth_magnitude;
  };

  unsigned within_bounds(const Rollout& rollout, Buffer& buffer) const {
    fill(rollout, buffer);
    unsigned ok = 0;
    if (inside(bounded_acceleration_, buffer.longitudinal, ComfortBounds::min_longitudinal,
               ComfortBounds::max_longitudinal))
      ok |= kLongitudinalOk;
    if (inside(bounded_acceleration_, buffer.lateral, -ComfortBounds::max_lateral, ComfortBounds::max_lateral))
      ok |= kLateralOk;
    smooth(buffer.magnitude, buffer.smooth_magnitude);
    if (inside(jerk_, buffer.smooth_magnitude, -ComfortBounds::max_jerk, ComfortBounds::max_jerk)) ok |= kJerkOk;
    smooth(buffer.longitudinal, buffer.smooth_longitudinal);
    if (inside(jerk_, buffer.smooth_longitudinal, -ComfortBounds::max_longitudinal_jerk,
               ComfortBounds::max_longitudinal_jerk))
      ok |= kLongitudinalJerkOk;
    if (inside(yaw_acceleration_, buffer.heading, -ComfortBounds::max_yaw_acceleration,
               ComfortBounds::max_yaw_acceleration))
      ok |= kYawAccelerationOk;
    if (inside(yaw_rate_, buffer.heading, -ComfortBounds::max_yaw_rate, ComfortBounds::max_yaw_rate)) ok |= kYawRateOk;
    return ok;
  }

 private:
  static constexpr double kSpacing = 0.1;
  static constexpr int kAccelerationWindow = 8;
  static constexpr int kJerkWindow = 15;
  static constexpr int kYawWindow = 5;

  // The bounds compare values rounded to 8 decimals.
  static double rounded(double value) { return std::nearbyint(value * 1e8) / 1e8; }

  static bool inside(const SavgolOperator& filter, const std::vector<double>& samples, double low, double high) {
    for (int i = 0; i < filter.count(); ++i) {
      const double value = rounded(filter.apply(samples.data(), i));
      if (!(value > low && value < high)) return false;
    }
    return true;
  }

  void smooth(const std::vector<double>& samples, std::vector<double>& out) const {
    for (int i = 0; i < count_; ++i) out[static_cast<std::size_t>(i)] = rounded(acceleration_.apply(samples.data(), i));
  }

  void fill(const Rollout& rollout, Buffer& buffer) const {
    const std::size_t size = static_cast<std::size_t>(count_);
    for (auto* series : {&buffer.longitudinal, &buffer.lateral, &buffer.magnitude, &buffer.heading,
                         &buffer.smooth_longitudinal, &buffer.smooth_magnitude})
      series->resize(size);
    double turns = 0.0, last_heading = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
      const MotionSample sample =
          i < past_.size() ? past_[i] : MotionSample::of(rollout[i - past_.size()].data());
      buffer.longitudinal[i] =
          sample.ax + center_offset_ * sample.yaw_rate * sample.yaw_rate + center_offset_ * sample.yaw_acceleration;
      buffer.lateral[i] = sample.ay;
      buffer.magnitude[i] = std::sqrt(sample.ax * sample.ax + sample.ay * sample.ay);
      if (i > 0) turns += std::nearbyint((sample.heading - last_heading) / kTwoPi);
      last_heading = sample.heading;
      buffer.heading[i] = sample.heading - kTwoPi * turns;
    }
  }

  std::vector<MotionSample> past_;
  int count_;
  double center_offset_;
  SavgolOperator bounded_acceleration_, acceleration_, jerk_, yaw_rate_, yaw_acceleration_;
};

}  // namespace pair_drive
