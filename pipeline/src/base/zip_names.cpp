#include "base/zip_names.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "base/files.h"

namespace graft {
namespace {

constexpr std::string_view kMember{"PK\3\4", 4}, kListed{"PK\1\2", 4}, kEndOfList{"PK\5\6", 4},
    kEndOfList64{"PK\6\6", 4}, kPlaceOfEnd64{"PK\6\7", 4};
constexpr std::size_t kListedBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kPlaceBytes = 20,
                      kMaxComment = 65'535;

class ZipNames {
 public:
  explicit ZipNames(const std::filesystem::path& path) : path_(path), file_(open_regular_file(path)) {
    struct stat info {};
    if (!file_ || ::fstat(file_.get(), &info) != 0) throw Error(file_error("open", path, errno));
    size_ = static_cast<std::uint64_t>(info.st_size);
  }

  bool begins_as_zip() const {
    char begin[4];
    return read_at(file_.get(), begin, sizeof begin, 0, path_) == sizeof begin &&
           std::string_view(begin, sizeof begin) == kMember;
  }

  void visit(const std::function<void(std::string name)>& visit) {
    find_list();
    std::uint64_t at = list_;
    for (std::uint64_t i = 0; i < members_; ++i) {
      const auto record = read<kListedBytes>(at);
      if (!has(record, kListed)) fail(fmt::format("member {} of {} is not there", i + 1, members_));
      const std::size_t name = number<std::uint16_t>(record, 28);
      std::string text(name, '\0');
      read(text.data(), name, at + kListedBytes);
      at += kListedBytes + name + number<std::uint16_t>(record, 30) + number<std::uint16_t>(record, 32);
      if (at > list_end_) fail("it is longer than it claims");
      visit(std::move(text));
    }
    if (at != list_end_) fail("it is shorter than it claims");
  }

 private:
  template <typename Record>
  static bool has(const Record& record, std::string_view magic) {
    return std::equal(magic.begin(), magic.end(), record.begin(),
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
  }
  template <typename T, typename Record>
  static T number(const Record& record, std::size_t at) {
    const std::uint8_t* from = record.data() + at;
    return take<T>(from);
  }
  void read(void* to, std::size_t n, std::uint64_t at) const {
    if (at > size_ || read_at(file_.get(), to, n, at, path_) != n) fail("it is cut short");
  }
  template <std::size_t n>
  std::array<std::uint8_t, n> read(std::uint64_t at) const {
    std::array<std::uint8_t, n> out;
    read(out.data(), n, at);
    return out;
  }

  /// Where the record at the end begins: the last one, as readers look for it.
  std::uint64_t find_end() const {
    std::string tail(std::min<std::uint64_t>(size_, kEndBytes + kMaxComment), '\0');
    read(tail.data(), tail.size(), size_ - tail.size());
    const std::size_t found = tail.rfind(kEndOfList);
    if (found == std::string::npos || tail.size() - found < kEndBytes) fail("there is no end of it");
    return size_ - tail.size() + found;
  }

  void find_list() {
    const std::uint64_t end = find_end();
    const auto record = read<kEndBytes>(end);
    if (end + kEndBytes + number<std::uint16_t>(record, 20) != size_) fail("it is not at the end");
    std::uint64_t disks = number<std::uint32_t>(record, 4);
    std::uint64_t here = number<std::uint16_t>(record, 8), bytes = number<std::uint32_t>(record, 12);
    members_ = number<std::uint16_t>(record, 10);
    list_ = number<std::uint32_t>(record, 16);
    list_end_ = end;
    if (end >= kPlaceBytes)
      if (const auto place = read<kPlaceBytes>(end - kPlaceBytes); has(place, kPlaceOfEnd64)) {
        list_end_ = number<std::uint64_t>(place, 8);
        if (list_end_ > end || end - list_end_ != kEnd64Bytes + kPlaceBytes)
          fail("its end for large archives is elsewhere");
        const auto large = read<kEnd64Bytes>(list_end_);
        if (!has(large, kEndOfList64)) fail("its end for large archives is not there");
        const auto all = number<std::uint64_t>(large, 32), all_bytes = number<std::uint64_t>(large, 40),
                   at = number<std::uint64_t>(large, 48);
        disks |= number<std::uint64_t>(large, 16);
        // The small numbers are the same, or as large as they can be.
        const auto agree = [](std::uint64_t small, std::uint64_t value, std::uint64_t most) {
          return small == most || small == value;
        };
        if (!agree(members_, all, std::numeric_limits<std::uint16_t>::max()) ||
            !agree(bytes, all_bytes, std::numeric_limits<std::uint32_t>::max()) ||
            !agree(list_, at, std::numeric_limits<std::uint32_t>::max()))
          fail("its two ends contradict each other");
        here = number<std::uint64_t>(large, 24);
        members_ = all;
        bytes = all_bytes;
        list_ = at;
      }
    if (disks != 0 || here != members_) fail("it is spread over several files");
    if (list_ > list_end_ || list_end_ - list_ != bytes) fail("it is not where its end has it");
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(
        fmt::format("{}: begins as a zip archive, whose list of members cannot be relied on: {}; copy "
                    "it again, or save it again with torch.save",
                    path_.string(), why));
  }

  const std::filesystem::path path_;
  const FileHandle file_;
  std::uint64_t size_ = 0, members_ = 0, list_ = 0, list_end_ = 0;
};

}  // namespace

void for_each_zip_name(const std::filesystem::path& file,
                       const std::function<void(std::string name)>& visit) {
  ZipNames names(file);
  if (names.begins_as_zip()) names.visit(visit);
}

}  // namespace graft
