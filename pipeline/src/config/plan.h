#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/item.h>
#include <graft/params.h>
#include <graft/schema.h>

#include "config/diagnostics.h"

namespace graft {

/// What to do with an item that a stage cannot handle.
enum class OnError : std::uint8_t { Reject, Fail };

/// The `run:` block.
struct RunSettings {
  int threads = 1;
  std::uint64_t memory = 2ULL << 30;     ///< Bytes that items in flight may hold.
  std::optional<std::size_t> in_flight;  ///< Items in flight; nothing: chosen from batches and threads.
  OnError on_error = OnError::Reject;
  double max_reject_share = 0.01;  ///< Of the inputs; unused when max_reject_count is set.
  std::optional<std::uint64_t> max_reject_count;
  std::optional<std::size_t> read_ahead;  ///< Threads that read files ahead; nothing: when reading is slow.
  std::size_t retry_times = 0;            ///< Files that cannot be read for a moment: how often again.
  double retry_backoff = 1;           ///< Seconds before the first retry; each later one waits twice as long.
  double stall_seconds = 60;          ///< The watchdog reports after this time without progress.
  std::optional<double> stall_limit;  ///< It ends the run after this time without progress; nothing: never.
};

/// One stage, checked.
struct GRAFT_API StagePlan {
  struct Input {
    std::size_t stage;  ///< Index into Plan::stages.
    std::size_t port;   ///< Output port of that stage.
  };
  /// A service plugin that the stage may call: part of what its output depends on.
  struct Service {
    std::string plugin, version, libraries;
  };
  std::string id;
  std::string where;  ///< `file:line:column` of the stage, for messages.
  PluginSchema schema;
  Params params;
  std::vector<Input> inputs;
  std::vector<Service> services;  ///< By name.
  OnError on_error = OnError::Reject;
  std::vector<Split> splits;  ///< Items of other splits pass by unchanged. Empty: all.
  /// Parameters whose value is that of a stage downstream (ParamSpec::default_from_downstream), and the id of
  /// that stage.
  std::vector<std::pair<std::string, std::string>> followed;
  std::vector<std::string> inspected_shapes;  ///< One per output, from the plugin's `inspect`; empty: none.
  std::size_t source = 0;                     ///< Streamed stages: the source that feeds them.
  bool is_isolated = false;  ///< Its calls run in processes of their own (graft run --isolate).

  bool is(StageKind kind) const { return schema.kind == kind; }
  /// Takes part while items flow; the others come when tables are complete.
  bool is_streamed() const { return schema.kind <= StageKind::Collector; }
  /// Fits a model, or corrects one: has val figures.
  bool is_fitted() const { return is(StageKind::Learner) || is(StageKind::Calibrator); }
  bool handles(Split split) const;
  /// "stage 'pixels' (decode, configs/a.yaml:8:3)".
  std::string label() const;
};

/// A checked config: everything that a run needs to know, before any plugin is loaded. Stages are in
/// topological order, as in the file where the edges leave a choice.
struct GRAFT_API Plan {
  std::string name;
  std::uint64_t seed = 42;
  RunSettings run;
  std::vector<StagePlan> stages;

  // Indices into stages, in topological order.

  std::vector<std::size_t> stages_of(StageKind kind) const;
  /// A source and every streamed stage that it feeds.
  std::vector<std::size_t> stream(std::size_t source) const;
  /// The collectors that a source feeds.
  std::vector<std::size_t> collectors(std::size_t source) const;
  /// Every stage that takes this one's output.
  std::vector<std::size_t> consumers(std::size_t stage) const;

  /// Sum of the batch sizes downstream of a source, as far as the parameters specify them: the credits must
  /// exceed it.
  std::size_t batch_items(std::size_t source) const;
  /// Credits of a source: run.in_flight, or enough to keep every thread and every batch busy.
  std::size_t credits(std::size_t source) const;
};

/// Batch size that a stage's parameters name: the parameter `batch` of a batch transform; 1 for other stages.
GRAFT_API std::size_t declared_batch(const StagePlan& stage);

/// Shape of an output port, as the plugin's `inspect` says or as declared, with the parameters filled in:
/// "u8[224,224,3]", "f32[?]".
GRAFT_API std::string output_shape(const StagePlan& stage, std::size_t port);
/// Bytes of one item of that shape; nothing when a dimension is unknown.
GRAFT_API std::optional<std::uint64_t> bytes_of_shape(const std::string& shape);

/// The resolved config as YAML: every parameter with its value; runs again to the same tables.
GRAFT_API std::string to_yaml(const Plan& plan);

}  // namespace graft
