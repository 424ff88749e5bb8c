#include "plugin/schema_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

namespace graft {
namespace {

using Kind = ParamSpec::Kind;

constexpr std::size_t kMaxName = 64;
/// Deeper than any sensible parameter.
constexpr int kMaxFieldDepth = 16;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_identifier(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && is_letter(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

/// MAJOR.MINOR.PATCH, optionally with a pre-release or build: semver.org.
bool is_version(std::string_view text) {
  std::size_t at = 0;
  for (int part = 0; part < 3; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return false;
    const std::size_t start = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == start || at - start > 9 || (text[start] == '0' && at - start > 1)) return false;
  }
  if (at == text.size()) return true;
  if (text[at] != '-' && text[at] != '+') return false;
  return at + 1 < text.size() &&
         std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at) + 1, text.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '+'; });
}

bool is_one_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_streamed(PortType type) {
  return type <= PortType::Tensor;
}

/// The names in braces; nothing where a brace is not closed.
std::optional<std::vector<std::string>> placeholders(std::string_view text) {
  std::vector<std::string> names;
  for (std::size_t at = 0; (at = text.find_first_of("{}", at)) != std::string_view::npos;) {
    const std::size_t end = text[at] == '{' ? text.find_first_of("{}", at + 1) : std::string_view::npos;
    if (end == std::string_view::npos || text[end] != '}') return {};
    names.emplace_back(text.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return names;
}

/// The extents of "u8[?,{crop},3]", after its type; nothing if it is not a shape.
struct PortShape {
  std::string type;
  std::vector<std::string> extents;
};
std::optional<PortShape> parse_shape(const std::string& text) {
  const std::size_t open = text.find('[');
  if (open == std::string::npos || text.back() != ']') return {};
  PortShape shape{text.substr(0, open), {}};
  static constexpr std::array<std::string_view, 4> kTypes = {"u8", "f16", "f32", "i64"};
  const auto in_braces = [](const std::string& s) {
    return s.size() > 2 && s.front() == '{' && s.find_first_of("{}", 1) == s.size() - 1;
  };
  if (!in_braces(shape.type) && std::find(kTypes.begin(), kTypes.end(), shape.type) == kTypes.end())
    return {};
  for (std::size_t at = open + 1; at < text.size();) {
    const std::size_t end = text.find_first_of(",]", at);
    const std::string extent = text.substr(at, end - at);
    const bool number =
        !extent.empty() && extent.size() < 10 && std::all_of(extent.begin(), extent.end(), is_digit);
    if (!number && extent != "?" && !in_braces(extent)) return {};
    shape.extents.push_back(extent);
    at = end + 1;
    if (text[end] == ']' && at != text.size()) return {};
  }
  return shape;
}

/// Checks a schema and collects its errors.
class Checker {
 public:
  explicit Checker(const PluginSchema& schema) : schema_(schema) {}

  std::vector<SchemaMistake> check() {
    check_identity();
    check_kind();
    check_ports("input", schema_.inputs);
    check_ports("output", schema_.outputs);
    check_params(schema_.params, "", 0);
    check_views();
    for (const std::string& service : schema_.needs)
      if (!is_identifier(service))
        add(fmt::format("may_need('{}') does not name a service", service),
            "give the name of a service's plugin");
    check_figures();
    check_memory();
    for (const KnownFault& fault : schema_.known_faults) {
      if (!is_version(fault.before))
        add(fmt::format("known_fault: '{}' is not a version", fault.before),
            "give the first version without the error, such as 2.1.0");
      if (fault.text.empty() || !is_one_line(fault.text))
        add(fmt::format("known_fault before {}: the description of the error is not one line", fault.before),
            "describe it in one sentence");
    }
    return std::move(mistakes_);
  }

 private:
  void add(std::string what, std::string cure) { mistakes_.push_back({std::move(what), std::move(cure)}); }

  const ParamSpec* param(std::string_view name) const {
    const auto it = std::find_if(schema_.params.begin(), schema_.params.end(),
                                 [&](const ParamSpec& p) { return p.name == name; });
    return it == schema_.params.end() ? nullptr : &*it;
  }

  void check_identity() {
    if (!is_identifier(schema_.name))
      add(fmt::format("'{}' is not a valid plugin name", schema_.name.substr(0, kMaxName)),
          fmt::format("use letters, digits and _, a letter first, at most {} of them: configs and file names "
                      "have it",
                      kMaxName));
    if (!is_version(schema_.version))
      add(fmt::format("'{}' is not a version", schema_.version.substr(0, kMaxName)),
          "give GRAFT_PLUGIN one of three numbers, such as \"1.0.0\": stored rows are named by it");
    if (!schema_.former_name.empty() &&
        (!is_identifier(schema_.former_name) || schema_.former_name == schema_.name))
      add(fmt::format("formerly('{}') does not name a plugin that was called otherwise",
                      schema_.former_name.substr(0, kMaxName)),
          "give the name that configs and stored tables have");
    if (schema_.summary.empty() || !is_one_line(schema_.summary))
      add(schema_.summary.empty() ? "the summary is empty" : "the summary is not one line of text",
          "say in a sentence what the plugin does: graft plugins and graft describe show it");
    if (!is_one_line(schema_.libraries))
      add("uses_libraries is not one line of text", "give names and versions, such as \"oneDNN 2.6\"");
  }

  /// The kind of a stage determines its ports, because its class has fixed functions.
  void check_kind() {
    const std::vector<PortSpec>& in = schema_.inputs;
    const std::vector<PortSpec>& out = schema_.outputs;
    const auto all = [](const std::vector<PortSpec>& ports, auto&& allowed) {
      return std::all_of(ports.begin(), ports.end(), [&](const PortSpec& p) { return allowed(p.type); });
    };
    const auto is = [](PortType wanted) { return [wanted](PortType type) { return type == wanted; }; };
    const auto flows = [](PortType type) { return is_streamed(type); };
    const auto needs = [&](bool holds, const char* wanted) {
      if (!holds)
        add(fmt::format("a {} {}", to_string(schema_.kind), wanted),
            "declare its ports with input() and output(), or make it another kind of stage");
    };
    switch (schema_.kind) {
      case StageKind::Source:
        needs(in.empty(), "has no input");
        needs(out.size() == 1 && all(out, flows), "has one output of bytes, images or tensors");
        break;
      case StageKind::Transform:
        needs(in.size() == 1 && all(in, flows), "has one input of bytes, images or tensors");
        needs(out.size() == 1 && all(out, flows), "has one output of bytes, images or tensors");
        break;
      case StageKind::BatchTransform:
        needs(in.size() == 1 && all(in, flows), "has one input of bytes, images or tensors");
        needs(!out.empty() && all(out, flows), "has outputs of bytes, images or tensors");
        break;
      case StageKind::Collector:
        needs(in.size() == 1 && all(in, flows), "has one input of bytes, images or tensors");
        needs(out.size() == 1 && all(out, is(PortType::Table)), "has one output, a table");
        break;
      case StageKind::Learner:
        needs(in.size() == 1 && all(in, is(PortType::Table)), "has one input of tables");
        needs(out.size() == 1 && all(out, is(PortType::Predictor)), "has one output, a predictor");
        break;
      case StageKind::Calibrator:
        needs(in.size() == 1 && all(in, is(PortType::Predictor)), "has one input, a predictor");
        needs(out.size() == 1 && all(out, is(PortType::Predictor)), "has one output, a predictor");
        break;
      case StageKind::Report:
        needs(in.size() == 1 && all(in, is(PortType::Predictor)), "has one input of predictors");
        needs(out.empty(), "has no output");
        break;
      case StageKind::Service:
        needs(in.empty() && out.empty(), "has no input and no output");
        break;
    }
  }

  void check_ports(const char* what, const std::vector<PortSpec>& ports) {
    std::set<std::string> names;
    for (const PortSpec& port : ports) {
      const std::string at = fmt::format("{} '{}'", what, port.name);
      if (!names.insert(port.name).second)
        add(at + " is declared twice",
            "give every port a name of its own; several stages go into one input: many");
      const bool of_list = port.name.size() > 2 && port.name.front() == '{' && port.name.back() == '}';
      if (of_list) {
        const ParamSpec* list = param(port.name.substr(1, port.name.size() - 2));
        if (list == nullptr || list->kind != Kind::List)
          add(at + " stands for the values of a list parameter that does not exist", "name a list parameter");
      } else if (!is_identifier(port.name)) {
        add(at + ": that is not a valid port name", "use letters, digits and _, a letter first");
      }
      if (port.text.empty() || !is_one_line(port.text))
        add(at + (port.text.empty() ? " has no sentence" : ": its sentence is not one line of text"),
            "say what goes through it: graft describe shows it");
      check_shape(at, port);
    }
  }

  void check_shape(const std::string& at, const PortSpec& port) {
    if (port.shape.empty() || port.shape == "?") return;
    const auto shape = parse_shape(port.shape);
    if (!shape) {
      add(fmt::format("{}: '{}' is not a shape", at, port.shape),
          "write it as u8[?,{crop},3]: u8, f16, f32 or i64, then numbers, ? or parameters in braces");
      return;
    }
    for (const std::string& name : placeholders(port.shape).value_or(std::vector<std::string>()))
      if (param(name) == nullptr)
        add(fmt::format("{}: the shape '{}' names the parameter '{}', which is not declared", at, port.shape,
                        name),
            "declare the parameter, or write ? for what is known only when the data are");
    const std::vector<std::string>& e = shape->extents;
    if (port.type == PortType::Image && (shape->type != "u8" || e.size() != 3 || e[2] != "3"))
      add(fmt::format("{}: an image has the shape u8[height,width,3], not '{}'", at, port.shape),
          "write ? for a side that is known only when the data are");
    if (port.type == PortType::Bytes && (shape->type != "u8" || e.size() != 1))
      add(fmt::format("{}: bytes have the shape u8[?], not '{}'", at, port.shape),
          "leave it out or write u8[?]");
  }

  void check_params(const std::vector<ParamSpec>& params, const std::string& outer, int depth) {
    std::set<std::string> names;
    for (const ParamSpec& p : params) {
      const std::string at = fmt::format("parameter '{}{}'", outer, p.name);
      if (p.name.empty())
        add(outer.empty() ? "a parameter has no name" : fmt::format("a member of '{}' has no name", outer),
            "give it one: configs set it by its name");
      else if (!is_identifier(p.name))
        add(at + ": that is not a valid parameter name", "use letters, digits and _, a letter first");
      else if (outer.empty() && (p.name == "plugin" || p.name == "from" || p.name == "with"))
        add(at + " is named like a key of a stage, which --set would take it for", "rename it");
      if (!names.insert(p.name).second)
        add(at + " is declared twice", "rename one of them: a config could set neither alone");
      if (p.text.empty() || !is_one_line(p.text))
        add(at + (p.text.empty() ? " has no sentence" : ": its sentence is not one line of text"),
            "say with .doc(\"...\") what it does: graft describe shows it");
      if (p.is_required && !p.default_value.is_null())
        add(fmt::format("{} is required and has the default {}", at, p.default_value.to_json()),
            "drop one of them: a default is for what may be left out");
      if (!p.former_name.empty() && (!is_identifier(p.former_name) || !names.insert(p.former_name).second))
        add(fmt::format("{}: renamed_from('{}') does not name a parameter that was called otherwise", at,
                        p.former_name.substr(0, kMaxName)),
            "give the name that configs and stored tables have");
      if (!is_one_line(p.use_instead) || (p.is_required && !p.use_instead.empty()))
        add(at + (p.is_required ? " is required and deprecated" : ": deprecated() is not one line of text"),
            "say in a few words what to use instead, of a parameter that may be left out");
      if (p.is_required && p.may_be_null) add(at + " is required and optional", "drop one of them");
      const bool empty_by_itself = p.kind == Kind::List || p.kind == Kind::Map || p.kind == Kind::Object;
      if (!p.is_required && !p.may_be_null && p.default_value.is_null() && !empty_by_itself)
        add(at + " may be left out and has no value then",
            "give it a default, or say required() or optional()");
      if (p.kind == Kind::List && !p.is_required && !p.may_be_null && p.default_value.is_null() &&
          p.min_items.value_or(0) > 0)
        add(fmt::format("{}: left out it is an empty list, but it needs at least {} values", at,
                        *p.min_items),
            "give it a default_list, or say required() or optional()");
      if (schema_.kind == StageKind::Service && outer.empty() && p.is_required)
        add(at + " is required, but a config cannot set what a service takes", "give it a default");
      check_names(p, params, at, outer.empty());
      check_type(p, at, outer + p.name + ".", depth);
    }
  }

  /// What a parameter says about others.
  void check_names(const ParamSpec& p, const std::vector<ParamSpec>& beside, const std::string& at,
                   bool of_stage) {
    const auto exists = [&](const std::string& name) {
      return name != p.name && std::any_of(beside.begin(), beside.end(),
                                           [&](const ParamSpec& other) { return other.name == name; });
    };
    for (const std::string& name : p.replaced)
      if (!exists(name))
        add(fmt::format("{} stands for '{}', which is not declared beside it", at, name),
            "name a parameter beside it");
    for (const std::string& name : p.unless)
      if (!exists(name))
        add(fmt::format("{} does not follow if '{}' is given, which is not declared beside it", at, name),
            "name a parameter beside it");
    if (!p.followed.empty() && !of_stage)
      add(at + " follows other stages, but is a member of an object", "make it a parameter of the stage");
  }

  /// `inner` begins the names of what is in it: "normalize.".
  void check_type(const ParamSpec& p, const std::string& at, const std::string& inner, int depth) {
    const bool numeric = p.kind == Kind::Integer || p.kind == Kind::Number;
    const bool listed = p.kind == Kind::List || p.kind == Kind::Map;
    const auto idle = [&](bool is_set, bool allowed, const char* what) {
      if (is_set && !allowed)
        add(fmt::format("{} has {}, which has no meaning for {}", at, what, type_of(p)),
            "drop it, or put it at the element");
    };
    idle(p.min || p.max, numeric, "a range");
    idle(p.min_items || p.max_items, p.kind == Kind::List, "a number of items");
    idle(p.scalar_ok, p.kind == Kind::List || p.kind == Kind::Object, "or_scalar");
    idle(!p.choices.empty(), p.kind == Kind::Choice || p.kind == Kind::File || p.kind == Kind::Integer,
         "names");
    idle(!p.folder_files.empty(), p.kind == Kind::File, "or_folder");
    if ((p.min && p.max && !(*p.min <= *p.max)) || (p.min && std::isnan(*p.min)) ||
        (p.max && std::isnan(*p.max)))
      add(fmt::format("{}: no value is in the range from {} to {}", at, p.min.value_or(NAN),
                      p.max.value_or(NAN)),
          "give the lower bound first");
    if (p.min_items.value_or(0) < 0 || (p.max_items && *p.max_items < p.min_items.value_or(0)))
      add(fmt::format("{}: no list has {} to {} values", at, p.min_items.value_or(0),
                      p.max_items.value_or(0)),
          "give the lower bound first, at least 0");
    std::set<std::string> words;
    for (const std::string& word : p.choices)
      if (word.empty() || !is_one_line(word) || !words.insert(word).second)
        add(fmt::format("{}: the choice '{}' {}", at, word,
                        words.count(word) != 0 ? "is listed twice" : "is not a word"),
            "give every choice a different word");
    if (p.kind == Kind::Choice && p.choices.empty() && p.service.empty())
      add(at + " is a choice without options", "list what may be chosen");
    if (!p.service.empty() && (p.kind != Kind::Choice || !is_identifier(p.service)))
      add(fmt::format("{}: '{}' is not the name of a service", at, p.service),
          "make it with service(\"name\", \"default\")");
    if (listed && p.fields.size() != 1)
      return add(at + " needs one type of element", "make it with list(name, element) or map(name, element)");
    if ((p.kind == Kind::Object || p.kind == Kind::OneOf) && p.fields.empty())
      return add(at + " has no members", "list them, or drop the parameter");
    if (!listed && p.kind != Kind::Object && p.kind != Kind::OneOf && !p.fields.empty())
      return add(fmt::format("{} has members, which has no meaning for {}", at, type_of(p)),
                 "make it an object");
    if (depth >= kMaxFieldDepth)
      return add(fmt::format("{} is nested more than {} deep", at, kMaxFieldDepth), "flatten the parameters");
    if (listed)
      check_element(p.fields[0], at, inner, depth + 1);
    else if (p.kind == Kind::OneOf)
      check_alternatives(p, at, inner, depth + 1);
    else if (p.kind == Kind::Object)
      check_params(p.fields, inner, depth + 1);
    check_default(p, at);
  }

  static std::string type_of(const ParamSpec& p) {
    static constexpr const char* kNames[] = {"a flag",   "an integer", "a number",      "a text",
                                             "a choice", "a file",     "a folder",      "a list",
                                             "a map",    "an object",  "one of several"};
    return kNames[static_cast<std::size_t>(p.kind)];
  }

  /// The element of a list or map: its name is for people, its default and its sentence are not needed.
  void check_element(const ParamSpec& element, const std::string& at, const std::string& inner, int depth) {
    if (element.is_required ||
        (!element.default_value.is_null() && element.kind != Kind::Choice && element.kind != Kind::Flag))
      add(at + ": an element has a default or is required, which has no meaning for it",
          "put it at the list or map itself");
    check_type(element, at + ", its elements", inner, depth);
  }

  void check_alternatives(const ParamSpec& p, const std::string& at, const std::string& inner, int depth) {
    std::set<std::string> names;
    for (const ParamSpec& a : p.fields) {
      const std::string here = fmt::format("{}, alternative '{}'", at, a.name);
      if (!is_identifier(a.name))
        add(here + ": that is not a valid name", "use letters, digits and _, a letter first");
      if (!names.insert(a.name).second) add(here + " is declared twice", "rename one of them");
      if (a.text.empty() || !is_one_line(a.text))
        add(here + " has no sentence of one line", "say with .doc(\"...\") what it does");
      if (a.kind == Kind::Object && a.fields.empty()) continue;  // chosen by its name alone
      check_type(a, here, inner + a.name + ".", depth);
    }
  }

  static bool names_paths(const ParamSpec& p) {
    return p.kind == Kind::File || p.kind == Kind::Folder ||
           std::any_of(p.fields.begin(), p.fields.end(), names_paths);
  }

  /// A default must be a value that a config could have.
  void check_default(const ParamSpec& p, const std::string& at) {
    if (!p.auto_feature.empty() || !p.auto_choice.empty()) {
      const auto known = [&](const std::string& w) {
        return std::find(p.choices.begin(), p.choices.end(), w) != p.choices.end();
      };
      if (p.kind != Kind::Choice || p.choices.empty() || !known(p.auto_choice))
        return add(fmt::format("{}: auto becomes '{}', which is not one of its choices", at, p.auto_choice),
                   "name one of its choices");
      if (const auto why = fault_of(p, Value("auto")))
        return add(fmt::format("{}: {}", at, *why), "name a feature that graft knows, see graft/params.h");
    }
    if (p.default_value.is_null()) return;
    // A path is looked for when a config is checked; services are known only when all plugins are.
    const bool is_path = p.kind == Kind::File || p.kind == Kind::Folder;
    if ((is_path || !p.service.empty()) && !p.default_value.is_string())
      return add(fmt::format("{}: the default: expected text, got {} {}", at, p.default_value.kind(),
                             p.default_value.to_json()),
                 "give a default that a config could give");
    if (names_paths(p) || !p.service.empty()) return;
    if (const auto why = fault_of(p, p.default_value))
      add(fmt::format("{}: the default: {}", at, *why), "give a default that a config could give");
  }

  static std::optional<std::string> fault_of(const ParamSpec& p, const Value& value) {
    ParamSpec alone = p;
    if (alone.name.empty()) alone.name = "value";
    alone.is_required = false;
    Value given = Value::map();
    given[alone.name] = value;
    std::vector<ParamFault> faults;
    try {
      resolve({alone}, given, faults);
    } catch (const Error& e) {
      return e.what();
    }
    return faults.empty() ? std::nullopt : std::optional(faults[0].text);
  }

  void check_views() {
    const ViewsRule& views = schema_.views;
    if (views.param.empty() && views.choices.empty()) return;
    const auto wrong = [&](const std::string& what, const char* cure) {
      add(fmt::format("views_from('{}'): {}", views.param, what), cure);
    };
    if (schema_.kind != StageKind::Transform)
      wrong(fmt::format("a {} makes no views", to_string(schema_.kind)), "only a transform makes views");
    const ParamSpec* p = param(views.param);
    if (p == nullptr)
      return wrong("no such parameter is declared", "name the parameter that says how many views");
    if (views.choices.empty() && (p->kind != Kind::Integer || p->min.value_or(0) < 1))
      wrong("that is not an integer of at least 1",
            "declare integer(...).range(1, ...), or say what each choice means");
    for (const auto& [choice, n] : views.choices) {
      if (p->kind == Kind::Choice &&
          std::find(p->choices.begin(), p->choices.end(), choice) == p->choices.end())
        wrong(fmt::format("'{}' is not one of its choices", choice), "name choices of the parameter");
      if (n < 1) wrong(fmt::format("'{}' makes no view", choice), "every item has at least one view");
    }
  }

  void check_figures() {
    if ((!schema_.figures.empty() || schema_.covers_whole_run) && schema_.kind != StageKind::Report)
      add(fmt::format("a {} gives no scores of learners and does not cover a run", to_string(schema_.kind)),
          "make it a report");
    std::set<std::string> names;
    for (const FigureSpec& figure : schema_.figures) {
      if (!is_identifier(figure.name) || figure.name == "n")
        add(fmt::format("figure '{}' is not a valid name", figure.name.substr(0, kMaxName)),
            "use letters, digits and _, a letter first; n is the number of rows");
      if (!names.insert(figure.name).second)
        add(fmt::format("figure '{}' is declared twice", figure.name), "rename one of them");
      if (figure.text.empty() || !is_one_line(figure.text) || !is_one_line(figure.heading))
        add(fmt::format("figure '{}' has no sentence of one line", figure.name),
            "say with .doc(\"...\") what it is");
    }
  }

  void check_memory() {
    if (!schema_.memory_of_call) return;
    using enum StageKind;
    const StageKind kinds[] = {Source, Transform, BatchTransform, Collector};
    if (std::find(std::begin(kinds), std::end(kinds), schema_.kind) == std::end(kinds))
      add(fmt::format("working_memory: a {} has no calls per item", to_string(schema_.kind)),
          "declare it for sources, transforms, batch transforms and collectors alone");
    const double factor = schema_.memory_of_call->per_payload_byte;
    if (!(factor >= 0) || std::isinf(factor))
      add(fmt::format("working_memory: {} bytes per byte of a payload", factor), "give a number from 0 on");
  }

  const PluginSchema& schema_;
  std::vector<SchemaMistake> mistakes_;
};

}  // namespace

std::vector<SchemaMistake> schema_mistakes(const PluginSchema& schema) {
  return Checker(schema).check();
}

}  // namespace graft
