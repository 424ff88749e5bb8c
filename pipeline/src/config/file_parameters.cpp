#include "config/file_parameters.h"

namespace graft {
namespace {

using Visit = std::function<void(const std::string& address, Value& path)>;

void visit_value(const ParamSpec& spec, Value& v, const std::string& address, const Visit& visit);

void visit_members(const std::vector<ParamSpec>& specs, Value& map, const std::string& prefix,
                   const Visit& visit) {
  if (!map.is_map()) return;
  for (auto& [name, v] : map.as_map())
    for (const ParamSpec& spec : specs)
      if (spec.name == name) visit_value(spec, v, prefix + name, visit);
}

void visit_value(const ParamSpec& spec, Value& v, const std::string& address, const Visit& visit) {
  switch (spec.kind) {
    case ParamSpec::Kind::File:
      if (v.is_string() && spec.is_path(v.as_string())) visit(address, v);
      return;
    case ParamSpec::Kind::Object:
    case ParamSpec::Kind::OneOf:
      return visit_members(spec.fields, v, address + ".", visit);
    case ParamSpec::Kind::List:
      if (!v.is_list()) return visit_value(spec.fields.at(0), v, address, visit);  // one for a list of one
      for (std::size_t i = 0; i < v.as_list().size(); ++i)
        visit_value(spec.fields.at(0), v.as_list()[i], address + "." + std::to_string(i), visit);
      return;
    case ParamSpec::Kind::Map:
      if (!v.is_map()) return;
      for (auto& [key, element] : v.as_map())
        visit_value(spec.fields.at(0), element, address + "." + key, visit);
      return;
    default:
      return;
  }
}

}  // namespace

void visit_files(const std::vector<ParamSpec>& specs, Value& with, const Visit& visit) {
  visit_members(specs, with, "", visit);
}

}  // namespace graft
