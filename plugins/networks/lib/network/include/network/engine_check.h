#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <graft/payload.h>

namespace graft::nn {

/// How far values of one network may differ when they are computed in two ways, as a fraction of the largest
/// value of the output. Both limits are far above rounding and far below the effect of an error.
///
/// An engine is used within `trusted`: 1e-4 in fp32, which is what the engines promise; the networks of
/// torchvision, computed in other orders, differ by less than a tenth of that. bf16 keeps 8 bits, and a
/// network's rounding errors add up to one or two hundredths.
/// A run ends beyond `wrong`; rounding never reaches it, for any images.
struct Tolerance {
  double trusted, wrong;
  static Tolerance of(const std::string& precision);
};

/// Computes `count` images, [count,3,height,width]; one tensor [count,...] per output.
using RunImages = std::function<std::vector<Tensor>(const float* images, int count)>;

/// Compares the paths by which an engine computes a network, for one image size, on images of noise. The
/// reference is one image at a time, by the plain path.
class EngineCheck {
 public:
  /// `batch`: images of the engine's batches. `thorough`: every shape of batch, for the first image sizes;
  /// else whole batches of two images that take turns, as a run with thousands of sizes must not spend its
  /// time on checks. Runs `alone` for each image of noise, and throws what it throws.
  EngineCheck(const RunImages& alone, int batch, int height, int width, bool thorough);

  /// Every image of every batch: of 1, 2, 3 and of all, and of half of them with zeros for the others.
  /// Reports where `run` differs: "image 8 of a batch of 8 is off by 5.1e-01 of 7.2e+00". Of another number
  /// than the engine's batches only what `plain`, the plain way with several images, takes, too.
  std::optional<std::string> difference(const RunImages& run, const RunImages& plain, double allowed) const;

  /// Why `plain` with `together` images cannot be used: the values of an image change with the other images,
  /// with its position, or from call to call, like batch-norm and dropout that were exported in training
  /// mode. A sentence with the fix.
  std::optional<std::string> dependence(const RunImages& alone, const RunImages& plain, int together,
                                        double allowed) const;

 private:
  std::optional<std::string> compare(const RunImages& run, const std::vector<int>& places,
                                     double allowed) const;
  bool takes(const RunImages& run, int count) const;

  int batch_;
  std::size_t size_;  // of an image
  bool thorough_;
  std::vector<float> images_;                // of noise; the last one is zeros
  std::vector<std::vector<Tensor>> wanted_;  // by image, by output: [1,...]
  std::vector<double> scale_;                // by output
};

/// The largest difference of image `i` of `got`, [n,...], from image `j` of `wanted`. Infinite for other
/// shapes, and if only one of them is NaN. Equal infinities do not differ.
double largest_difference(const Tensor& got, std::int64_t i, const Tensor& wanted, std::int64_t j);
/// The largest finite value of a tensor, without its sign.
double largest_value(const Tensor& tensor);

}  // namespace graft::nn
