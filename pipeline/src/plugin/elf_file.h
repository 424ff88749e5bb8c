#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// What a shared object says of itself, read from the file: nothing of it is loaded, none of its code runs.
struct ElfFile {
  /// Why the dynamic loader would refuse the file, or die of it: no shared object, one of another kind of
  /// processor, or one that is cut short. Empty: none of them.
  std::string fault;
  /// Whether it exports a symbol named graft_plugin; nothing where its table of symbols was removed.
  std::optional<bool> has_entry;
  /// xxHash3-128 of its machine code, in hexadecimal digits: stays when the file is copied, installed or
  /// stripped, and changes when it is built again from other sources. Empty unless asked for.
  std::string code;
};

/// Never throws for what is in the file; throws Error when it cannot be read.
GRAFT_API ElfFile read_elf(const std::filesystem::path& file, bool with_code);

/// Bytes of address space that a shared object takes when it is loaded; 0 for what is none.
GRAFT_API std::uint64_t mapped_size(const std::filesystem::path& file);

}  // namespace graft
