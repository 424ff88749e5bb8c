#include "run_command.h"

#include "output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include <fmt/format.h>

#include "base/library_environment.h"

namespace graft::cli {
namespace {

LogLevel log_level(const std::string& name) {
  const auto at = std::find(std::begin(kLogLevels), std::end(kLogLevels), name);
  if (at == std::end(kLogLevels))
    throw UsageError{fmt::format("--log-level: '{}' is not allowed here (allowed: {})", name,
                                 fmt::join(kLogLevels, ", "))};
  return static_cast<LogLevel>(at - std::begin(kLogLevels));
}

}  // namespace

RunOptions prepare_to_run(const Global& global) {
  keep_freed_memory();
  RunOptions options;
  options.out = global.out;
  options.store = global.store;
  options.command = global.program;
  options.style.level = global.quiet || global.json ? LogLevel::Error : log_level(global.log_level);
  options.style.terminal = ::isatty(STDERR_FILENO) != 0;
  options.style.columns = terminal_columns();
  options.style.color = has_colors();
  return options;
}

void print_outcome(const Global& global, const Value& results, const std::string& text, int exit_code) {
  Value document = results;
  if (document.is_null()) {  // interrupted
    document["exit_code"] = exit_code;
    document["text"] = text;
  }
  print_document(document);
  if (global.json) return;
  if (!global.quiet)
    say_report(text);
  else if (exit_code != 0)
    print_error("{}", text);
}

}  // namespace graft::cli
