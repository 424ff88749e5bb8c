#include <fmt/format.h>

#include <graft/error.h>

#include "config_command.h"
#include "run/shard_run.h"
#include "run_command.h"

namespace graft::cli {
namespace {

WorkShard shard_from(const std::string& text) {
  try {
    return text == "auto" ? WorkShard::from_environment() : WorkShard::parse(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--shard: {}", e.what())};
  }
}

}  // namespace

int run(const Global& global, const std::vector<std::string>& arguments) {
  return run_config(global, only_argument(arguments, "CONFIG"));
}

int run_config(const Global& global, const std::string& path, const std::optional<std::string>& text,
               const std::function<void()>& checked) {
  if (global.keep < 0) throw UsageError{fmt::format("--keep: expected 0 or more, got {}", global.keep)};
  const bool sharded = !global.run.shard.empty();
  if (sharded && global.run.merge)
    throw UsageError{"--shard and --merge: expected one of them: shards compute, the merge comes after them"};
  if (sharded && !global.out.empty())
    throw UsageError{
        "--out: a shard leaves rows in the store and no results; give --out to graft run --merge"};
  const WorkShard shard = sharded ? shard_from(global.run.shard) : WorkShard();
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry, nullptr, text);
  if (!plan) return kUsage;
  if (checked) checked();

  RunOptions options = prepare_to_run(global);
  options.keep = static_cast<std::size_t>(global.keep);
  options.merge = global.run.merge;
  Signals signals;
  const RunOutcome outcome = sharded ? run_shard(*plan, registry, options, shard, signals)
                                     : run_plan(*plan, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  return outcome.exit_code;
}

}  // namespace graft::cli
