#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>

/// \file
/// Zip files whose members are stored as they are, laid out in one way to the byte (APPNOTE.TXT 6.3.10, with
/// the records of zip64 for every member): any unzip reads them, and whoever knows names, sizes and checksums
/// of the members knows every byte that is not in a member.

namespace graft {

struct ZipMember {
  std::string name;
  std::uint64_t size = 0;
  std::uint32_t crc = 0;  ///< CRC-32 of the content, see zip_crc.
};

/// What stands in front of a member's content.
GRAFT_API std::string zip_header(const ZipMember& member);
/// What follows the last of the members, which follow each other from byte 0.
GRAFT_API std::string zip_end(const std::vector<ZipMember>& members, std::string_view comment);
/// What a header says, if it is one that zip_header makes: `begin` has the first bytes of a file, as many as
/// the name may need. False: it is not.
GRAFT_API bool read_zip_header(std::string_view begin, ZipMember& member);

/// CRC-32 of bytes that come in pieces; begins with 0.
GRAFT_API std::uint32_t zip_crc(std::uint32_t crc, const void* data, std::size_t size);

}  // namespace graft
