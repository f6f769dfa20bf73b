// Oriented rectangles.
#pragma once

#include <cmath>

namespace pair_drive {

struct Box {
  double x, y, cosine, sine;  // centre and direction of the length
  double half_length, half_width;
};

// Whether two boxes share a point; touching counts. A box of no length or width is a segment or a point.
inline bool boxes_touch(const Box& a, const Box& b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double cosine = std::fabs(a.cosine * b.cosine + a.sine * b.sine);
  const double sine = std::fabs(a.cosine * b.sine - a.sine * b.cosine);
  if (!(std::fabs(dx * a.cosine + dy * a.sine) <= a.half_length + b.half_length * cosine + b.half_width * sine))
    return false;
  if (!(std::fabs(dy * a.cosine - dx * a.sine) <= a.half_width + b.half_length * sine + b.half_width * cosine))
    return false;
  if (!(std::fabs(dx * b.cosine + dy * b.sine) <= b.half_length + a.half_length * cosine + a.half_width * sine))
    return false;
  return std::fabs(dy * b.cosine - dx * b.sine) <= b.half_width + a.half_length * sine + a.half_width * cosine;
}

// Whether a segment and a box share a point; touching counts.
inline bool segment_touches(double ax, double ay, double bx, double by, const Box& box) {
  const double rax = ax - box.x, ray = ay - box.y, rbx = bx - box.x, rby = by - box.y;
  const double ua = rax * box.cosine + ray * box.sine, va = ray * box.cosine - rax * box.sine;
  const double ub = rbx * box.cosine + rby * box.sine, vb = rby * box.cosine - rbx * box.sine;
  if (ua > box.half_length && ub > box.half_length) return false;
  if (ua < -box.half_length && ub < -box.half_length) return false;
  if (va > box.half_width && vb > box.half_width) return false;
  if (va < -box.half_width && vb < -box.half_width) return false;
  const double du = ub - ua, dv = vb - va;
  // The box's extent along the segment's normal against the segment's distance from the box's centre.
  return std::fabs(ua * dv - va * du) <= box.half_length * std::fabs(dv) + box.half_width * std::fabs(du);
}

}  // namespace pair_drive
