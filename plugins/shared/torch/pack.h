#pragma once

#include <array>
#include <vector>

#include <graft/payload.h>

namespace graft {

/// Turns 8-bit RGB into what a network was trained on: (x / 255 - mean) / std per channel, planes of float.
/// 256 values per channel are computed once, in the order of operations of torchvision, so the results are
/// the same floats. Immutable; any number of threads.
class Normalizer {
 public:
  /// One value for all channels, or three: red, green, blue. `deviation` values are positive.
  Normalizer(const std::vector<double>& mean, const std::vector<double>& deviation);

  /// Writes the planes R, G, B of height x width each to `out`.
  void pack(const Image& image, float* out) const;

 private:
  std::array<std::array<float, 256>, 3> table_;
};

}  // namespace graft
