#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>
#include <graft/value.h>

/// \file
/// A pipeline that is built in C++, without a config file:
///
///     graft::PipelineBuilder pipeline("flowers");
///     pipeline.stage("images", "image_folder").with("root", "photos");
///     pipeline.stage("pixels", "decode").from("images");
///     pipeline.stage("features", "backbone").from("pixels").with("model", "resnet18.safetensors");
///     pipeline.stage("table", "feature_table").from("features");
///     pipeline.stage("probe", "linear_probe").from("table");
///     std::cout << pipeline.run().text;
///
/// It is checked as a config is, and its results have the same bits. Link graft::core (find_package(graft)).

namespace graft {

/// Of a run, as the options of `graft run` of the same names.
struct PipelineOptions {
  std::string out;                          ///< The folder of the results; empty: runs/NAME.
  std::string store = ".graft";             ///< The feature store.
  std::vector<std::string> plugin_folders;  ///< As --plugin-dir.
  std::size_t keep = 1;                     ///< Earlier complete runs that stay.
  bool quiet = false;                       ///< Neither progress nor warnings to stderr; log.txt has them.
};

struct PipelineResult {
  int exit_code = 0;   ///< As of `graft run`: 0, 3 (too many rejects), 130 or 143 (interrupted).
  Value results;       ///< results.json; null where the run was interrupted.
  std::string text;    ///< For people: the tables that `graft run` prints.
  std::string folder;  ///< Where the results are.
};

class GRAFT_API PipelineBuilder {
 public:
  class GRAFT_API Stage {
   public:
    /// The upstream stage, or an output of it: "features", "features.layer3". Called again for every further
    /// input.
    Stage& from(std::string stage);
    /// A parameter, as under `with` in a config: "crop", or "normalize.mean" for a part of one. A value that
    /// is given again replaces the first. Texts stay as they are: ${NAME} is not expanded. Relative paths
    /// start in the working directory.
    Stage& with(std::string parameter, Value value);
    Stage& on_error(std::string what);              ///< "reject" or "fail".
    Stage& splits(std::vector<std::string> names);  ///< "train", "val", "test": the others pass unchanged.

   private:
    friend class PipelineBuilder;
    std::string id_, plugin_;
    std::vector<std::string> from_, splits_;
    std::vector<std::pair<std::string, Value>> with_;
    std::optional<std::string> on_error_;
  };

  /// `name`: of the run and its folder.
  explicit PipelineBuilder(std::string name);

  PipelineBuilder& seed(std::uint64_t seed);
  /// A setting of the block `run` of a config: "threads", "memory", "max_rejects", ...
  PipelineBuilder& setting(std::string name, Value value);
  /// Adds a stage. The order of stages does not matter; the reference stays valid.
  Stage& stage(std::string id, std::string plugin);

  /// Every error, as `graft check` finds them, with its stage and parameter in place of line and column.
  /// Empty: the pipeline can run.
  std::vector<std::string> check(const PipelineOptions& options = {}) const;
  /// The config that it amounts to, every parameter with its value, for `graft run`. Throws Error as run().
  std::string yaml(const PipelineOptions& options = {}) const;
  /// Runs it as `graft run` does, Ctrl-C included: signal handlers are replaced meanwhile. One pipeline at a
  /// time in a process. Throws Error: for a pipeline with errors all of them, nothing has run then.
  PipelineResult run(const PipelineOptions& options = {}) const;

 private:
  class Checked;

  std::string name_;
  std::optional<std::uint64_t> seed_;
  std::vector<std::pair<std::string, Value>> settings_;
  std::deque<Stage> stages_;
};

}  // namespace graft
