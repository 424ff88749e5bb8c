#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/export.h>

namespace graft {

/// Facts about a shared object, read from the file: it is not loaded, none of its code runs.
struct ElfFile {
  /// Why the dynamic loader would refuse the file, or crash: it is not a shared object, it is for another
  /// processor, or it is truncated. Empty: none of them.
  std::string fault;
  /// Whether it exports a symbol named graft_plugin; nothing where its table of symbols was removed.
  std::optional<bool> has_entry;
  /// xxHash3-128 of its machine code, in hexadecimal digits: the same after the file is copied, installed or
  /// stripped, different after it is built from other sources. Empty unless requested.
  std::string code;
};

/// Never throws for what is in the file; throws Error when it cannot be read.
GRAFT_API ElfFile read_elf(const std::filesystem::path& file, bool with_code);

/// Bytes of address space that a shared object takes when it is loaded; 0 if it is not one.
GRAFT_API std::uint64_t mapped_size(const std::filesystem::path& file);

}  // namespace graft
