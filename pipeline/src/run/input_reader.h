#pragma once

#include <graft/stage.h>

#include "graph/message.h"

namespace graft {

/// Makes the payloads of a source's entries, whichever way the source reads. Errors are those of the source.
class GRAFT_API InputReader {
 public:
  /// The source must outlive this.
  explicit InputReader(Source& source) : source_(source), forward_(dynamic_cast<ForwardSource*>(&source)) {}

  /// Whether the source can only be read forwards: parts of one file are then read one after the other.
  bool goes_forward() const { return forward_ != nullptr; }
  /// The function of the source that makes payloads, for messages.
  const char* function() const { return forward_ == nullptr ? "load" : "read_current"; }

  /// Of the entry that `next` gave last, on the thread of `next`. A forward source is read here, as it cannot
  /// go back; what it gives, or throws, is for read().
  void pass(InFlightEntry& entry);
  /// The payload; a file that it names is not read. Any thread, once per entry, which pass() has seen.
  Payload read(InFlightEntry& entry) const;
  /// As read(), of the entry that `next` gave last, on the thread of `next`; read() may follow.
  Payload peek(InFlightEntry& entry);

 private:
  Source& source_;
  ForwardSource* const forward_;
};

}  // namespace graft
