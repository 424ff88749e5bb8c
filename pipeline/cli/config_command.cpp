#include "config_command.h"

#include <sstream>

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
      "INPUT is missing: images, folders, patterns, lists (.txt), or - for paths from the standard input"};
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

std::optional<Plan> read_plan(const Global& global, const std::string& path, const Registry& registry,
                              Value* faults) {
  Diagnostics diagnostics;
  const ConfigFile config(path, global.overrides, diagnostics);
  Plan plan = make_plan(config, registry, diagnostics);
  for (const Diagnostics::Rendered& entry : diagnostics.rendered()) {
    if (global.quiet && entry.severity == Diagnostics::Severity::Note) continue;
    print_text(stderr, global.json ? entry.json : entry.text);
  }
  if (faults != nullptr) *faults = faults_from_lines(diagnostics.render_json());
  if (!diagnostics.has_errors()) return plan;
  const std::string text = fmt::format("{} error{} in {}; nothing was run", diagnostics.errors(),
                                       diagnostics.errors() == 1 ? "" : "s", printable(path));
  print_faults(text, faults_from_lines(diagnostics.render_json()));
  if (!global.json) print_error("{}\n", text);
  return {};
}

}  // namespace graft::cli
