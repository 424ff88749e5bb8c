#include <source/rooted_paths.h>

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include <graft/error.h>
#include <source/walk.h>

namespace graft::source {
namespace {

/// Without links, "." and ".."; nothing when there is no such file.
std::optional<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  if (!real) return {};
  return real.get();
}

}  // namespace

ParamSpec RootedPaths::parameter() {
  return flag("allow_outside", false)
      .doc(
          "Read files outside the root, too: absolute paths, paths with '..', links that lead out of it; "
          "otherwise they are rejected.");
}

RootedPaths::RootedPaths(const std::string& root, const Params& params)
    : root_(without_slash(root)), allow_outside_(params.get<bool>("allow_outside")) {
  const auto real = real_path(root_);
  if (!real) throw Error("cannot find the folder " + root_ + ": " + std::strerror(errno));
  real_root_ = *real;
}

bool RootedPaths::inside(const std::string& real) const {
  if (real_root_ == "/" || real == real_root_) return true;
  return real.size() > real_root_.size() && real.starts_with(real_root_) && real[real_root_.size()] == '/';
}

bool RootedPaths::folder_inside(const std::string& folder) {
  const auto [at, fresh] = folders_.try_emplace(folder, false);
  if (fresh) {
    const auto real = real_path(folder);
    at->second = real && inside(*real);
  }
  return at->second;
}

FileRef RootedPaths::look(const std::string& path) {
  FileRef file{path.starts_with('/') ? path : root_ + "/" + path};
  struct stat info {};
  if (::lstat(file.path.c_str(), &info) != 0) return file;
  bool fine = allow_outside_;
  if (S_ISLNK(info.st_mode)) {
    const auto real = real_path(file.path);
    if (!real || ::stat(file.path.c_str(), &info) != 0) return file;
    fine = fine || inside(*real);
  } else {
    fine = fine || folder_inside(file.path.substr(0, file.path.rfind('/') + 1));
  }
  if (!fine || !S_ISREG(info.st_mode)) return file;
  file.size = static_cast<std::uint64_t>(info.st_size);
  file.mtime_ns = info.st_mtim.tv_sec * std::int64_t{1'000'000'000} + info.st_mtim.tv_nsec;
  file.ctime_ns = info.st_ctim.tv_sec * std::int64_t{1'000'000'000} + info.st_ctim.tv_nsec;
  return file;
}

FileRef RootedPaths::checked(const FileRef& file) const {
  if (allow_outside_) return file;
  // A path to nothing is compared by its text, and opened as it stands: without its "..", it may lead to a
  // file.
  const auto real = real_path(file.path);
  const std::string leads_to = real.value_or(std::filesystem::path(file.path).lexically_normal().string());
  const bool under_root = !real && leads_to.starts_with(root_ == "/" ? root_ : root_ + "/");
  if (!under_root && !inside(leads_to))
    throw Reject("outside-root", "the path leads to " + leads_to + ", outside the root " + root_ +
                                     "; move the file below the root, or set allow_outside: true");
  return {real.value_or(file.path), file.size, file.mtime_ns, file.member, file.ctime_ns};
}

}  // namespace graft::source
