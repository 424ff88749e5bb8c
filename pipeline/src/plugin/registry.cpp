#include "plugin/registry.h"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <sstream>

#include <fmt/format.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Where this library lies; empty where the system does not report it.
fs::path library_folder() {
  Dl_info here{};
  std::error_code error;
  if (::dladdr(reinterpret_cast<const void*>(&library_folder), &here) == 0 || here.dli_fname == nullptr)
    return {};
  return fs::canonical(here.dli_fname, error).parent_path();
}

/// The plugins that come with the library, in a build folder or in an installation. Programs of others, which
/// link it, may be anywhere.
std::vector<fs::path> own_folders() {
  std::vector<fs::path> folders;
  const fs::path library = library_folder();
  std::error_code error;
  for (const char* place : {"graft-plugins", "graft/plugins"})
    if (!library.empty() && fs::is_directory(library / place, error)) folders.push_back(library / place);
  return folders;
}

}  // namespace

fs::path program_folder() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) {  // no /proc: as the program was started
    const auto* name =
        reinterpret_cast<const char*>(::getauxval(AT_EXECFN));  // NOLINT(performance-no-int-to-ptr)
    program = fs::canonical(name == nullptr ? "" : name, error);
  }
  return program.parent_path();
}

std::vector<fs::path> Registry::search_path(const std::vector<std::string>& plugin_dirs) {
  std::vector<fs::path> folders(plugin_dirs.begin(), plugin_dirs.end());
  if (const char* env = std::getenv("GRAFT_PLUGIN_PATH")) {
    std::istringstream parts(env);
    for (std::string part; std::getline(parts, part, ':');)
      if (!part.empty()) folders.emplace_back(part);
  }
  for (fs::path& folder : own_folders()) folders.push_back(std::move(folder));
  return folders;
}

bool Registry::comes_with_graft(const Plugin& plugin) {
  const std::vector<fs::path> folders = own_folders();
  std::error_code error;
  return std::any_of(folders.begin(), folders.end(), [&](const fs::path& folder) {
    return fs::equivalent(folder, plugin.path.parent_path(), error);
  });
}

Registry::Registry(const std::vector<fs::path>& folders, Undescribed undescribed_are) {
  std::vector<fs::path> undescribed;
  for (const fs::path& folder : folders) {
    std::error_code error;
    const fs::path same = fs::canonical(folder, error);  // a folder may be named twice
    if (!error && std::any_of(folders_.begin(), folders_.end(), [&](const fs::path& other) {
          std::error_code ignored;
          return fs::equivalent(other, same, ignored);
        }))
      continue;
    folders_.push_back(folder);
    Rejected why{folder, "", "", ""};
    if (!only_owner_may_change(folder, why)) {
      rejected_.push_back(std::move(why));
      continue;
    }
    std::vector<fs::path> files;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".so") files.push_back(it->path());
    if (error) rejected_.push_back({folder, "a folder of plugins", error.message(), "check the path"});
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      if (const auto it = plugins_.find(file.stem()); it != plugins_.end())
        it->second.hides.push_back(file);
      else if (!read_schema(file, undescribed_are))
        undescribed.push_back(file);
    }
    // Plugins of this folder come before those of the next. Several are examined at once: the limit for one
    // that hangs then covers all of them.
    if (undescribed_are == Undescribed::Examined) examine(undescribed);
    undescribed.clear();
  }
  for (auto& [name, plugin] : plugins_) offer_services(plugin.schema.params);
}

void Registry::offer_services(std::vector<ParamSpec>& params) const {
  for (ParamSpec& param : params) {
    offer_services(param.fields);
    if (param.service.empty()) continue;
    const std::string prefix = param.service + "_";
    for (const auto& [name, plugin] : plugins_)
      if (plugin.schema.kind == StageKind::Service && name.starts_with(prefix))
        param.choices.push_back(name.substr(prefix.size()));
  }
}

