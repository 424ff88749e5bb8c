#include "base/stored_zip.h"

#include <zlib.h>

#include <limits>

namespace graft {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralEntry = 0x02014b50, kEnd64 = 0x06064b50,
                        kLocator64 = 0x07064b50, kEndOfZip = 0x06054b50;
constexpr std::uint16_t kVersion = 45;         // 4.5: zip64
constexpr std::uint16_t kUnix = 3 << 8;        // made on a system with permissions
constexpr std::uint16_t kUtf8Names = 1 << 11;  // general purpose flag
constexpr std::uint16_t kFirstOf1980 = (1 << 5) | 1;
constexpr std::uint32_t kRegularFile = 0100644U << 16;
constexpr std::uint16_t kZip64 = 1;  // extra field
constexpr auto kInZip64 = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kLocalBytes = 30, kLocalExtra = 20;

template <typename T>
void put_little(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}
void put_short(std::string& out, std::size_t value) {
  put_little(out, static_cast<std::uint16_t>(value));
}

std::uint64_t little_endian(std::string_view from, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(from[at + i]);
  return value;
}

/// From the version to the sizes, which both records of a member have.
void put_member_facts(std::string& out, const ZipMember& member) {
  put_little(out, kVersion);
  put_little(out, kUtf8Names);
  put_short(out, 0);  // stored
  put_short(out, 0);  // time
  put_little(out, kFirstOf1980);
  put_little(out, member.crc);
  put_little(out, kInZip64);
  put_little(out, kInZip64);
  put_short(out, member.name.size());
}

}  // namespace

std::string zip_header(const ZipMember& member) {
  std::string out;
  put_little(out, kLocalHeader);
  put_member_facts(out, member);
  put_short(out, kLocalExtra);
  out += member.name;
  put_little(out, kZip64);
  put_short(out, 16);
  put_little(out, member.size);
  put_little(out, member.size);
  return out;
}

std::string zip_end(const std::vector<ZipMember>& members, std::string_view comment) {
  std::string out;
  std::uint64_t at = 0;
  for (const ZipMember& member : members) {
    put_little(out, kCentralEntry);
    put_little(out, static_cast<std::uint16_t>(kUnix | kVersion));
    put_member_facts(out, member);
    put_short(out, 28);
    put_short(out, 0);  // comment
    put_short(out, 0);  // disk
    put_short(out, 0);  // internal attributes
    put_little(out, kRegularFile);
    put_little(out, kInZip64);
    out += member.name;
    put_little(out, kZip64);
    put_short(out, 24);
    put_little(out, member.size);
    put_little(out, member.size);
    put_little(out, at);
    at += kLocalBytes + member.name.size() + kLocalExtra + member.size;
  }
  const std::uint64_t entries = out.size();
  put_little(out, kEnd64);
  put_little(out, std::uint64_t{44});
  put_little(out, static_cast<std::uint16_t>(kUnix | kVersion));
  put_little(out, kVersion);
  put_little(out, std::uint32_t{0});
  put_little(out, std::uint32_t{0});
  put_little(out, std::uint64_t{members.size()});
  put_little(out, std::uint64_t{members.size()});
  put_little(out, entries);
  put_little(out, at);
  put_little(out, kLocator64);
  put_little(out, std::uint32_t{0});
  put_little(out, at + entries);
  put_little(out, std::uint32_t{1});
  put_little(out, kEndOfZip);
  put_little(out, std::uint32_t{0});
  put_little(out, std::uint32_t{kInZip64});  // two numbers of entries, 16 bits each
  put_little(out, kInZip64);
  put_little(out, kInZip64);
  put_short(out, comment.size());
  return out.append(comment);
}

bool read_zip_header(std::string_view begin, ZipMember& member) {
  if (begin.size() < kLocalBytes || little_endian(begin, 0, 4) != kLocalHeader) return false;
  const std::size_t name = little_endian(begin, 26, 2);
  if (begin.size() < kLocalBytes + name + kLocalExtra) return false;
  member.name = begin.substr(kLocalBytes, name);
  member.crc = static_cast<std::uint32_t>(little_endian(begin, 14, 4));
  member.size = little_endian(begin, kLocalBytes + name + 4, 8);
  const std::string wanted = zip_header(member);
  return begin.substr(0, wanted.size()) == wanted;
}

std::uint32_t zip_crc(std::uint32_t crc, const void* data, std::size_t size) {
  return static_cast<std::uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(data), size));
}

}  // namespace graft
