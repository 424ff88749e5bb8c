#include <fmt/format.h>

#include "commands.h"
#include "output.h"
#include "plugin/registry.h"
#include "plugin/schema_file.h"

namespace graft::cli {
namespace {

std::string range_of(const ParamSpec& p) {
  std::string out;
  if (p.min && p.max)
    out = fmt::format("{} to {}", *p.min, *p.max);
  else if (p.min)
    out = fmt::format("at least {}", *p.min);
  else if (p.max)
    out = fmt::format("at most {}", *p.max);
  if (p.min_items && p.max_items)
    out += *p.min_items == *p.max_items ? fmt::format("{} values", *p.min_items)
                                        : fmt::format("{} to {} values", *p.min_items, *p.max_items);
  else if (p.min_items)
    out += fmt::format("at least {} values", *p.min_items);
  // The range of a list is that of its elements.
  if (out.empty() && !p.fields.empty() && p.kind == ParamSpec::Kind::List) return range_of(p.fields[0]);
  return out;
}

void print_params(const std::vector<ParamSpec>& params, std::size_t indent) {
  for (const ParamSpec& p : params) {
    std::string facts = p.kind == ParamSpec::Kind::Object && !p.scalar_ok ? "map" : p.type_name();
    if (const std::string range = range_of(p); !range.empty()) facts += ", " + range;
    if (!p.unit_name.empty()) facts += " " + p.unit_name;
    if (p.is_required)
      facts += ", required";
    else if (!p.default_value.is_null())
      facts += ", default " + p.default_value.to_json();
    else if (p.may_be_null)
      facts += ", optional";
    if (!p.changes_output) facts += ", does not change the output";
    say("{:{}}{}: {}\n", "", indent, p.name, facts);
    if (!p.text.empty()) say("{}", wrapped(p.text, indent + 4));
    if (!p.replaced.empty())
      say("{}",
          wrapped(fmt::format("Provides the defaults of {}.", fmt::join(p.replaced, ", ")), indent + 4));
    if (!p.followed.empty())
      say("{}", wrapped(fmt::format(
                            "Default, unless {} is given: the {} of the downstream stages, which must agree.",
                            fmt::join(p.unless, ", "), fmt::join(p.followed, " or ")),
                        indent + 4));
    const bool of_alternatives =
        p.kind == ParamSpec::Kind::List && p.fields.at(0).kind == ParamSpec::Kind::OneOf;
    if (of_alternatives) print_params(p.fields[0].fields, indent + 4);
    if (p.kind == ParamSpec::Kind::Object || p.kind == ParamSpec::Kind::OneOf)
      print_params(p.fields, indent + 4);
  }
}

void print_ports(const char* title, const std::vector<PortSpec>& ports) {
  if (ports.empty()) return;
  say("\n{}\n", title);
  for (const PortSpec& p : ports)
    say("  {}: {}{}{}\n{}", p.name, to_string(p.type), p.shape.empty() ? "" : " " + p.shape,
        p.many ? ", one or more" : "", wrapped(p.text, 6));
}

void print_figures(const std::vector<FigureSpec>& figures) {
  if (figures.empty()) return;
  say("\nscores of learners (in results.json, and for graft sweep --metric)\n");
  for (const FigureSpec& f : figures)
    say("  {}: {} is better\n{}", f.name, f.is_higher_better ? "higher" : "lower", wrapped(f.text, 6));
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
  say("{} {} ({})\n{}", s.name, s.version, to_string(s.kind), wrapped(s.summary, 2));
  print_ports("inputs", s.inputs);
  print_ports("outputs", s.outputs);
  if (!s.params.empty()) {
    say("\nparameters (under `with:`)\n");
    print_params(s.params, 2);
  }
  print_figures(s.figures);
  if (!s.example_config.empty()) say("\nexample\n{}", s.example_config);
  if (!s.libraries.empty()) say("\nuses {}\n", s.libraries);
  say("\nfile {}\n", printable(plugin->path.string()));
  if (const std::string warning = registry.warning_of(name); !warning.empty())
    print_error("warning: {}\n", warning);
  return kOk;
}

}  // namespace graft::cli
