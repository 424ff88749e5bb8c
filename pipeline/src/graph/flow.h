#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <graft/stage.h>

#include "config/plan.h"
#include "graph/message.h"
#include "graph/meter.h"

namespace graft {

/// Where the graph's items come from.
class GRAFT_API FlowInput {
 public:
  virtual ~FlowInput();
  /// The next item that somebody needs; nullptr at the end. One thread at a time.
  virtual std::shared_ptr<InFlightEntry> next() = 0;
  /// Makes the item's first payload (reads the file, draws the image). False: it turns out that nobody needs
  /// the item. Throws Reject for an unreadable one. Any thread.
  virtual bool load(InFlightEntry& entry, Payload& payload) = 0;
  /// The function of the source that makes the payload, for messages.
  virtual const char* load_function() const { return "load"; }
};

/// Where items end: called once per collector for every message, Live or Rejected. Any thread.
class GRAFT_API FlowOutput {
 public:
  virtual ~FlowOutput();
  virtual void collect(std::size_t stage, const Handle& message) = 0;
  /// A stage threw an unexpected exception for an item, or returned invalid output; the item is rejected.
  virtual void misbehaved(std::size_t, const std::string& /*item*/, const std::string& /*text*/) {}
};

/// What a graph run reports.
struct FlowResult {
  std::uint64_t admitted = 0;
  std::uint64_t collected = 0;  ///< Live and rejected messages handed to collectors.
  std::string fatal;            ///< The first fatal error; empty when there was none.
  std::size_t peak_bytes = 0;   ///< Most that items in flight held at rest.
};

/// One source and the stream stages downstream of it, as a oneTBB flow graph. Built for one run and thrown
/// away.
///
/// Consecutive transforms become one node: the item stays on one core and in its cache, and only what waits
/// at a branch or for a batch is ever queued. An admission limiter right after the source bounds everything
/// else. An exception from a stage, or from the graph's own bodies, becomes a reject or ends the run: every
/// credit comes back, and run() returns.
class GRAFT_API Flow {
 public:
  /// `stages[i]` is the instance of plan.stages[i], null for stages that are not of this source's stream.
  /// Throws Error if their own numbers are invalid.
  Flow(const Plan& plan, std::size_t source, std::vector<Stage*> stages, FlowInput& input, FlowOutput& output,
       Meter& meter, const std::atomic<bool>& interrupted);
  ~Flow();

  /// Runs to the end. Must be called inside the workers' arena.
  FlowResult run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
