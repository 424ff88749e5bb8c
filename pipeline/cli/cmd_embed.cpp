#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/value_path.h>

#include "base/files.h"
#include "base/temporary_folder.h"
#include "config/config_file.h"
#include "config_command.h"
#include "output.h"
#include "run_command.h"
#include "store/export.h"
#include "store/table_check.h"
#include "store/table_use.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

/// Files to features: what the command amounts to, for people to go on with.
Value config_of(const Global::Embed& options, const std::string& network,
                const std::vector<std::string>& inputs) {
  Value config = Value::map();
  config["name"] = "embed";
  config["run"]["max_rejects"] = "100%";
  Value& stages = config["stages"];
  stages["images"]["plugin"] = "files";
  stages["images"]["with"]["paths"] = Value::list();
  for (const std::string& path : inputs) stages["images"]["with"]["paths"].push(path);
  stages["pixels"]["plugin"] = "decode";
  stages["pixels"]["from"] = "images";
  stages["features"]["plugin"] = "backbone";
  stages["features"]["from"] = "pixels";
  Value& with = stages["features"]["with"];
  with["model"] = fs::absolute(network).string();  // a config in another folder finds it, too
  if (!options.tap.empty()) with["taps"] = options.tap;
  if (!options.pool.empty()) with["pool"] = options.pool;
  stages["table"]["plugin"] = "feature_table";
  stages["table"]["from"] = options.tap.empty() ? "features" : "features." + options.tap;
  return escape_variables(std::move(config));
}

/// The use of a table that the run in this folder has noted.
std::pair<fs::path, TableUse> table_of(const fs::path& store, const fs::path& run) {
  for (const fs::path& table : tables_in(store))
    for (const TableUse& use : read_uses(table))
      if (use.folder == fs::absolute(run).lexically_normal()) return {table, use};
  throw Error(fmt::format("the store {} cannot be written to, so that the features cannot be exported",
                          store.string()));
}

}  // namespace

int embed(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.empty()) input_is_missing();
  if (global.network.empty())
    throw UsageError{
        "--model is missing: a file of weights (graft model fetch gets published ones), or the folder of a "
        "published model"};
  require_network(global.network);
  const Value config = config_of(global.embed, global.network, arguments);
  if (global.embed.print_config) {
    print_line(config.to_json_pretty());
    return kOk;
  }
  const fs::path& file = global.out;
  if (const std::string fault = fault_of_export_name(file); !fault.empty())
    throw UsageError{"--out: " + fault};
  require_free_name(file);

  const TemporaryFolder work("graft-embed");
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, "graft embed", registry, nullptr, config.to_json_pretty());
  if (!plan) return kUsage;
  RunOptions options = prepare_to_run(global);
  options.out = work.path() / "run";
  options.passing = true;
  options.store = global.store_given ? global.store : work.path() / "store";
  Signals signals;
  RunOutcome outcome;
  try {
    outcome = run_plan(*plan, registry, options, signals);
  } catch (const Error& e) {
    rethrow_with_cure_for_full_folder(work, e, "keep the features with --store DIR");
  }
  if (signals.interrupted()) {
    print_error("interrupted: {} was not written{}\n", printable(file.string()),
                global.store_given ? "; the features that were computed are in the store" : "");
    return outcome.exit_code;
  }
  if (!global.quiet)
    for (const Value& reason : list_at(outcome.results, {"reject_reasons"}))
      print_error("rejected: {} {}, for example {}: {}\n", reason.find("count")->to_json(),
                  reason.find("code")->as_string(), printable(reason.find("key")->as_string()),
                  printable(reason.find("text")->as_string()));
  const auto [table, use] = table_of(options.store, options.out);
  const Exported exported = export_table(table, use, file, WithoutFeatures::Nan);
  Value document = Value::map();
  document["file"] = file.string();
  document["rows"] = Value(exported.rows);
  document["inputs"] = Value(use.inputs);
  document["rejected"] = Value(use.rejected);
  if (const Value* reasons = outcome.results.find("reject_reasons")) document["reject_reasons"] = *reasons;
  print_document(document);
  warn_of_nan_rows(file, exported.nan_rows);
  if (!global.quiet)
    say("{}: {} rows of {} inputs{}\n", printable(file.string()), exported.rows, use.inputs,
        global.store_given ? "; they are kept in " + printable(global.store.string()) : "");
  return use.rejected == 0 ? kOk : 3;
}

}  // namespace graft::cli
