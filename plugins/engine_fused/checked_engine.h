#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <network/engine.h>

namespace graft::fused {

/// A fast engine of a model that was read from code, not from a description: before the first batch of each
/// image size its values are compared with those of another engine. Where they differ by more than rounding
/// explains, or where only the other one takes the size, a third one does the work and `warn` hears of it.
class CheckedEngine final : public nn::Engine {
 public:
  using Make = std::function<std::unique_ptr<nn::Engine>(int batch)>;

  /// `reference` and `instead` make the other two when they are first needed.
  CheckedEngine(std::unique_ptr<nn::Engine> fast, Make reference, Make instead, nn::EngineOptions options,
                std::string name);

  std::vector<Tensor> run(const float* images, int height, int width) const override;
  void enter_thread() const override;

 private:
  bool agrees(int height, int width) const;

  const std::unique_ptr<nn::Engine> fast_;
  const Make make_reference_, make_instead_;
  const nn::EngineOptions options_;
  const std::string name_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<nn::Engine> reference_, instead_;
  mutable std::map<std::pair<int, int>, bool> use_fast_;  // by height, width
};

}  // namespace graft::fused
