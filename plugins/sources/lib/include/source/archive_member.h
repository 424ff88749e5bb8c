#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <source/archive_reader.h>
#include <source/walk.h>

namespace graft::source {

/// A member of an archive that may be an input.
struct ArchiveMember {
  enum class Fault : std::uint8_t { None, UnsafePath, NoFile };
  std::string name;           ///< Without the "./" that tar likes to put in front.
  Fault fault = Fault::None;  ///< A path that is absolute or has ".." in it; a link or device.
};

/// The name of a member without the "./" that tar likes to put in front.
std::string cleaned(std::string name);

/// The member that `reader` has just found: a regular file, or what has the name of an image and is none.
/// Nothing for folders and for what is left out, of which `skip` is told.
std::optional<ArchiveMember> archive_member(const ArchiveReader& reader, const OnSkip& skip);

/// Throws Reject `unsafe-member` for a fault.
void require_usable(ArchiveMember::Fault fault);

}  // namespace graft::source
