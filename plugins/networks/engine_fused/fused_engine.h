#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <network/engine.h>

#include "program.h"

namespace graft::fused {

/// Runs a described network by oneDNN, a few images at a time, so that what flows between layers stays in the
/// caches. Every image size is prepared when it first comes; the sizes that came last are kept.
class FusedEngine final : public nn::Engine {
 public:
  /// `model` has an architecture. Throws Error for a tensor that is missing, and for a precision that the
  /// processor has not.
  FusedEngine(const nn::Model& model, nn::EngineOptions options);
  /// The same network with another batch; the packed weights are shared.
  FusedEngine(const FusedEngine& other, int batch);

  std::vector<Tensor> run(const float* images, int height, int width) const override;
  /// There is only one path: images are computed at other positions, beside other images.
  std::vector<Tensor> run_plainly(const float* images, int count, int height, int width) const override;
  std::unique_ptr<nn::Engine> with_threads(int threads) const override;
  const nn::Architecture* described() const override { return &network_->architecture(); }

 private:
  struct Prepared {
    int height, width;
    Nan nan;
    std::shared_ptr<const Program> program;
  };
  std::shared_ptr<const Program> program(int height, int width, Nan nan = Nan::Lost) const;
  /// As the program does, but for images of which a NaN may have been lost: those are computed again, slowly.
  void run(const Program& program, const float* images, int height, int width,
           std::span<float* const> outputs) const;
  std::vector<Tensor> outputs_for(const Program& program, int count) const;

  nn::EngineOptions options_;
  std::shared_ptr<PackedNetwork> network_;
  mutable std::mutex mutex_;
  mutable std::vector<Prepared> programs_;  // the last one used first
};

}  // namespace graft::fused
