#include <fmt/format.h>

#include <graft/error.h>

#include "config_command.h"
#include "job_wait.h"
#include "output.h"
#include "run/isolated_stage.h"
#include "run/shard_run.h"
#include "run_command.h"
#include "run_ui.h"
#include "store/job_folder.h"

namespace graft::cli {
namespace {

WorkShard shard_from(const std::string& text) {
  try {
    return text == "auto" ? WorkShard::from_environment() : WorkShard::parse(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--shard: {}", e.what())};
  }
}

UiAddress ui_address(const std::string& text) {
  try {
    return parse_ui_address(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--ui: {}", e.what())};
  }
}

/// Marks the stages whose calls are to run in processes of their own.
void isolate(Plan& plan, const std::vector<std::string>& stages) {
  for (const std::string& id : stages) {
    std::vector<std::string> possible;
    bool found = false;
    for (StagePlan& stage : plan.stages) {
      if (can_be_isolated(stage.schema.kind)) possible.push_back(stage.id);
      if (stage.id != id) continue;
      if (!can_be_isolated(stage.schema.kind))
        throw UsageError{fmt::format("--isolate: expected a transform or a batch transform, got the {} '{}'",
                                     to_string(stage.schema.kind), id)};
      found = stage.is_isolated = true;
    }
    if (found) continue;
    const auto near = nearest(id, possible);
    throw UsageError{fmt::format(
        "--isolate: no stage '{}'{} ({})", id, near ? fmt::format("; did you mean '{}'?", *near) : "",
        possible.empty() ? "the config has no transform and no batch transform"
                         : fmt::format("transforms and batch transforms: {}", fmt::join(possible, ", ")))};
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
  for (const auto& [given, option] :
       {std::pair(!global.run.trace.empty(), "--trace"), std::pair(global.run.ui.has_value(), "--ui"),
        std::pair(global.run.profile, "--profile")})
    if (sharded && given)
      throw UsageError{
          fmt::format("{} and --shard: expected one of them; graft status shows shards", option)};
  const std::optional<UiAddress> address =
      global.run.ui ? std::optional(ui_address(*global.run.ui)) : std::nullopt;
  const WorkShard shard = sharded ? shard_from(global.run.shard) : WorkShard();
  Registry registry(Registry::search_path(global.plugin_dirs));
  auto plan = read_plan(global, path, registry, nullptr, text);
  if (!plan) return kUsage;
  isolate(*plan, global.run.isolate);
  if (checked) checked();

  RunOptions options = prepare_to_run(global);
  options.keep = static_cast<std::size_t>(global.keep);
  options.merge = global.run.merge;
  options.trace = global.run.trace;
  LiveRun live;
  options.live = &live;
  std::optional<RunUi> ui;
  if (address) {
    ui.emplace(live, *address);
    if (!global.quiet) print_error("watch it at {}\n", ui->url());
  }
  Signals signals;
  // The other one of two launches may have workers that compute what this merge is to find.
  if (options.merge && JobFolder(options.store, plan->name).exists())
    wait_for_workers(options.store, plan->name, options.style.level, signals, {});
  const RunOutcome outcome = sharded ? run_shard(*plan, registry, options, shard, signals)
                                     : run_plan(*plan, registry, options, signals);
  print_outcome(global, outcome.results, outcome.text, outcome.exit_code);
  if (global.run.profile) print_error("{}", outcome.profile);
  return outcome.exit_code;
}

}  // namespace graft::cli
