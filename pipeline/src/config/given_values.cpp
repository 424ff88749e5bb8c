#include "config/given_values.h"

#include <algorithm>
#include <filesystem>

namespace graft {
namespace {

Value one_value(const ParamSpec& spec, const YamlNode& node, const ConfigFile& config) {
  using Kind = ParamSpec::Kind;
  if (node.kind == YamlNode::Kind::Scalar && (spec.kind == Kind::File || spec.kind == Kind::Folder)) {
    if (!spec.is_path(node.scalar)) return node.scalar;
    const std::filesystem::path path(node.scalar);
    return path.is_absolute() ? path.string()
                              : (config.folder_of(node.position) / path).lexically_normal().string();
  }
  // Text stays as it was written: `class: 007`, `split: yes`.
  if (node.kind == YamlNode::Kind::Scalar && spec.kind == Kind::Text) return node.scalar;
  if (node.kind == YamlNode::Kind::Scalar && spec.kind == Kind::Choice) return node.scalar;
  if (spec.kind == Kind::Object && node.kind == YamlNode::Kind::Scalar && spec.scalar_ok)
    return one_value(spec.fields.at(0), node, config);
  if (spec.kind == Kind::Object || spec.kind == Kind::OneOf) return given_values(spec.fields, node, config);
  if (spec.kind == Kind::List && node.kind == YamlNode::Kind::List) {
    Value out = Value::list();
    for (const YamlNode& n : node.items) out.push(one_value(spec.fields.at(0), n, config));
    return out;
  }
  if (spec.kind == Kind::List && node.kind == YamlNode::Kind::Scalar)
    return one_value(spec.fields.at(0), node, config);
  if (spec.kind == Kind::Map && node.kind == YamlNode::Kind::Map) {
    Value out = Value::map();
    for (const auto& m : node.members) out[m.key] = one_value(spec.fields.at(0), m.value, config);
    return out;
  }
  return to_value(node);
}

}  // namespace

Value given_values(const std::vector<ParamSpec>& specs, const YamlNode& node, const ConfigFile& config) {
  if (node.kind != YamlNode::Kind::Map) return to_value(node);
  Value out = Value::map();
  for (const auto& m : node.members) {
    const auto spec =
        std::find_if(specs.begin(), specs.end(), [&](const ParamSpec& s) { return s.name == m.key; });
    out[m.key] = spec == specs.end() ? to_value(m.value) : one_value(*spec, m.value, config);
  }
  return out;
}

}  // namespace graft
