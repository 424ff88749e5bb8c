#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

namespace graft::cli {

/// A value that is recomputed at most once per age, however many ask for it, from any thread.
template <typename T>
class Recent {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Recent(Clock::duration age) : age_(age) {}

  /// The last one, or a new one where that is older than the age. Throws what `make` throws.
  std::shared_ptr<const T> get(Clock::time_point now, const std::function<T()>& make) {
    const std::lock_guard lock(mutex_);
    if (last_ == nullptr || now - made_ >= age_) {
      last_ = std::make_shared<const T>(make());
      made_ = now;
    }
    return last_;
  }

 private:
  const Clock::duration age_;
  std::mutex mutex_;
  std::shared_ptr<const T> last_;
  Clock::time_point made_{};
};

}  // namespace graft::cli
