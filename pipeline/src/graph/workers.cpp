#include "graph/workers.h"

#include <exception>
#include <mutex>
#include <utility>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <oneapi/tbb/version.h>

#include "graph/tsan.h"
#include "plugin/plugin_call.h"

namespace graft {
namespace {

/// Why the calling thread could not be prepared; empty: it was.
thread_local std::string t_fault;

/// Prepares every thread for the stages that it will call.
class Observer final : public tbb::task_scheduler_observer {
 public:
  Observer(tbb::task_arena& arena, std::vector<Workers::Observed> stages)
      : tbb::task_scheduler_observer(arena), stages_(std::move(stages)) {
    tsan_release(this);
    observe(true);
  }
  ~Observer() override { observe(false); }

  void on_scheduler_entry(bool) override {
    tsan_acquire(this);
    t_fault.clear();
    try {
      for (const Workers::Observed& s : stages_)
        call_plugin(s.label, "enter_worker", [&] { s.stage->enter_worker(); });
    } catch (...) {  // must not leave the scheduler; kept for whoever waits for the work
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      t_fault = text_of_exception("enter_worker");
    }
  }
  void rethrow() {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  const std::vector<Workers::Observed> stages_;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

struct Workers::Impl {
  explicit Impl(int n)
      : limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(n)), arena(n) {}
  tbb::global_control limit;
  tbb::task_arena arena;
  std::unique_ptr<Observer> observer;
};

Workers::Workers(int threads) : impl_(std::make_unique<Impl>(threads)) {
  impl_->arena.initialize();
}
Workers::~Workers() = default;

void Workers::execute(const std::function<void()>& body) {
  impl_->arena.execute([&] {
    if (impl_->observer) impl_->observer->rethrow();
    body();
  });
}

void Workers::observe(std::vector<Observed> stages) {
  if (const auto before = std::move(impl_->observer)) before->rethrow();
  if (!stages.empty()) impl_->observer = std::make_unique<Observer>(impl_->arena, std::move(stages));
}

void Workers::stop_observing() noexcept {
  impl_->observer.reset();
}

void Workers::for_each(std::size_t n, const std::function<void(std::size_t)>& body) {
  const int given = 0, done = 0;
  const CallScope* const call = CallScope::current();
  const char* const label = call == nullptr ? nullptr : call->label();
  const char* const function = call == nullptr ? nullptr : call->function();
  tsan_release(&given);
  impl_->arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, n, 1),
        [&](const tbb::blocked_range<std::size_t>& range) {
          tsan_acquire(&given);
          CallScope scope(label, function);
          for (std::size_t i = range.begin(); i != range.end(); ++i) body(i);
          if (label != nullptr) scope.check_thread();
          tsan_release(&done);
        },
        tbb::simple_partitioner());
  });
  tsan_acquire(&done);
}

const std::string& Workers::fault_of_thread() noexcept {
  return t_fault;
}

int Workers::threads() const {
  return impl_->arena.max_concurrency();
}

std::string tbb_version() {
  return TBB_runtime_version();
}

}  // namespace graft
