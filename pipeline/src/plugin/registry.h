#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <graft/plugin.h>

namespace graft {

/// The plugins of a run: found by name, described without being loaded, opened when first needed. Not
/// thread-safe. A plugin, once opened, stays loaded until the process ends.
class GRAFT_API Registry {
 public:
  struct Plugin {
    std::filesystem::path path;
    PluginSchema schema;
    mutable const graft_plugin_descriptor* descriptor = nullptr;  ///< Set once opened.
  };
  /// A file in a plugin folder that cannot be used.
  struct Rejected {
    std::filesystem::path path;
    std::string wanted, got, cure;
    std::string message() const;
  };

  /// --plugin-dir arguments, then GRAFT_PLUGIN_PATH (separated by ':'), then the folders of the program.
  static std::vector<std::filesystem::path> search_path(const std::vector<std::string>& plugin_dirs);

  /// Looks at every *.so in the folders; the first of a name wins.
  explicit Registry(const std::vector<std::filesystem::path>& folders);

  /// nullptr when there is none of that name.
  const Plugin* find(const std::string& name) const;
  const std::map<std::string, Plugin>& plugins() const { return plugins_; }
  const std::vector<Rejected>& rejected() const { return rejected_; }
  const std::vector<std::filesystem::path>& folders() const { return folders_; }
  /// The rejected file that would have been this plugin, if any.
  const Rejected* rejected_as(const std::string& name) const;

  /// Loads the plugin. Throws Error naming path, wanted, got and cure.
  const graft_plugin_descriptor& open(const std::string& name) const;

 private:
  void look_at(const std::filesystem::path& file);
  /// Fills in what only all plugins together tell: the values of parameters that name a service.
  void offer_services(std::vector<ParamSpec>& params) const;

  std::vector<std::filesystem::path> folders_;
  std::map<std::string, Plugin> plugins_;
  std::vector<Rejected> rejected_;
};

/// Loads a shared object and passes it through the gate: symbol, struct size, API version, ABI tag, name. On
/// failure fills in `why` and returns nullptr.
GRAFT_API const graft_plugin_descriptor* load_plugin(const std::filesystem::path& file,
                                                     Registry::Rejected& why);

/// Folder of the configs and models that come with graft: beside the sources, or in share/ of the
/// installation. GRAFT_SHARE overrides it.
GRAFT_API std::filesystem::path share_folder();

}  // namespace graft
