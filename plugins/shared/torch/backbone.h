#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <graft/payload.h>

namespace graft {

struct BackboneOptions {
  std::string path;  ///< A TorchScript archive.
  int batch = 8;     ///< Images in every call of run.
  bool pool = true;  ///< Average a [n,c,h,w] output over h and w.
  bool untrained = false;
  std::uint64_t init_seed = 0;                   ///< For `untrained`.
  std::function<void(const std::string&)> warn;  ///< Any thread.
};

/// Images that the model does not take: another size than its layers expect.
class UnfitInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A frozen, fused network that turns images into features on one thread of the CPU. No LibTorch type is seen
/// from outside. Throws Error when the file is no usable model.
///
/// Equal inputs give equal bits, in every call, on every thread, whatever else is in the batch. The first
/// batch of each image size is preceded by a comparison of the fused network with the plain one; when they
/// disagree (LibTorch's optimiser has bugs), the plain one is used for that size and `warn` hears of it.
class Backbone {
 public:
  explicit Backbone(BackboneOptions options);
  ~Backbone();

  /// `images`: batch x 3 x height x width, normalised. Returns f32 [batch, dim]. Any number of threads.
  /// Throws UnfitInput for a size that the model does not take, Error when the output is no tensor of `batch`
  /// rows.
  Tensor run(const float* images, int height, int width) const;

  /// Binds LibTorch to the calling thread alone; call it once on each thread before run.
  static void enter_thread();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