bool Registry::read_schema(const fs::path& file, Undescribed undescribed_are) {
  Rejected why{file, "", "", ""};
  try {
    auto schema = read_schema_file(file);
    if (!schema) return false;
    if (!passes_gate(schema->api_version, schema->abi_tag, why) ||
        !schema_is_sound(schema->schema, file, why)) {
      rejected_.push_back(std::move(why));
      return true;
    }
    if (undescribed_are == Undescribed::PassedOver) {
      if (only_owner_may_change(file, why) && is_shared_object(file, why))
        take(file, std::move(*schema));
      else
        rejected_.push_back(std::move(why));
      return true;
    }
    const auto code = code_of_plugin(file, why);
    if (code && *code != schema->code) return false;  // not known to be of this library
    if (code)
      take(file, std::move(*schema));
    else
      rejected_.push_back(std::move(why));
  } catch (const std::exception& e) {
    rejected_.push_back({schema_path(file), "a schema file", e.what(), "build the plugin again"});
  }
  return true;
}

void Registry::examine(const std::vector<fs::path>& files) {
  constexpr std::size_t kAtOnce = 16;
  for (std::size_t first = 0; first < files.size(); first += kAtOnce) {
    std::deque<Examination> under_way;
    const std::size_t end = std::min(files.size(), first + kAtOnce);
    for (std::size_t i = first; i < end; ++i) under_way.emplace_back(files[i]);
    for (std::size_t i = first; i < end; ++i) {
      Rejected why;
      auto schema = under_way[i - first].finish(why);
      if (schema && schema_is_sound(schema->schema, files[i], why) &&
          schema_file_agrees(files[i], *schema, why))
        take(files[i], std::move(*schema));
      else
        rejected_.push_back(std::move(why));
    }
  }
}

void Registry::declare(const fs::path& file, SchemaFile schema) {
  take(file, std::move(schema));
  offer_services(plugins_.at(file.stem()).schema.params);
}

void Registry::take(const fs::path& file, SchemaFile schema) {
  plugins_[file.stem()] = {file, std::move(schema.schema), nullptr, std::move(schema.code), {}};
}

std::string Registry::warning_of(const std::string& name) const {
  const Plugin* plugin = find(name);
  if (plugin == nullptr) return {};
  std::vector<std::string> others;
  for (const fs::path& file : plugin->hides) others.push_back(file.string());
  if (!others.empty())
    return fmt::format("plugin '{}' is {}, which hides {}: the first in the search order is used", name,
                       plugin->path.string(), fmt::join(others, ", "));
  if (const Rejected* rejected = rejected_as(name))
    return fmt::format("plugin '{}' is {}, because another file was refused: {}", name, plugin->path.string(),
                       rejected->message());
  return {};
}

const Registry::Plugin* Registry::find(const std::string& name) const {
  const auto it = plugins_.find(name);
  if (it != plugins_.end()) return &it->second;
  const auto renamed = std::find_if(plugins_.begin(), plugins_.end(), [&](const auto& entry) {
    return !name.empty() && entry.second.schema.former_name == name;
  });
  return renamed == plugins_.end() ? nullptr : &renamed->second;
}

const Registry::Rejected* Registry::rejected_as(const std::string& name) const {
  for (const Rejected& r : rejected_)
    if (r.path.stem() == name) return &r;
  return nullptr;
}

const graft_plugin_descriptor& Registry::open(const std::string& name) const {
  const Plugin* found = find(name);
  if (found == nullptr) throw Error("no plugin named '" + name + "'");
  const Plugin& plugin = *found;
  if (plugin.descriptor != nullptr) return *plugin.descriptor;
  Rejected why{plugin.path, "", "", ""};
  const graft_plugin_descriptor* d = load_plugin(plugin.path, why, plugin.code);
  if (d == nullptr) throw Error(why.message());
  SchemaFile declared{GRAFT_PLUGIN_API, "", d->schema()};
  offer_services(declared.schema.params);
  if (!schema_file_agrees(plugin.path, {GRAFT_PLUGIN_API, "", plugin.schema}, declared, why))
    throw Error(why.message());
  plugin.descriptor = d;
  return *d;
}

fs::path share_folder() {
  if (const char* env = std::getenv("GRAFT_SHARE")) return env;
  const fs::path installed = program_folder() / ".." / GRAFT_DATADIR / "graft";
  if (fs::is_directory(installed / "configs")) return installed.lexically_normal();
  return GRAFT_SOURCE_FOLDER;
}

}  // namespace graft
