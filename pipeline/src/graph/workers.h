#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include <graft/predictor.h>
#include <graft/stage.h>

namespace graft {

/// The run's one set of threads: a TBB arena of exactly `threads`, the calling thread among them. LibTorch
/// and others keep memory per thread, so every graph and every learner of a run uses this same set.
class GRAFT_API Workers final : public Parallel {
 public:
  explicit Workers(int threads);
  ~Workers() override;
  /// Runs body in the arena, so that whatever TBB work it starts stays within the budget.
  void execute(const std::function<void()>& body);
  /// Calls Stage::enter_worker of these stages on every worker that joins, until reset with an empty list.
  /// Exceptions from enter_worker are rethrown by the next call of this function.
  void observe(std::vector<Stage*> stages);

  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override;
  int threads() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
