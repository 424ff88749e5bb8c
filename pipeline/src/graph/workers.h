#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
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
  /// Runs body in the arena, so that all TBB work that it starts stays within the thread limit. If
  /// enter_worker threw on this thread, throws that before the body.
  void execute(const std::function<void()>& body);
  /// A stage, and the label that names it in messages; the label is never freed.
  struct Observed {
    Stage* stage;
    const char* label;
  };
  /// Calls Stage::enter_worker of these stages on every worker that joins, until reset with an empty list.
  /// What enter_worker throws is thrown by the next call of this function, as an Error that names the stage.
  void observe(std::vector<Observed> stages);
  /// The same with an empty list, but what enter_worker threw is dropped.
  void stop_observing() noexcept;
  /// Observes stages until the end of its scope, also where an error ends it: they may be gone soon after,
  /// and a thread that joins then must not call them.
  class Observation {
   public:
    Observation(Workers& workers, std::vector<Observed> stages) : workers_(workers) {
      workers_.observe(std::move(stages));
    }
    ~Observation() { workers_.stop_observing(); }
    Observation(const Observation&) = delete;
    Observation& operator=(const Observation&) = delete;
    /// Ends it, and throws what enter_worker threw.
    void end() { workers_.observe({}); }

   private:
    Workers& workers_;
  };
  /// What enter_worker threw on the calling thread, which must then not call the stages; empty: nothing.
  static const std::string& fault_of_thread() noexcept;

  /// The watchdog counts what bodies do as part of the plugin call that the calling thread is in.
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override;
  int threads() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The version of oneTBB that is loaded.
GRAFT_API std::string tbb_version();

}  // namespace graft
