#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <graft/item.h>

namespace graft {

class Admission;

/// The right to be in flight. Held by the item; given back when the last reference to the item goes.
class GRAFT_API Credit {
 public:
  Credit() = default;
  explicit Credit(std::shared_ptr<Admission> admission) : admission_(std::move(admission)) {}
  Credit(Credit&& other) noexcept { *this = std::move(other); }
  Credit& operator=(Credit&& other) noexcept {
    std::swap(admission_, other.admission_);
    bytes_ = other.bytes_.exchange(bytes_);
    return *this;
  }
  ~Credit();
  /// Accounts for memory that the item now holds at rest, in place of what was accounted before. Any thread:
  /// branches of one item do so at once, and the last one counts.
  void set_bytes(std::size_t bytes);

 private:
  std::shared_ptr<Admission> admission_;
  std::atomic<std::size_t> bytes_{0};
};

/// An entry on its way, with what the runtime knows of it. Shared by all views and branches of the item.
struct Origin : Entry {
  std::uint64_t sequence = 0;  ///< Position in the source's list.
  std::uint64_t wanted = 0;    ///< Bit i: collector i of the source lacks rows of this entry.
  void* listed = nullptr;      ///< For the FlowInput that made it.
  std::atomic<std::uint32_t> ended{0},
      lost{0};  ///< Views, and the rejected of them, for the FlowOutput to count.
  /// What a source that reads forwards gave for the entry, or threw, when it came by.
  std::optional<Payload> loaded;
  std::exception_ptr load_fault;
  Credit credit;
};

/// Why an item ended without a row.
struct RejectRecord {
  std::string stage;  ///< Id of the stage that refused it.
  std::string code;
  std::string text;
};

/// What travels along the edges of the graph.
struct Message {
  enum class State : std::uint8_t {
    Live,
    Rejected,  ///< Carries a reject record to the collectors.
    Skipped,   ///< Nothing to do: keeps the order dense.
    End,       ///< The last message of a source; its order is the number of messages before it.
  };
  State state = State::Live;
  /// Dense position on this edge, counted from 0: what batches are formed by.
  std::uint64_t order = 0;
  Item item;
  std::shared_ptr<const RejectRecord> reject;

  const Origin& origin() const { return static_cast<const Origin&>(*item.entry); }
};

using Handle = std::shared_ptr<const Message>;

}  // namespace graft
