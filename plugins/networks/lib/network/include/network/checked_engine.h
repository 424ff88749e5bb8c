#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <network/engine.h>

namespace graft::nn {

/// A fast engine of a model that was read from code, not from a description: before the first batch of each
/// image size its values are compared with those of another engine (EngineCheck). Where they differ by
/// more than rounding explains, or if only the other one accepts the size, a third one is used and `warn` is
/// called.
class CheckedEngine final : public Engine {
 public:
  using Make = std::function<std::unique_ptr<Engine>(int batch)>;

  /// `fast` is called at once, and again for the other sizes of batch that are compared; `reference`, whose
  /// run_plainly is the reference, and `instead` when they are first needed.
  CheckedEngine(Make fast, Make reference, Make instead, EngineOptions options, std::string name);

  std::vector<Tensor> run(const float* images, int height, int width) const override;
  std::vector<Tensor> run_plainly(const float* images, int count, int height, int width) const override;
  void enter_thread() const override;
  const Architecture* described() const override;
  std::vector<ScriptModule> modules() const override;

 private:
  const Engine& reference() const;
  bool agrees(int height, int width) const;

  const Make make_fast_, make_reference_, make_instead_;
  const EngineOptions options_;
  const std::string name_;
  const std::unique_ptr<Engine> fast_;
  mutable std::mutex mutex_, reference_mutex_;
  mutable std::unique_ptr<Engine> reference_, instead_;
  mutable std::map<std::pair<int, int>, bool> use_fast_;  // by height, width
};

}  // namespace graft::nn
