#pragma once

#include <torch/script.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include <graft/predictor.h>
#include <network/engine.h>

#include <training/pixels.h>

namespace graft::training {

/// The layers of a network that come before all that is trained: an inference engine, whose values may be
/// kept. `keep` on one thread at a time, the rest on any number of threads.
class FrozenPart {
 public:
  /// The engine gives one value; `batch` is its EngineOptions::batch.
  FrozenPart(std::unique_ptr<nn::Engine> engine, int batch);

  /// Values [n,...] of images [n,3,h,w].
  at::Tensor run(const at::Tensor& images) const;

  /// Computes the values of all images, unchanged by chance, and keeps them. False, at once: they would take
  /// more than `bytes`. An Interruptible stops it between two blocks.
  bool keep(const Pixels& pixels, std::size_t bytes, Parallel& parallel);
  bool keeps(const Pixels& pixels) const { return kept_.contains(&pixels); }
  /// Those of all images of such pixels, [n,...].
  const at::Tensor& kept(const Pixels& pixels) const { return kept_.at(&pixels); }
  /// Those of some.
  at::Tensor kept(const Pixels& pixels, std::span<const std::uint32_t> which) const;
  std::size_t kept_bytes() const;

  /// The values of all images, one after the other in the order of their elements, whether kept or not.
  std::vector<float> values(const Pixels& pixels, Parallel& parallel) const;

 private:
  at::Tensor of(const Pixels& pixels, std::size_t first, std::size_t n) const;
  template <typename Take>
  void for_blocks(const Pixels& pixels, Parallel& parallel, const Take& take) const;

  std::unique_ptr<nn::Engine> engine_;
  std::int64_t batch_;
  std::map<const Pixels*, at::Tensor> kept_;
};

}  // namespace graft::training
