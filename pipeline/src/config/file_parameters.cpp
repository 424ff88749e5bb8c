#include "config/file_parameters.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

void visit_value(const ParamSpec& spec, Value& v, const std::string& address, const VisitFile& visit);

void visit_members(const std::vector<ParamSpec>& specs, Value& map, const std::string& prefix,
                   const VisitFile& visit) {
  if (!map.is_map()) return;
  for (auto& [name, v] : map.as_map())
    for (const ParamSpec& spec : specs)
      if (spec.name == name) visit_value(spec, v, prefix + name, visit);
}

void visit_value(const ParamSpec& spec, Value& v, const std::string& address, const VisitFile& visit) {
  switch (spec.kind) {
    case ParamSpec::Kind::File:
      if (v.is_string() && spec.is_path(v.as_string())) visit(address, spec, v);
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
        visit_value(spec.fields.at(0), element, fmt::format("{}.{}", address, key), visit);
      return;
    default:
      return;
  }
}

}  // namespace

void visit_files(const std::vector<ParamSpec>& specs, Value& with, const VisitFile& visit) {
  visit_members(specs, with, "", visit);
}

std::vector<fs::path> files_of(const ParamSpec& spec, const fs::path& path) {
  std::error_code none, error;
  if (!fs::is_directory(path, none)) return {path};
  std::vector<fs::path> files;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    if (spec.counts_in_folder(at->path().filename().string()) && at->is_regular_file(none))
      files.push_back(at->path());
  if (error) throw Error(fmt::format("cannot read the folder {}: {}", path.string(), error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace graft
