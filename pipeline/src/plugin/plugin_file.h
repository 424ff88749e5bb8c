#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include <graft/plugin.h>

#include "plugin/child.h"
#include "plugin/schema_file.h"

namespace graft {

/// Why a file in a plugin folder cannot be used.
struct GRAFT_API Refusal {
  std::filesystem::path path;
  std::string wanted, got, cure;
  std::string message() const;
};

/// How long a library may take to be opened and to describe itself.
constexpr std::chrono::seconds kExaminationLimit{8};

/// Examines a plugin in a child process: a crash, an exception, a call to exit() or an endless loop while the
/// library is opened becomes a refusal. A file without the symbol graft_plugin is not even opened. Several
/// may run at once. For use before threads are started.
class GRAFT_API Examination {
 public:
  explicit Examination(std::filesystem::path file);
  /// The schema as the plugin declares it, with any errors, and the digest of the code that declared it.
  /// Returns nothing and fills in `why` when the plugin is refused.
  std::optional<SchemaFile> finish(Refusal& why, std::chrono::milliseconds limit = kExaminationLimit);

 private:
  std::filesystem::path file_;
  std::optional<Refusal> refused_;  ///< Without opening it.
  std::string code_;
  std::optional<Child> child_;
};

/// API version and ABI tag, compared before anything else is used.
GRAFT_API bool passes_gate(std::uint32_t api_version, std::string_view abi_tag, Refusal& why);

/// Refuses a plugin's file, or a folder of plugins, that others than its owner may change: they could put
/// code into this process. A group that has its owner's name is the owner's own, as Debian makes one per
/// user.
GRAFT_API bool only_owner_may_change(const std::filesystem::path& path, Refusal& why);

/// Refuses a file that is not a shared object, or is truncated, without reading all of it.
GRAFT_API bool is_shared_object(const std::filesystem::path& file, Refusal& why);

/// Checks a plugin's file without opening the library: its mode, whether it would load, its symbol. Returns
/// ElfFile::code; nothing, and `why` filled in, when it is refused.
GRAFT_API std::optional<std::string> code_of_plugin(const std::filesystem::path& file, Refusal& why);

/// Refuses a plugin whose schema file, `said`, differs from what the library in `file` declares, and names
/// the first difference.
GRAFT_API bool schema_file_agrees(const std::filesystem::path& file, const SchemaFile& said,
                                  const SchemaFile& declared, Refusal& why);
/// The same with the file as it is now, damaged ones included. True where there is none.
GRAFT_API bool schema_file_agrees(const std::filesystem::path& file, const SchemaFile& declared,
                                  Refusal& why);

/// The schema file beside a plugin; nothing where there is none. Throws Error when it is not one.
GRAFT_API std::optional<SchemaFile> read_schema_file(const std::filesystem::path& plugin);

/// Refuses a schema that has errors, or that belongs to a plugin that is not in `file`.
GRAFT_API bool schema_is_sound(const PluginSchema& schema, const std::filesystem::path& file, Refusal& why);

/// Loads a plugin for use in this process; nullptr, and `why` filled in, when it is refused. It is examined
/// before, unless its code is what `examined_code` (SchemaFile::code) says and memory is not limited.
GRAFT_API const graft_plugin_descriptor* load_plugin(const std::filesystem::path& file, Refusal& why,
                                                     const std::string& examined_code = "");

}  // namespace graft
