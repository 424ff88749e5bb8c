#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <graft/plugin.h>

namespace graft {

/// What the file beside a plugin says: written by graft-plugin-schema from the descriptor when the plugin is
/// built.
struct SchemaFile {
  std::uint32_t api_version = 0;
  std::string abi_tag;
  PluginSchema schema;
  /// ElfFile::code of the library that declared it: if the file still has this digest, the library need not
  /// be examined again. Empty: not known, or the text was changed after it had been written.
  std::string code = {};
};

/// Where two schemas differ first.
struct SchemaDifference {
  std::string wanted, got;  ///< "params.n.default 5", "params.n.default 7".
};
/// Of what a file says from what the library declares; nothing: it says the same. `code` is not compared.
GRAFT_API std::optional<SchemaDifference> first_difference(const SchemaFile& declared,
                                                           const SchemaFile& said);

/// Larger than any schema; a longer file is refused.
constexpr std::size_t kMaxSchemaBytes = 4 << 20;

GRAFT_API std::string to_json(const SchemaFile& file);
/// Throws Error when the text is not what to_json writes.
GRAFT_API SchemaFile schema_file_from_json(std::string_view json);
/// The file beside a plugin: `decode.so` -> `decode.json`.
GRAFT_API std::filesystem::path schema_path(std::filesystem::path plugin);

}  // namespace graft
