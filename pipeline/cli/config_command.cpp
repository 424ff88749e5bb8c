#include "config_command.h"

#include <filesystem>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "config/planner.h"
#include "output.h"

namespace graft::cli {

void no_arguments(const std::vector<std::string>& arguments) {
  if (!arguments.empty())
    throw UsageError{fmt::format("this command takes no argument, got '{}'", arguments[0])};
}

void input_is_missing() {
  throw UsageError{
      "INPUT is missing: images, folders, patterns, archives, lists (.txt), or - for paths from the standard "
      "input"};
}

const std::string& only_argument(const std::vector<std::string>& arguments, const char* what) {
  if (arguments.empty()) throw UsageError{fmt::format("{} is missing", what)};
  if (arguments.size() > 1) throw UsageError{fmt::format("one {} expected, got {}", what, arguments.size())};
  return arguments[0];
}

void print_faults(const std::string& text, Value faults) {
  Value document = Value::map();
  document["error"] = text;
  document["exit_code"] = kUsage;
  document["faults"] = std::move(faults);
  print_document(document);
}

Value faults_from_lines(const std::string& lines) {
  Value out = Value::list();
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) out.push(Value::from_json(line));
  return out;
}

void require_network(const std::string& network) {
  std::error_code ignored;
  if (std::filesystem::exists(network, ignored)) return;
  throw UsageError{
      fmt::format("--model: no such file or folder: {}; graft model fetch NAME gets published weights and "
                  "prints the path of their file (graft model list shows the names)",
                  network)};
}

std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry,
                              Value* faults, const std::optional<std::string>& text) {
  Diagnostics diagnostics;
  const ConfigFile config(path, global.overrides, diagnostics, {}, text);
  Plan plan = make_plan(config, registry, diagnostics);
  for (const Diagnostics::Rendered& entry : diagnostics.rendered()) {
    if (global.quiet && entry.severity == Diagnostics::Severity::Note) continue;
    print_text(stderr, global.json ? entry.json : entry.text);
  }
  if (faults != nullptr) *faults = faults_from_lines(diagnostics.render_json());
  if (!diagnostics.has_errors()) return plan;
  const std::string summary =
      fmt::format("{} error{} in {}; nothing was {}", diagnostics.errors(),
                  diagnostics.errors() == 1 ? "" : "s", printable(path), text ? "written" : "run");
  print_faults(summary, faults_from_lines(diagnostics.render_json()));
  if (!global.json) print_error("{}\n", summary);
  return {};
}

}  // namespace graft::cli
