#include <fmt/format.h>

#include "commands.h"
#include "output.h"
#include "parameter_text.h"
#include "plugin/registry.h"
#include "plugin/schema_file.h"

namespace graft::cli {
namespace {

void print_params(const std::vector<ParamSpec>& params, std::size_t indent) {
  for (const ParamSpec& p : params) {
    say("{:{}}{}: {}\n", "", indent, p.name, facts_of(p));
    for (const std::string& sentence : sentences_of(p))
      say("{}", wrapped(sentence, indent + 4, reading_columns()));
    print_params(members_of(p), indent + 4);
  }
}

void print_ports(const char* title, const std::vector<PortSpec>& ports) {
  if (ports.empty()) return;
  say("\n{}\n", title);
  for (const PortSpec& p : ports)
    say("  {}: {}{}{}\n{}", p.name, to_string(p.type), p.shape.empty() ? "" : " " + p.shape,
        p.many ? ", one or more" : "", wrapped(p.text, 6, reading_columns()));
}

void print_figures(const std::vector<FigureSpec>& figures) {
  if (figures.empty()) return;
  say("\nscores of learners (in results.json, and for graft sweep --metric)\n");
  for (const FigureSpec& f : figures)
    say("  {}: {} is better\n{}", f.name, f.is_higher_better ? "higher" : "lower",
        wrapped(f.text, 6, reading_columns()));
}

}  // namespace

int describe(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& name = only_argument(arguments, "PLUGIN");
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const Registry::Plugin* plugin = registry.find(name);
  if (plugin == nullptr) {
    std::vector<std::string> names;
    for (const auto& [n, p] : registry.plugins()) names.push_back(n);
    const auto near = nearest(name, names);
    if (const auto* rejected = registry.rejected_as(name))
      throw UsageError{fmt::format("plugin '{}' cannot be used: {}", name, rejected->message())};
    throw UsageError{fmt::format("no plugin '{}'{} (plugins: {})", name,
                                 near ? fmt::format("; did you mean '{}'?", *near) : "",
                                 fmt::join(names, ", "))};
  }
  const PluginSchema& s = plugin->schema;
  if (global.json) {
    print_document(Value::from_json(to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, s})));
    return kOk;
  }
  if (global.describe.markdown) {
    say("{}", page_of(s));
    return kOk;
  }
  say("{} {} ({})\n{}", s.name, s.version, to_string(s.kind), wrapped(s.summary, 2, reading_columns()));
  print_ports("inputs", s.inputs);
  print_ports("outputs", s.outputs);
  if (!s.params.empty()) {
    say("\nparameters (under `with:`)\n");
    print_params(s.params, 2);
  }
  print_figures(s.figures);
  if (s.memory_of_call)
    say("\nworking memory\n{}", wrapped(text_of(*s.memory_of_call), 2, reading_columns()));
  if (!s.example_config.empty()) say("\nexample\n{}", s.example_config);
  if (!s.libraries.empty()) say("\nuses {}\n", s.libraries);
  say("\nfile {}\n", printable(plugin->path.string()));
  if (const std::string warning = registry.warning_of(name); !warning.empty())
    print_error("warning: {}\n", warning);
  return kOk;
}

}  // namespace graft::cli
