#include "base/attempt.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <random>
#include <system_error>

#include <fmt/format.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::hours kStaleAge{1};

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  std::string host = name.data();
  std::replace(host.begin(), host.end(), '.', '-');
  return host.empty() ? "host" : host;
}

/// The first digits of the kernel's boot id, which all containers on a machine share.
const std::string& boot_id() {
  static const std::string kId = [] {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string id;
    in >> id;
    return id.substr(0, 8);
  }();
  return kId;
}

/// The second part of an attempt.
std::string boot_of(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::size_t first = name.find('.');
  if (first == std::string::npos) return {};
  return name.substr(first + 1, name.find('.', first + 1) - first - 1);
}

/// 0: unknown.
std::uint32_t type_of(int fd) {
  struct statfs info {};
  return ::fstatfs(fd, &info) == 0 ? static_cast<std::uint32_t>(info.f_type) : 0;
}

bool is_local_type(std::uint32_t type) {
  constexpr std::uint32_t kZfs = 0x2fc12fc1, kBcachefs = 0xca451a4e,
                          kExfat = 0x2011bab0;  // not in linux/magic.h
  constexpr std::array<std::uint32_t, 11> kLocal = {BTRFS_SUPER_MAGIC,
                                                    EXT4_SUPER_MAGIC,
                                                    F2FS_SUPER_MAGIC,
                                                    MSDOS_SUPER_MAGIC,
                                                    OVERLAYFS_SUPER_MAGIC,
                                                    RAMFS_MAGIC,
                                                    TMPFS_MAGIC,
                                                    XFS_SUPER_MAGIC,
                                                    kBcachefs,
                                                    kExfat,
                                                    kZfs};
  return std::find(kLocal.begin(), kLocal.end(), type) != kLocal.end();
}

}  // namespace

std::string new_attempt() {
  static const std::string kHost = host_name();
  std::random_device random;
  return fmt::format("{}.{}.{:08x}{:08x}", kHost, boot_id(), random(), random());
}

std::string attempt_of(const fs::path& file) {
  const std::string name = file.filename().string();
  std::size_t end = name.find('.');
  for (int dot = 1; dot < 3 && end != std::string::npos; ++dot) end = name.find('.', end + 1);
  return name.substr(0, end);
}

bool is_local(int fd) {
  return is_local_type(type_of(fd));
}

bool locks_tell_of(const fs::path& file, int fd) {
  const std::uint32_t type = type_of(fd);
  if (is_local_type(type)) return true;
  // Two containers may each have mounted a FUSE file system: its locks are those of one mount.
  return type != FUSE_SUPER_MAGIC && !boot_id().empty() && boot_of(file) == boot_id();
}

bool is_stale(const fs::path& file) {
  std::error_code error;
  const auto changed = fs::last_write_time(file, error);
  return !error && fs::file_time_type::clock::now() - changed > kStaleAge;
}

}  // namespace graft
