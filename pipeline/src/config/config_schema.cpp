#include "config/config_schema.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/run_block.h"

namespace graft {
namespace {

Value of_type(const char* type) {
  Value out = Value::map();
  out["type"] = type;
  return out;
}

Value strings(const std::vector<std::string>& words) {
  return Value::List(words.begin(), words.end());
}

Value any_of(Value::List alternatives) {
  if (alternatives.size() == 1) return std::move(alternatives[0]);
  Value out = Value::map();
  out["anyOf"] = Value(std::move(alternatives));
  return out;
}

Value words(const std::vector<std::string>& allowed) {
  Value out = of_type("string");
  out["enum"] = strings(allowed);
  return out;
}

/// A text that an environment variable completes, in place of a value of another type.
Value variable() {
  Value out = of_type("string");
  out["pattern"] = "\\$\\{";
  return out;
}

Value number_schema(const ParamSpec& spec, const char* type) {
  Value out = of_type(type);
  if (spec.min) out["minimum"] = *spec.min;
  if (spec.max) out["maximum"] = *spec.max;
  return out;
}

/// `deprecated` is what JSON Schema has for it, the message what editors show.
void deprecate(Value& schema, const std::string& message) {
  schema["deprecated"] = true;
  schema["deprecationMessage"] = message;
}

Value schema_of(const ParamSpec& spec);

/// Without documentation: what the value may be.
Value::List alternatives_of(const ParamSpec& spec) {
  using Kind = ParamSpec::Kind;
  switch (spec.kind) {
    case Kind::Flag:
      return {of_type("boolean"), variable()};
    case Kind::Integer:
      if (spec.choices.empty()) return {number_schema(spec, "integer"), variable()};
      return {number_schema(spec, "integer"), words(spec.choices), variable()};
    case Kind::Number:
      return {number_schema(spec, "number"), variable()};
    case Kind::Text:
      return {of_type("string"), of_type("integer")};
    case Kind::Choice: {
      std::vector<std::string> allowed = spec.choices;
      const bool listed = std::find(allowed.begin(), allowed.end(), "auto") != allowed.end();
      if (!spec.auto_feature.empty() && !listed) allowed.push_back("auto");
      return {words(allowed), variable()};
    }
    case Kind::File:
    case Kind::Folder:
      if (spec.choices.empty()) return {of_type("string")};
      return {words(spec.choices), of_type("string")};
    case Kind::List: {
      Value list = of_type("array");
      list["items"] = schema_of(spec.fields.at(0));
      if (spec.min_items) list["minItems"] = *spec.min_items;
      if (spec.max_items) list["maxItems"] = *spec.max_items;
      if (!spec.scalar_ok) return {list};
      return {schema_of(spec.fields.at(0)), list};
    }
    case Kind::Map: {
      Value map = of_type("object");
      map["additionalProperties"] = schema_of(spec.fields.at(0));
      return {map};
    }
    case Kind::Object:
      if (!spec.scalar_ok) return {parameters_schema(spec.fields)};
      return {parameters_schema(spec.fields), schema_of(spec.fields.at(0))};
    case Kind::OneOf: {
      Value::List out{words(spec.names())};
      for (const ParamSpec& alternative : spec.fields) {
        Value one = of_type("object");
        one["properties"][alternative.name] = schema_of(alternative);
        one["required"] = strings({alternative.name});
        one["additionalProperties"] = false;
        out.push_back(std::move(one));
      }
      return out;
    }
  }
  return {};
}

Value schema_of(const ParamSpec& spec) {
  Value::List alternatives = alternatives_of(spec);
  // An object that is left out, or empty, has the defaults of its members.
  if (spec.may_be_null || spec.kind == ParamSpec::Kind::Object) alternatives.push_back(of_type("null"));
  Value out = any_of(std::move(alternatives));
  std::string text = spec.text;
  if (!spec.unit_name.empty()) text += fmt::format(" Unit: {}.", spec.unit_name);
  if (!text.empty()) out["description"] = text;
  if (!spec.default_value.is_null()) out["default"] = spec.default_value;
  if (!spec.use_instead.empty()) deprecate(out, spec.use_instead);
  return out;
}

Value names_of_stages() {
  Value out = any_of({of_type("string"), of_type("array")});
  out["anyOf"].as_list()[1]["items"] = of_type("string");
  out["description"] = "The stage upstream, `id` or `id.port`; several as a list.";
  return out;
}

Value documented_plugins(const Registry& registry) {
  Value out = Value::list();
  for (const auto& [name, plugin] : registry.plugins()) {
    if (plugin.schema.kind == StageKind::Service) continue;
    out.push(Value::Map{
        {"const", name},
        {"description", fmt::format("{} ({})", plugin.schema.summary, to_string(plugin.schema.kind))}});
    if (plugin.schema.former_name.empty()) continue;
    Value former = Value::Map{{"const", plugin.schema.former_name},
                              {"description", fmt::format("Former name of {}.", name)}};
    deprecate(former, fmt::format("write plugin: {}", name));
    out.push(std::move(former));
  }
  return out;
}

/// if the plugin is this one, then `with` has its parameters.
Value conditions(const Registry& registry) {
  Value out = Value::list();
  for (const auto& [name, plugin] : registry.plugins()) {
    if (plugin.schema.kind == StageKind::Service) continue;
    std::vector<std::string> called{name};
    if (!plugin.schema.former_name.empty()) called.push_back(plugin.schema.former_name);
    Value condition = Value::map();
    condition["if"]["properties"]["plugin"]["enum"] = strings(called);
    condition["then"]["properties"]["with"] = parameters_schema(plugin.schema.params);
    const auto& params = plugin.schema.params;
    if (std::any_of(params.begin(), params.end(), [](const ParamSpec& p) { return p.is_required; }))
      condition["then"]["required"] = strings({"with"});
    out.push(std::move(condition));
  }
  return out;
}

Value stage_schema(const Registry& registry) {
  Value out = of_type("object");
  Value& properties = out["properties"];
  properties = Value::map();
  properties["plugin"]["anyOf"] = documented_plugins(registry);
  properties["plugin"]["description"] = "What the stage does: the name of a plugin.";
  properties["from"] = names_of_stages();
  properties["with"] = any_of({of_type("object"), of_type("null")});
  properties["with"]["description"] = "Parameters of the plugin.";
  properties["on_error"] = words({"reject", "fail"});
  properties["on_error"]["description"] = "A bad item: record it and continue, or end the run.";
  properties["splits"] = any_of({of_type("string"), of_type("array")});
  properties["splits"]["description"] =
      "Works on items of these splits alone: train, val, test. Others pass by unchanged.";
  out["required"] = strings({"plugin"});
  out["additionalProperties"] = false;
  out["allOf"] = conditions(registry);
  return out;
}

}  // namespace

Value parameters_schema(const std::vector<ParamSpec>& specs) {
  Value out = of_type("object");
  out["properties"] = Value::map();
  std::vector<std::string> required;
  for (const ParamSpec& spec : specs) {
    out["properties"][spec.name] = schema_of(spec);
    if (spec.former_name.empty()) {
      if (spec.is_required) required.push_back(spec.name);
      continue;
    }
    Value& former = out["properties"][spec.former_name] = schema_of(spec);
    deprecate(former, fmt::format("write {}", spec.name));
    if (!spec.is_required) continue;
    Value either = Value::map();
    for (const std::string& name : {spec.name, spec.former_name}) {
      Value one = Value::map();
      one["required"] = strings({name});
      either["anyOf"].push(std::move(one));
    }
    out["allOf"].push(std::move(either));
  }
  if (!required.empty()) out["required"] = strings(required);
  out["additionalProperties"] = false;
  return out;
}

Value config_schema(const Registry& registry) {
  Value out = Value::map();
  out["$schema"] = "http://json-schema.org/draft-07/schema#";
  out["title"] = "graft config";
  out["type"] = "object";
  Value& properties = out["properties"];
  properties = Value::map();
  properties["extends"] = of_type("string");
  properties["extends"]["description"] = "Another config; this one is merged over it.";
  properties["name"] = of_type("string");
  properties["name"]["pattern"] = "^[a-z0-9_-]+$|\\$\\{";
  properties["name"]["description"] = "Names the run's folder.";
  properties["seed"] = any_of({of_type("integer"), variable()});
  properties["seed"]["anyOf"].as_list()[0]["minimum"] = 0;
  properties["seed"]["description"] = "Of everything that is random in the run.";
  properties["run"] = parameters_schema(run_parameters());
  properties["run"]["description"] = "How the run uses the machine.";
  properties["stages"] = of_type("object");
  properties["stages"]["description"] = "The stages by their names, in any order.";
  properties["stages"]["additionalProperties"] = stage_schema(registry);
  out["anyOf"] = Value::list();  // a config that extends another may leave the rest to it
  for (const auto& required : {std::vector<std::string>{"name", "stages"}, {"extends"}}) {
    Value one = Value::map();
    one["required"] = strings(required);
    out["anyOf"].push(std::move(one));
  }
  out["additionalProperties"] = false;
  return out;
}

}  // namespace graft
