#include "config/file_parameters.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

class Visitor {
 public:
  Visitor(bool folders, const VisitFile& visit) : folders_(folders), visit_(visit) {}

  void members(const std::vector<ParamSpec>& specs, Value& map, const std::string& prefix) const {
    if (!map.is_map()) return;
    for (auto& [name, v] : map.as_map())
      for (const ParamSpec& spec : specs)
        if (spec.name == name) value(spec, v, prefix + name);
  }

 private:
  void value(const ParamSpec& spec, Value& v, const std::string& address) const {
    switch (spec.kind) {
      case ParamSpec::Kind::Folder:
        if (!folders_) return;
        [[fallthrough]];
      case ParamSpec::Kind::File:
        if (v.is_string() && spec.is_path(v.as_string())) visit_(address, spec, v);
        return;
      case ParamSpec::Kind::Object:
      case ParamSpec::Kind::OneOf:
        return members(spec.fields, v, address + ".");
      case ParamSpec::Kind::List:
        if (!v.is_list()) return value(spec.fields.at(0), v, address);  // one for a list of one
        for (std::size_t i = 0; i < v.as_list().size(); ++i)
          value(spec.fields.at(0), v.as_list()[i], address + "." + std::to_string(i));
        return;
      case ParamSpec::Kind::Map:
        if (!v.is_map()) return;
        for (auto& [key, element] : v.as_map())
          value(spec.fields.at(0), element, fmt::format("{}.{}", address, key));
        return;
      default:
        return;
    }
  }

  const bool folders_;
  const VisitFile& visit_;
};

}  // namespace

void visit_files(const std::vector<ParamSpec>& specs, Value& with, const VisitFile& visit) {
  Visitor(false, visit).members(specs, with, "");
}

void visit_paths(const std::vector<ParamSpec>& specs, Value& with, const VisitFile& visit) {
  Visitor(true, visit).members(specs, with, "");
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
