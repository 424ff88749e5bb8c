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
  /// Charges the memory that the item now holds at rest, in place of what was charged before. Any thread:
  /// branches of one item do so at once, and the last one counts.
  void set_bytes(std::size_t bytes);

 private:
  std::shared_ptr<Admission> admission_;
  std::atomic<std::size_t> bytes_{0};
};

/// An entry on its way, with what the runtime knows of it. Shared by all views and branches of the item. A
/// FlowInput may derive an entry of its own from it.
struct InFlightEntry : Entry {
  std::uint64_t sequence = 0;           ///< Position in the source's list.
  std::uint64_t missing_in_tables = 0;  ///< Bit i: collector i of the source lacks rows of this entry.
  /// What a ForwardSource gave for the entry, or threw, when it came by: see InputReader.
  std::optional<Payload> read_ahead;
  std::exception_ptr read_failure;
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

  /// What stages see of it is constant; the runtime's part changes.
  InFlightEntry& entry() const {
    return const_cast<InFlightEntry&>(static_cast<const InFlightEntry&>(*item.entry));
  }
};

using Handle = std::shared_ptr<const Message>;

}  // namespace graft
