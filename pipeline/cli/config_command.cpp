#include "config_command.h"

#include <cstdio>

#include <fmt/format.h>

#include "config/planner.h"

namespace graft::cli {

const std::string& only_argument(const std::vector<std::string>& arguments, const char* what) {
  if (arguments.empty()) throw UsageError{fmt::format("{} is missing", what)};
  if (arguments.size() > 1) throw UsageError{fmt::format("one {} expected, got {}", what, arguments.size())};
  return arguments[0];
}

std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry) {
  Diagnostics diagnostics;
  const ConfigFile config(path, global.overrides, diagnostics);
  Plan plan = make_plan(config, registry, diagnostics);
  for (const Diagnostics::Rendered& entry : diagnostics.rendered()) {
    if (global.quiet && entry.severity == Diagnostics::Severity::Note) continue;
    const std::string& text = global.json ? entry.json : entry.text;
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
  if (!diagnostics.has_errors()) return plan;
  if (!global.json)
    fmt::print(stderr, "{} fault{} in {}; nothing was run\n", diagnostics.errors(),
               diagnostics.errors() == 1 ? "" : "s", path);
  return {};
}

}  // namespace graft::cli
