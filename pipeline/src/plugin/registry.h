#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <graft/plugin.h>

#include "plugin/plugin_file.h"

namespace graft {

/// The plugins of a run: found by name, described without being loaded, opened when first needed. Not
/// thread-safe. A plugin, once opened, stays loaded until the process ends.
class GRAFT_API Registry {
 public:
  struct Plugin {
    std::filesystem::path path;
    PluginSchema schema;
    mutable const graft_plugin_descriptor* descriptor = nullptr;  ///< Set once opened.
    std::string code = {};                                        ///< SchemaFile::code.
    /// Files of the same name in later folders: this one is used, they are not.
    std::vector<std::filesystem::path> hides = {};
  };
  using Rejected = Refusal;

  /// --plugin-dir arguments, then GRAFT_PLUGIN_PATH (separated by ':'), then the folder that comes with the
  /// library.
  static std::vector<std::filesystem::path> search_path(const std::vector<std::string>& plugin_dirs);

  /// Looks at every *.so in the folders; the first of a name is used, with a list of those that it hides. A
  /// plugin with a schema file of this very library is not opened. One without, or whose library or file was
  /// changed since, is examined in a child process, see Examination, and refused where the file says
  /// something else than the library. No code of a plugin runs in this process. PassedOver, for what has to
  /// be quick: nothing is examined, and schema files are believed.
  enum class Undescribed { Examined, PassedOver };
  explicit Registry(const std::vector<std::filesystem::path>& folders,
                    Undescribed undescribed_are = Undescribed::Examined);

  /// Takes a plugin that has no schema file yet, in place of one of that name.
  void declare(const std::filesystem::path& file, SchemaFile schema);

  /// By its name or by the one that it had formerly; nullptr when there is none.
  const Plugin* find(const std::string& name) const;
  const std::map<std::string, Plugin>& plugins() const { return plugins_; }
  const std::vector<Rejected>& rejected() const { return rejected_; }
  const std::vector<std::filesystem::path>& folders() const { return folders_; }
  /// The rejected file that would have been this plugin, if any.
  const Rejected* rejected_as(const std::string& name) const;
  /// Whether the plugin is one of the folder that comes with the library, which every user of it has.
  static bool comes_with_graft(const Plugin& plugin);
  /// A warning for users of the plugin: it hides another, or replaces a file that was refused. Empty: none.
  std::string warning_of(const std::string& name) const;

  /// Loads the plugin; if it has changed since this was made, it is examined first. Throws Error
  /// naming path, wanted, got and cure.
  const graft_plugin_descriptor& open(const std::string& name) const;

 private:
  /// Reads the schema file beside a plugin; false where there is none, or it need not be of this library.
  bool read_schema(const std::filesystem::path& file, Undescribed undescribed_are);
  void examine(const std::vector<std::filesystem::path>& files);
  void take(const std::filesystem::path& file, SchemaFile schema);
  /// Fills in what depends on all plugins: the values of parameters that name a service.
  void offer_services(std::vector<ParamSpec>& params) const;

  std::vector<std::filesystem::path> folders_;
  std::map<std::string, Plugin> plugins_;
  std::vector<Rejected> rejected_;
};

/// Folder of the program that runs; empty where the system does not report it.
GRAFT_API std::filesystem::path program_folder();

/// The folder with the folder `configs` that comes with graft: share/graft of an installation, or the folder
/// of the sources. GRAFT_SHARE overrides it.
GRAFT_API std::filesystem::path share_folder();

}  // namespace graft
