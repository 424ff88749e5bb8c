#include "config/given_values.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace graft {
namespace {

Value one_value(const ParamSpec& spec, const YamlNode& node, const ConfigFile& config) {
  using Kind = ParamSpec::Kind;
  if (node.kind == YamlNode::Kind::Scalar && (spec.kind == Kind::File || spec.kind == Kind::Folder)) {
    if (!spec.is_path(node.scalar)) return node.scalar;
    if (node.scalar.empty()) return node.scalar;  // an error, not the folder of the config
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
    for (const auto& m : node.members)
      out.as_map().emplace_back(m.key, one_value(spec.fields.at(0), m.value, config));
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
        std::find_if(specs.begin(), specs.end(), [&](const ParamSpec& s) { return s.is_called(m.key); });
    // Keys of a map of the config are unique already.
    out.as_map().emplace_back(m.key,
                              spec == specs.end() ? to_value(m.value) : one_value(*spec, m.value, config));
  }
  return out;
}

std::vector<std::string> parts_of(const std::string& param) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= param.size(); at += out.back().size() + 1)
    out.push_back(param.substr(at, param.find('.', at) - at));
  return out;
}

Position place_of(const YamlNode& with, const std::vector<std::string>& path, bool at_key,
                  Position fallback) {
  const YamlNode* n = &with;
  Position at = fallback;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (n->kind == YamlNode::Kind::List) {
      const auto index = static_cast<std::size_t>(std::strtoul(path[i].c_str(), nullptr, 10));
      if (index >= n->items.size()) break;
      n = &n->items[index];
    } else {
      const auto m = std::find_if(n->members.begin(), n->members.end(),
                                  [&](const YamlNode::Member& x) { return x.key == path[i]; });
      if (m == n->members.end()) break;
      if (at_key && i + 1 == path.size()) return m->key_position;
      n = &m->value;
    }
    at = n->position;
  }
  return at;
}

}  // namespace graft
