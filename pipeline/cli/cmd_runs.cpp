// graft runs: what runs have left, as a list, and the differences of two.

#include <fmt/format.h>

#include "commands.h"
#include "output.h"
#include "run/left_run.h"

namespace graft::cli {

int runs(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const std::filesystem::path root = global.out.empty() ? "runs" : global.out;
  std::error_code error;
  if (!std::filesystem::is_directory(root, error))
    throw UsageError{
        fmt::format("{} is not a folder: runs are where you have run graft, or in --out DIR", root.string())};
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const LeftRuns found = left_runs(root, registry);
  if (global.json)
    print_document(to_value(found.runs));
  else if (found.runs.empty())
    say("no runs in {}\n", printable(root.string()));
  else
    say("{}", to_text(found.runs, terminal_columns()));
  for (const LeftRuns::Damaged& run : found.damaged)
    print_error("warning: {} is left out: {}\n", printable(run.folder.string()),
                printable_lines(run.why, "  "));
  return kOk;
}

int runs_diff(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2)
    throw UsageError{
        fmt::format("two RUNs expected, got {}: the folders of complete runs, such as runs/flowers "
                    "and runs/flowers.1",
                    arguments.size())};
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const RunDifference difference = difference_of(arguments[0], arguments[1], registry);
  if (global.json)
    print_document(to_value(difference));
  else
    say("{}", to_text(difference));
  return kOk;
}

}  // namespace graft::cli
