#include "run/input_reader.h"

#include <exception>
#include <utility>

#include "base/assert.h"

namespace graft {

void InputReader::pass(InFlightEntry& entry) {
  if (forward_ == nullptr || entry.read_ahead) return;
  try {
    entry.read_ahead = forward_->read_current();
  } catch (...) {  // becomes the item's reject record where those of other sources do
    entry.read_failure = std::current_exception();
  }
}

Payload InputReader::read(InFlightEntry& entry) const {
  if (forward_ == nullptr) return source_.load(entry);
  if (entry.read_failure) std::rethrow_exception(std::exchange(entry.read_failure, nullptr));
  GRAFT_ASSERT(entry.read_ahead);
  Payload payload = std::move(*entry.read_ahead);
  entry.read_ahead.reset();
  return payload;
}

Payload InputReader::peek(InFlightEntry& entry) {
  if (forward_ == nullptr) return source_.load(entry);
  entry.read_ahead = forward_->read_current();
  return *entry.read_ahead;
}

}  // namespace graft
