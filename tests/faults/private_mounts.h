#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace graft::test {

constexpr const char* kNoMounts = "may not mount file systems; run as root";

/// From here on mounts are this process's own and its children's; false where that is not allowed.
inline bool enter_private_mounts() {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// A file system mounted on a folder, which is made; gone with the object.
class Mount {
 public:
  Mount(const char* what, const std::filesystem::path& folder, const char* type, unsigned long flags,
        const char* options)
      : folder_(folder) {
    std::filesystem::create_directories(folder);
    if (::mount(what, folder.c_str(), type, flags, options) != 0) fail("mount");
  }
  ~Mount() { ::umount2(folder_.c_str(), MNT_DETACH); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  /// Mounts it again with other flags or options: larger, or read-only.
  void change(unsigned long flags, const char* options) const {
    if (::mount(nullptr, folder_.c_str(), nullptr, MS_REMOUNT | flags, options) != 0) fail("remount");
  }

 private:
  [[noreturn]] void fail(const char* doing) const {
    throw std::system_error(errno, std::generic_category(), std::string(doing) + " " + folder_.string());
  }
  std::filesystem::path folder_;
};

}  // namespace graft::test
