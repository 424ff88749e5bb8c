#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <network/engine.h>

#include "program.h"

namespace graft::fused {

/// Runs a described network by oneDNN, a few images at a time, so that what flows between layers stays in the
/// caches. Every image size is prepared when it first comes.
class FusedEngine final : public nn::Engine {
 public:
  /// `model` has an architecture. Throws Error for a tensor that is missing.
  FusedEngine(const nn::Model& model, nn::EngineOptions options);

  std::vector<Tensor> run(const float* images, int height, int width) const override;

 private:
  const Program& program(int height, int width) const;

  const nn::EngineOptions options_;
  mutable std::unique_ptr<PackedNetwork> network_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, int>, std::unique_ptr<Program>> programs_;  // by height, width
};

}  // namespace graft::fused
