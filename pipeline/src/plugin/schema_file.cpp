#include "plugin/schema_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/hash.h>
#include <graft/text.h>
#include <graft/value.h>

namespace graft {
namespace {

template <typename T>
Value optional_value(const std::optional<T>& v) {
  return v ? Value(*v) : Value();
}

Value to_value(const std::string& text) {
  return text;
}

Value to_value(const PortSpec& p) {
  return Value::Map{{"name", p.name},
                    {"type", static_cast<int>(p.type)},
                    {"shape", p.shape},
                    {"text", p.text},
                    {"many", p.many}};
}

Value to_value(const KnownFault& fault) {
  return Value::Map{{"before", fault.before}, {"text", fault.text}};
}

Value to_value(const FigureSpec& f) {
  return Value::Map{
      {"name", f.name}, {"higher_is_better", f.is_higher_better}, {"heading", f.heading},
      {"text", f.text}, {"in_summary", f.is_in_summary},          {"choice", static_cast<int>(f.choice)}};
}

Value to_value(const ParamSpec& p);

template <typename T>
Value to_value(const std::vector<T>& all) {
  Value out = Value::list();
  for (const T& one : all) out.push(to_value(one));
  return out;
}

Value to_value(const ParamSpec& p) {
  Value out = Value::Map{{"name", p.name},
                         {"kind", static_cast<int>(p.kind)},
                         {"text", p.text},
                         {"unit", p.unit_name},
                         {"default", p.default_value},
                         {"required", p.is_required},
                         {"nullable", p.may_be_null},
                         {"changes_output", p.changes_output},
                         {"later", p.is_later},
                         {"default_then", p.default_then}};
  if (!p.former_name.empty()) out["former_name"] = p.former_name;
  if (!p.use_instead.empty()) out["deprecated"] = p.use_instead;
  out["scalar_ok"] = p.scalar_ok;
  out["min"] = optional_value(p.min);
  out["max"] = optional_value(p.max);
  out["min_items"] = optional_value(p.min_items);
  out["max_items"] = optional_value(p.max_items);
  out["choices"] = to_value(p.choices);
  out["replaced"] = to_value(p.replaced);
  out["followed"] = to_value(p.followed);
  out["unless"] = to_value(p.unless);
  out["folder_files"] = to_value(p.folder_files);
  out["service"] = p.service;
  out["auto_feature"] = p.auto_feature;
  out["auto_choice"] = p.auto_choice;
  out["fields"] = to_value(p.fields);
  return out;
}

const Value& member(const Value& map, std::string_view name) {
  if (const Value* v = map.find(name)) return *v;
  throw Error("the schema file has no '" + std::string(name) + "'");
}

std::vector<std::string> texts_from(const Value& list) {
  std::vector<std::string> out;
  for (const Value& v : list.as_list()) out.push_back(v.as_string());
  return out;
}

ParamSpec param_from(const Value& v) {
  ParamSpec p;
  p.name = member(v, "name").as_string();
  const std::int64_t kind = member(v, "kind").as_int();
  if (kind < 0 || kind > static_cast<int>(ParamSpec::Kind::OneOf)) throw Error("unknown parameter kind");
  p.kind = static_cast<ParamSpec::Kind>(kind);
  p.text = member(v, "text").as_string();
  p.unit_name = member(v, "unit").as_string();
  p.default_value = member(v, "default");
  p.is_required = member(v, "required").as_bool();
  p.may_be_null = member(v, "nullable").as_bool();
  p.changes_output = member(v, "changes_output").as_bool();
  p.is_later = member(v, "later").as_bool();
  p.default_then = member(v, "default_then");
  if (const Value* former = v.find("former_name")) p.former_name = former->as_string();
  if (const Value* instead = v.find("deprecated")) p.use_instead = instead->as_string();
  p.scalar_ok = member(v, "scalar_ok").as_bool();
  if (const Value& x = member(v, "min"); !x.is_null()) p.min = x.as_double();
  if (const Value& x = member(v, "max"); !x.is_null()) p.max = x.as_double();
  if (const Value& x = member(v, "min_items"); !x.is_null()) p.min_items = x.as_int();
  if (const Value& x = member(v, "max_items"); !x.is_null()) p.max_items = x.as_int();
  p.choices = texts_from(member(v, "choices"));
  p.replaced = texts_from(member(v, "replaced"));
  p.followed = texts_from(member(v, "followed"));
  p.unless = texts_from(member(v, "unless"));
  p.folder_files = texts_from(member(v, "folder_files"));
  p.service = member(v, "service").as_string();
  p.auto_feature = member(v, "auto_feature").as_string();
  p.auto_choice = member(v, "auto_choice").as_string();
  for (const Value& f : member(v, "fields").as_list()) p.fields.push_back(param_from(f));
  const bool needs_element = p.kind == ParamSpec::Kind::List || p.kind == ParamSpec::Kind::Map;
  if (needs_element && p.fields.size() != 1) throw Error("a list or map needs one element type");
  return p;
}

PortSpec port_from(const Value& v) {
  const std::int64_t type = member(v, "type").as_int();
  if (type < 0 || type > static_cast<int>(PortType::Predictor)) throw Error("unknown port type");
  return {member(v, "name").as_string(), static_cast<PortType>(type), member(v, "shape").as_string(),
          member(v, "text").as_string(), member(v, "many").as_bool()};
}

FigureSpec figure_from(const Value& v) {
  const std::int64_t choice = member(v, "choice").as_int();
  if (choice < 0 || choice > static_cast<int>(FigureSpec::Choice::TieBreak))
    throw Error("unknown choice of a figure");
  return {member(v, "name").as_string(),     member(v, "higher_is_better").as_bool(),
          member(v, "heading").as_string(),  member(v, "text").as_string(),
          member(v, "in_summary").as_bool(), static_cast<FigureSpec::Choice>(choice)};
}

constexpr std::string_view kSeal = "\"seal\": \"";
constexpr std::size_t kSealDigits = 32;

/// Where the digits of the seal are; npos: there is none.
std::size_t place_of_seal(std::string_view json) {
  const std::size_t at = json.find(kSeal);
  return at == std::string_view::npos || json.size() - at - kSeal.size() < kSealDigits
             ? std::string_view::npos
             : at + kSeal.size();
}

/// The digest of a text whose seal is zeros.
std::string seal_of(std::string json) {
  json.replace(place_of_seal(json), kSealDigits, kSealDigits, '0');
  return digest(json).hex();
}

/// Whether nobody has changed the text since to_json wrote it. A mistake is found so, not an attack: who may
/// write the file may write the library, too.
bool is_sealed(std::string_view json) {
  const std::size_t at = place_of_seal(json);
  return at != std::string_view::npos && seal_of(std::string(json)) == json.substr(at, kSealDigits);
}

/// Elements of a list that have names.
bool are_named(const Value::List& list) {
  return std::all_of(list.begin(), list.end(), [](const Value& v) {
    const Value* name = v.find("name");
    return name != nullptr && name->is_string() && !name->as_string().empty();
  });
}

Value::Map by_name(const Value::List& list) {
  Value::Map out;
  for (const Value& v : list) out.emplace_back(v.find("name")->as_string(), v);
  return out;
}

/// JSON of two values around the first byte in which they differ.
std::pair<std::string, std::string> excerpts(const Value& a, const Value& b) {
  constexpr std::size_t kBefore = 40;
  const std::string one = a.to_json(), other = b.to_json();
  auto from = static_cast<std::size_t>(
      std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin());
  from = from < 2 * kBefore ? 0 : from - kBefore;
  while (from > 0 && (static_cast<unsigned char>(one[from]) & 0xc0) == 0x80) --from;
  const auto cut = [&](const std::string& text) {
    return (from == 0 ? "" : "...") + shortened(text.substr(std::min(from, text.size())));
  };
  return {cut(one), cut(other)};
}

/// `at`: what leads here, as "params.n."
std::optional<SchemaDifference> difference(const Value& wanted, const Value& got, const std::string& at) {
  const auto of_maps = [&](const Value& a, const Value& b) -> std::optional<SchemaDifference> {
    for (const auto& [name, value] : a.as_map()) {
      const Value* other = b.find(name);
      if (other == nullptr) return SchemaDifference{at + name, "none"};
      if (auto found = difference(value, *other, at + name + ".")) return found;
    }
    for (const auto& [name, value] : b.as_map())
      if (a.find(name) == nullptr) return SchemaDifference{fmt::format("no {}{}", at, name), "one"};
    return {};
  };
  if (wanted == got) return {};
  if (wanted.is_map() && got.is_map()) {
    if (auto found = of_maps(wanted, got)) return found;
  } else if (wanted.is_list() && got.is_list() && are_named(wanted.as_list()) && are_named(got.as_list())) {
    const Value::Map a = by_name(wanted.as_list()), b = by_name(got.as_list());
    if (auto found = of_maps(a, b)) return found;
    const auto names = [](const Value::Map& of) {
      std::vector<std::string> out;
      for (const auto& [name, value] : of) out.push_back(name);
      return joined(out);
    };
    return SchemaDifference{fmt::format("{} in the order {}", at.substr(0, at.size() - 1), names(a)),
                            names(b)};
  }
  const std::string name = at.substr(0, at.size() - std::min<std::size_t>(at.size(), 1));
  const auto [one, other] = excerpts(wanted, got);
  return SchemaDifference{name + " " + one, other};
}

}  // namespace

std::optional<SchemaDifference> first_difference(const SchemaFile& declared, const SchemaFile& said) {
  const auto value_of = [](SchemaFile file) {
    file.code.clear();
    return Value::from_json(to_json(file));
  };
  return difference(value_of(declared), value_of(said), "");
}

std::string to_json(const SchemaFile& file) {
  const PluginSchema& s = file.schema;
  Value out = Value::map();
  out["graft_schema"] = 2;
  out["api_version"] = static_cast<int>(file.api_version);
  out["abi_tag"] = file.abi_tag;
  if (!file.code.empty()) {
    out["code"] = file.code;
    out["seal"] = std::string(kSealDigits, '0');
  }
  out["name"] = s.name;
  out["version"] = s.version;
  if (!s.former_name.empty()) out["former_name"] = s.former_name;
  out["kind"] = static_cast<int>(s.kind);
  out["summary"] = s.summary;
  out["inputs"] = to_value(s.inputs);
  out["outputs"] = to_value(s.outputs);
  out["params"] = to_value(s.params);
  out["views"] = Value::Map{{"param", s.views.param}, {"choices", Value::map()}};
  for (const auto& [choice, views] : s.views.choices)
    out["views"]["choices"][choice] = static_cast<int>(views);
  out["example"] = s.example_config;
  out["needs"] = to_value(s.needs);
  out["libraries"] = s.libraries;
  out["known_faults"] = to_value(s.known_faults);
  out["figures"] = to_value(s.figures);
  if (s.memory_of_call)
    out["working_memory"] = Value::Map{{"bytes", s.memory_of_call->bytes},
                                       {"per_payload_byte", s.memory_of_call->per_payload_byte}};
  out["covers_run"] = s.covers_whole_run;
  out["inspects"] = s.inspects;
  out["depends_on_key"] = s.output_depends_on_key;
  out["depends_on_seed"] = s.output_depends_on_seed;
  std::string json = out.to_json_pretty();
  if (!file.code.empty()) json.replace(place_of_seal(json), kSealDigits, seal_of(json));
  return json;
}

SchemaFile schema_file_from_json(std::string_view json) {
  if (json.size() > kMaxSchemaBytes)
    throw Error("more than " + std::to_string(kMaxSchemaBytes >> 20) + " MiB: no schema takes that much");
  const Value v = Value::from_json(json);
  if (member(v, "graft_schema") != Value(2)) throw Error("not a graft schema file of version 2");
  SchemaFile file;
  file.api_version = static_cast<std::uint32_t>(member(v, "api_version").as_int());
  file.abi_tag = member(v, "abi_tag").as_string();
  if (const Value* code = v.find("code"); code != nullptr && is_sealed(json)) file.code = code->as_string();
  PluginSchema& s = file.schema;
  s.name = member(v, "name").as_string();
  s.version = member(v, "version").as_string();
  if (const Value* former = v.find("former_name")) s.former_name = former->as_string();
  const std::int64_t kind = member(v, "kind").as_int();
  if (kind < 0 || kind > static_cast<int>(StageKind::Calibrator)) throw Error("unknown stage kind");
  s.kind = static_cast<StageKind>(kind);
  s.summary = member(v, "summary").as_string();
  for (const Value& p : member(v, "inputs").as_list()) s.inputs.push_back(port_from(p));
  for (const Value& p : member(v, "outputs").as_list()) s.outputs.push_back(port_from(p));
  for (const Value& p : member(v, "params").as_list()) s.params.push_back(param_from(p));
  const Value& views = member(v, "views");
  s.views.param = member(views, "param").as_string();
  for (const auto& [choice, n] : member(views, "choices").as_map())
    s.views.choices.emplace_back(choice, static_cast<std::uint32_t>(n.as_int()));
  s.example_config = member(v, "example").as_string();
  for (const Value& service : member(v, "needs").as_list()) s.needs.push_back(service.as_string());
  s.libraries = member(v, "libraries").as_string();
  for (const Value& f : member(v, "known_faults").as_list())
    s.known_faults.push_back({member(f, "before").as_string(), member(f, "text").as_string()});
  if (const Value* figures = v.find("figures"))  // not in the files of API 8
    for (const Value& f : figures->as_list()) s.figures.push_back(figure_from(f));
  if (const Value* memory = v.find("working_memory"))
    s.working_memory(static_cast<std::uint64_t>(member(*memory, "bytes").as_int()),
                     member(*memory, "per_payload_byte").as_double());
  if (const Value* covers = v.find("covers_run")) s.covers_whole_run = covers->as_bool();
  s.inspects = member(v, "inspects").as_bool();
  s.output_depends_on_key = member(v, "depends_on_key").as_bool();
  s.output_depends_on_seed = member(v, "depends_on_seed").as_bool();
  return file;
}

std::filesystem::path schema_path(std::filesystem::path plugin) {
  return plugin.replace_extension(".json");
}

}  // namespace graft
