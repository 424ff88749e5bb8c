#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include <graft/export.h>

namespace graft {

/// Decides how many items may be in flight: a fixed number, and fewer when the items turn out so large that
/// they would not fit the memory budget. Every item holds one credit; credits come back from any thread.
///
/// The limiter node hands out what it is given: withholding a returned credit lowers the number in flight,
/// handing out a withheld one raises it again. At least `floor` items stay allowed, or batches could wait for
/// ever.
class GRAFT_API Admission {
 public:
  /// `give_back(n)` lets n more items in. `drained()` is called once, when the source has ended and the last
  /// credit is back; nothing here touches the graph after that.
  Admission(std::size_t items, std::size_t floor, std::size_t memory, std::function<void(int)> give_back,
            std::function<void()> drained);

  /// An item was let in.
  void admit();
  /// The source has ended: no further admit().
  void end();

  std::size_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class Credit;
  void change_bytes(std::size_t before, std::size_t after);
  void release(std::size_t bytes);
  void drop_reference();
  std::size_t allowed() const;

  const std::size_t items_;
  const std::size_t floor_;
  const std::size_t memory_;
  const std::size_t chunk_;  // credits are handed back several at a time: the limiter's lock is not free
  const std::function<void(int)> give_back_;
  const std::function<void()> drained_;
  std::atomic<std::size_t> references_{1};  // items, and the source until it ends
  std::atomic<std::size_t> active_{0};      // items whose release has not begun
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> peak_bytes_{0};
  std::atomic<std::size_t> largest_{0};
  std::atomic<std::size_t> held_{0};  // credits returned by items but not yet handed out again
};

}  // namespace graft
