// Angles in radians.
#pragma once

#include <cmath>

namespace pair_drive {

constexpr double kPi = 3.14159265358979323846;
constexpr double kTwoPi = 2.0 * kPi;

// The nearest equivalent angle to zero. NaN stays NaN.
inline double wrap_angle(double angle) { return angle - kTwoPi * std::nearbyint(angle / kTwoPi); }

}  // namespace pair_drive
