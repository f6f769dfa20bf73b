// Savitzky-Golay filters as banded operators over a fixed number of equally spaced samples (scipy's `mode="interp"`).
#pragma once

#include <cstddef>
#include <vector>

namespace pair_drive {

class SavgolOperator {
 public:
  // Fits polynomials of degree `order` over `window` samples (cut to `count`) and takes the `derivative`-th derivative
  // at a sample spacing of `spacing`. An even window is centred half a sample after the output, as scipy has it; the
  // outputs near the ends come from the fits over the first and the last window.
  SavgolOperator(int count, int window, int order, int derivative, double spacing)
      : window_(window < count ? window : count), starts_(static_cast<std::size_t>(count)),
        weights_(static_cast<std::size_t>(count) * static_cast<std::size_t>(window_)) {
    const int half = window_ / 2;
    for (int i = 0; i < count; ++i) {
      int start = i - (window_ - 1) / 2;
      double position = (window_ - 1) / 2.0;
      if (i < half) {
        start = 0;
        position = i;
      } else if (i >= count - half) {
        start = count - window_;
        position = i - start;
      }
      starts_[static_cast<std::size_t>(i)] = start;
      fit_weights(order, derivative, position, spacing, &weights_[static_cast<std::size_t>(i * window_)]);
    }
  }

  int count() const { return static_cast<int>(starts_.size()); }

  double apply(const double* samples, int output) const {
    const double* weight = &weights_[static_cast<std::size_t>(output * window_)];
    const double* sample = samples + starts_[static_cast<std::size_t>(output)];
    double sum = 0.0;
    for (int i = 0; i < window_; ++i) sum += weight[i] * sample[i];
    return sum;
  }

 private:
  static constexpr int kMaxTerms = 4;

  // Weights of the window's samples: derivative at `position` of their least-squares polynomial. Powers are taken
  // around the window's middle in units of its half width, where the normal equations are well conditioned.
  void fit_weights(int order, int derivative, double position, double spacing, double* weights) const {
    const int terms = order + 1;
    const double middle = (window_ - 1) / 2.0, scale = middle > 0.0 ? middle : 1.0;
    double normal[kMaxTerms][kMaxTerms + 1] = {};
    for (int i = 0; i < window_; ++i) {
      double power[2 * kMaxTerms];
      powers((i - middle) / scale, 2 * terms - 1, power);
      for (int r = 0; r < terms; ++r)
        for (int c = 0; c < terms; ++c) normal[r][c] += power[r + c];
    }
    const double at = (position - middle) / scale;
    for (int r = 0; r < terms; ++r) normal[r][terms] = derivative_of_power(r, derivative, at);
    double solution[kMaxTerms];
    solve(normal, terms, solution);
    double unit = 1.0;
    for (int i = 0; i < derivative; ++i) unit /= scale * spacing;
    for (int i = 0; i < window_; ++i) {
      double power[2 * kMaxTerms], sum = 0.0;
      powers((i - middle) / scale, terms, power);
      for (int r = 0; r < terms; ++r) sum += solution[r] * power[r];
      weights[i] = sum * unit;
    }
  }

  static void powers(double base, int count, double* out) {
    out[0] = 1.0;
    for (int i = 1; i < count; ++i) out[i] = out[i - 1] * base;
  }

  static double derivative_of_power(int power, int derivative, double at) {
    if (power < derivative) return 0.0;
    double value = 1.0;
    for (int i = 0; i < derivative; ++i) value *= power - i;
    for (int i = 0; i < power - derivative; ++i) value *= at;
    return value;
  }

  // Gaussian elimination with pivoting of the augmented system.
  static void solve(double (&system)[kMaxTerms][kMaxTerms + 1], int size, double* solution) {
    for (int column = 0; column < size; ++column) {
      int best = column;
      for (int row = column + 1; row < size; ++row)
        if (magnitude(system[row][column]) > magnitude(system[best][column])) best = row;
      for (int k = 0; k <= size; ++k) {
        const double kept = system[column][k];
        system[column][k] = system[best][k];
        system[best][k] = kept;
      }
      for (int row = column + 1; row < size; ++row) {
        const double factor = system[row][column] / system[column][column];
        for (int k = column; k <= size; ++k) system[row][k] -= factor * system[column][k];
      }
    }
    for (int row = size - 1; row >= 0; --row) {
      double sum = system[row][size];
      for (int k = row + 1; k < size; ++k) sum -= system[row][k] * solution[k];
      solution[row] = sum / system[row][row];
    }
  }

  static double magnitude(double value) { return value < 0.0 ? -value : value; }

  int window_;
  std::vector<int> starts_;
  std::vector<double> weights_;
};

}  // namespace pair_drive
