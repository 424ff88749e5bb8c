#include "plugin/registry.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "plugin/schema_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

fs::path program_folder() {
  std::error_code error;
  const fs::path exe = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::current_path() : exe.parent_path();
}

std::string read_text(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool gate(std::uint32_t api_version, std::string_view abi_tag, Registry::Rejected& why) {
  if (api_version != GRAFT_PLUGIN_API) {
    why.wanted = fmt::format("plugin API {}", GRAFT_PLUGIN_API);
    why.got = fmt::format("plugin API {}", api_version);
    why.cure = api_version < GRAFT_PLUGIN_API ? "rebuild the plugin with the headers of this graft"
                                              : "update graft, or rebuild the plugin with its headers";
    return false;
  }
  if (abi_tag != GRAFT_ABI_TAG) {
    why.wanted = fmt::format("ABI '{}'", GRAFT_ABI_TAG);
    why.got = fmt::format("ABI '{}'", abi_tag);
    why.cure = "rebuild the plugin with the compiler and flags that built graft";
    return false;
  }
  return true;
}

/// OpenBLAS chooses its kernels when it is loaded, and takes the slowest ones on a processor it does not know
/// (0.3.21 on newer Xeons: 1.5 to 3 times slower). Tells it what the processor can do, unless the user has.
void prefer_fast_blas_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0)
    ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
  else if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0)
    ::setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
}

}  // namespace

std::string Registry::Rejected::message() const {
  return fmt::format("plugin file {}: wanted {}, got {}; {}", path.string(), wanted, got, cure);
}

const graft_plugin_descriptor* load_plugin(const fs::path& file, Registry::Rejected& why) {
  why.path = file;
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    why.wanted = "a regular file";
    why.got = "none";
    why.cure = "remove it from the plugin folder";
    return nullptr;
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    why.wanted = "a file that only its owner can change (plugins are code)";
    why.got = fmt::format("mode {:o}", info.st_mode & 0777);
    why.cure = fmt::format("chmod o-w {}", file.string());
    return nullptr;
  }
  static const bool kChosen = (prefer_fast_blas_kernels(), true);
  (void)kChosen;
  void* handle = ::dlopen(fs::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    why.wanted = "a shared object that loads";
    why.got = ::dlerror();
    why.cure = "install the missing library or rebuild the plugin";
    return nullptr;
  }
  auto* entry = reinterpret_cast<graft_plugin_function*>(::dlsym(handle, "graft_plugin"));
  const graft_plugin_descriptor* d = nullptr;
  if (entry == nullptr) {
    why.wanted = "the symbol graft_plugin";
    why.got = "a shared object without it";
    why.cure = "declare the plugin with GRAFT_PLUGIN(...), or remove the file from the plugin folder";
  } else if (d = entry(); d == nullptr || d->struct_size < offsetof(graft_plugin_descriptor, name)) {
    why.wanted = fmt::format("a descriptor of {} bytes", sizeof(graft_plugin_descriptor));
    why.got = d == nullptr ? "none" : fmt::format("{} bytes", d->struct_size);
    why.cure = "rebuild the plugin with the headers of this graft";
    d = nullptr;
  } else if (!gate(d->api_version, d->abi_tag, why)) {
    d = nullptr;
  } else if (d->struct_size != sizeof(graft_plugin_descriptor)) {
    why.wanted = fmt::format("a descriptor of {} bytes", sizeof(graft_plugin_descriptor));
    why.got = fmt::format("{} bytes", d->struct_size);
    why.cure = "rebuild the plugin with the headers of this graft";
    d = nullptr;
  } else if (file.stem() != d->name) {
    why.wanted = fmt::format("a file named {}.so", d->name);
    why.got = file.filename().string();
    why.cure = "a plugin's file has the plugin's name: rename it";
    d = nullptr;
  }
  // Only a rejected file is ever closed: items, exceptions and vtables of an accepted one may live to the
  // end.
  if (d == nullptr) ::dlclose(handle);
  return d;
}

std::vector<fs::path> Registry::search_path(const std::vector<std::string>& plugin_dirs) {
  std::vector<fs::path> folders(plugin_dirs.begin(), plugin_dirs.end());
  if (const char* env = std::getenv("GRAFT_PLUGIN_PATH")) {
    std::istringstream parts(env);
    for (std::string part; std::getline(parts, part, ':');)
      if (!part.empty()) folders.emplace_back(part);
  }
  const fs::path program = program_folder();
  for (const char* place : {"graft-plugins", "../" GRAFT_LIBDIR "/graft/plugins"})
    if (fs::is_directory(program / place)) folders.push_back((program / place).lexically_normal());
  return folders;
}

Registry::Registry(const std::vector<fs::path>& folders) : folders_(folders) {
  for (const fs::path& folder : folders_) {
    std::error_code error;
    std::vector<fs::path> files;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".so") files.push_back(it->path());
    if (error) rejected_.push_back({folder, "a folder of plugins", error.message(), "check the path"});
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) look_at(file);
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

void Registry::look_at(const fs::path& file) {
  if (plugins_.count(file.stem()) != 0) return;
  Rejected why{file, "", "", ""};
  const fs::path described = schema_path(file);
  if (fs::is_regular_file(described)) {
    try {
      SchemaFile schema = schema_file_from_json(read_text(described));
      if (!gate(schema.api_version, schema.abi_tag, why)) return rejected_.push_back(why);
      plugins_[file.stem()] = {file, std::move(schema.schema), nullptr};
    } catch (const Error& e) {
      rejected_.push_back({described, "a schema file", e.what(), "rebuild the plugin"});
    }
    return;
  }
  // A plugin that was not built by graft_add_plugin has no schema file: it describes itself.
  const graft_plugin_descriptor* d = load_plugin(file, why);
  if (d == nullptr) return rejected_.push_back(why);
  plugins_[file.stem()] = {file, d->schema(), d};
}

const Registry::Plugin* Registry::find(const std::string& name) const {
  const auto it = plugins_.find(name);
  return it == plugins_.end() ? nullptr : &it->second;
}

const Registry::Rejected* Registry::rejected_as(const std::string& name) const {
  for (const Rejected& r : rejected_)
    if (r.path.stem() == name) return &r;
  return nullptr;
}

const graft_plugin_descriptor& Registry::open(const std::string& name) const {
  const auto it = plugins_.find(name);
  if (it == plugins_.end()) throw Error("no plugin named '" + name + "'");
  const Plugin& plugin = it->second;
  if (plugin.descriptor != nullptr) return *plugin.descriptor;
  Rejected why{plugin.path, "", "", ""};
  const graft_plugin_descriptor* d = load_plugin(plugin.path, why);
  if (d == nullptr) throw Error(why.message());
  const auto text = [](const PluginSchema& s) { return to_json(SchemaFile{GRAFT_PLUGIN_API, "", s}); };
  PluginSchema declared = d->schema();
  offer_services(declared.params);
  if (text(declared) != text(plugin.schema))
    throw Error(Rejected{plugin.path, "the schema in " + schema_path(plugin.path).filename().string(),
                         "a plugin that declares another one", "rebuild the plugin: the file is stale"}
                    .message());
  plugin.descriptor = d;
  return *d;
}

fs::path share_folder() {
  if (const char* env = std::getenv("GRAFT_SHARE")) return env;
  const fs::path installed = program_folder() / ".." / GRAFT_DATADIR / "graft" / "configs";
  if (fs::is_directory(installed)) return installed.lexically_normal();
  return GRAFT_SOURCE_CONFIGS;
}

}  // namespace graft
