#include "parameter_text.h"

#include <fmt/format.h>

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

/// For a cell of a table.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
      continue;
    }
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

/// Names are paths: `normalize.mean`.
void add_rows(const std::vector<ParamSpec>& params, const std::string& outer, std::string& out) {
  for (const ParamSpec& p : params) {
    out += fmt::format("| `{}{}` | {} | {} |\n", outer, p.name, cell(facts_of(p)),
                       cell(fmt::format("{}", fmt::join(sentences_of(p), " "))));
    add_rows(members_of(p), outer + p.name + ".", out);
  }
}

void add_ports(const char* title, const std::vector<PortSpec>& ports, std::string& out) {
  for (const PortSpec& p : ports)
    out += fmt::format("- {} `{}`, {}{}{}: {}\n", title, p.name, to_string(p.type),
                       p.many ? ", one or more" : "", p.shape.empty() ? "" : fmt::format(", `{}`", p.shape),
                       p.text);
}

}  // namespace

std::string facts_of(const ParamSpec& p) {
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
  if (!p.use_instead.empty()) facts += ", deprecated: " + p.use_instead;
  if (!p.former_name.empty()) facts += ", formerly " + p.former_name;
  return facts;
}

std::vector<std::string> sentences_of(const ParamSpec& p) {
  std::vector<std::string> out;
  if (!p.text.empty()) out.push_back(p.text);
  if (!p.replaced.empty())
    out.push_back(fmt::format("Provides the defaults of {}.", fmt::join(p.replaced, ", ")));
  if (!p.followed.empty())
    out.push_back(
        fmt::format("Default, unless {} is given: the {} of the downstream stages, which must agree.",
                    fmt::join(p.unless, ", "), fmt::join(p.followed, " or ")));
  return out;
}

const std::vector<ParamSpec>& members_of(const ParamSpec& p) {
  static const std::vector<ParamSpec> kNone;
  if (p.kind == ParamSpec::Kind::List && p.fields.at(0).kind == ParamSpec::Kind::OneOf)
    return p.fields[0].fields;
  return p.kind == ParamSpec::Kind::Object || p.kind == ParamSpec::Kind::OneOf ? p.fields : kNone;
}

std::string text_of(const WorkingMemory& memory) {
  std::string out = fmt::format("a call allocates at most {} KiB", (memory.bytes + 1023) / 1024);
  if (memory.per_payload_byte > 0)
    out += fmt::format(" and {} byte{} per byte of its input and output", memory.per_payload_byte,
                       memory.per_payload_byte == 1 ? "" : "s");
  return out + ", beside its input, its output and what it reserves of run.memory.";
}

std::string page_of(const PluginSchema& s) {
  std::string out = fmt::format("# {} {}\n\n{} ({})\n\n", s.name, s.version, s.summary, to_string(s.kind));
  add_ports("takes", s.inputs, out);
  add_ports("gives", s.outputs, out);
  if (!s.params.empty()) {
    out += "\n| parameter, under `with:` | value | what it does |\n|---|---|---|\n";
    add_rows(s.params, "", out);
  }
  if (!s.figures.empty()) {
    out += "\n| score | better | what it is |\n|---|---|---|\n";
    for (const FigureSpec& f : s.figures)
      out +=
          fmt::format("| `{}` | {} | {} |\n", f.name, f.is_higher_better ? "higher" : "lower", cell(f.text));
  }
  if (s.memory_of_call) out += "\nWorking memory: " + text_of(*s.memory_of_call) + "\n";
  if (!s.example_config.empty()) out += fmt::format("\n```yaml\n{}```\n", s.example_config);
  return out;
}

}  // namespace graft::cli
