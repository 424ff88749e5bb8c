#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <graft/params.h>
#include <graft/payload.h>
#include <preprocessing/preprocessing.h>

namespace graft {

/// Turns 8-bit RGB into what a network was trained on, (x / scale - mean) / std per channel, as planes of
/// float, in one pass. 256 values per channel are computed once, in the order of operations of torchvision
/// and Keras, so the results are the same floats. Immutable; any number of threads.
class Normalizer {
 public:
  /// The parameter `normalize` of every stage that feeds a network: the name of a preset, or mean and std.
  ///
  ///     auto      what the architecture was trained with; imagenet where that is not known
  ///     imagenet  x / 255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (torchvision)
  ///     tf        x / 127.5 - 1 (Keras, mode "tf")
  ///     caffe     blue, green, red; mean 103.939 116.779 123.68, not scaled (Keras, mode "caffe")
  ///     unit      x / 255
  static ParamSpec parameter();

  /// The same with what `auto` stands for in its place, for a file that another process reads.
  static Value resolved(const Params& normalize, const preprocessing::Preprocessing& own);

  /// `normalize`: the resolved value of parameter(). `own`: the preset that `auto` stands for, the model's.
  /// Throws Error for mean without std, and for two values where one or three are wanted.
  explicit Normalizer(const Params& normalize, const std::string& own = "imagenet");
  /// `own`: what `auto` stands for, also where no preset has its numbers.
  Normalizer(const Params& normalize, const preprocessing::Preprocessing& own);

  /// Writes three planes of height x width each to `out`: red, green, blue, or the other way round where the
  /// preset says so.
  void pack(const Image& image, float* out) const;

 private:
  void fill(double scale, const std::array<double, 3>& mean, const std::array<double, 3>& deviation);

  std::array<std::array<float, 256>, 3> table_;  ///< Of red, green, blue.
  std::array<std::size_t, 3> plane_;             ///< Where red, green, blue go.
};

}  // namespace graft
