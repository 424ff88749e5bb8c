#include <source/walk.h>

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include <graft/error.h>
#include <source/words.h>

namespace graft::source {
namespace {

// Names in a folder, hidden ones left out.
std::vector<std::string> names_in(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder.c_str()), closedir);
  const auto fail = [&](int error) {
    throw Error("cannot list the folder " + folder + ": " + std::strerror(error) +
                (error == EACCES ? "; give yourself read and search permission, or move it away" : ""));
  };
  if (!dir) fail(errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) fail(errno);
      break;
    }
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Looks at a path; what is skipped is counted, and nothing is returned for it.
std::optional<struct stat> look(const std::string& path, bool follow_symlinks, Skipped& skipped) {
  const auto skip = [&](std::size_t& count) {
    ++count;
    skipped.example = path;
    return std::nullopt;
  };
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return skip(skipped.vanished);
    throw Error("cannot look at " + path + ": " + std::strerror(errno));
  }
  if (S_ISLNK(info.st_mode)) {
    if (!follow_symlinks) return skip(skipped.symlinks);
    if (stat(path.c_str(), &info) != 0) return skip(skipped.loops);
  }
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return skip(skipped.special);
  return info;
}

class Walk {
 public:
  Walk(std::string folder, bool follow_symlinks, Skipped& skipped)
      : root_(std::move(folder)), follow_symlinks_(follow_symlinks), skipped_(skipped) {}

  std::vector<FoundFile> run() {
    struct stat info {};
    if (stat(root_.c_str(), &info) == 0) above_.emplace_back(info.st_dev, info.st_ino);
    enter("");
    std::sort(files_.begin(), files_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(files_);
  }

 private:
  void enter(const std::string& relative) {
    for (const std::string& name : names_in(relative.empty() ? root_ : below(root_, relative))) {
      std::string path = relative.empty() ? name : below(relative, name);
      const auto info = look(below(root_, path), follow_symlinks_, skipped_);
      if (!info) continue;
      if (S_ISREG(info->st_mode)) {
        files_.push_back({std::move(path), static_cast<std::uint64_t>(info->st_size),
                          info->st_mtim.tv_sec * std::int64_t{1'000'000'000} + info->st_mtim.tv_nsec,
                          info->st_ctim.tv_sec * std::int64_t{1'000'000'000} + info->st_ctim.tv_nsec});
        continue;
      }
      const std::pair id(info->st_dev, info->st_ino);
      if (std::find(above_.begin(), above_.end(), id) != above_.end()) {
        ++skipped_.loops;
        skipped_.example = below(root_, path);
        continue;
      }
      above_.push_back(id);
      enter(path);
      above_.pop_back();
    }
  }

  std::string root_;
  bool follow_symlinks_;
  Skipped& skipped_;
  std::vector<std::pair<dev_t, ino_t>> above_;  ///< Folders from the root to the current one.
  std::vector<FoundFile> files_;
};

}  // namespace

void Skipped::tell(const std::function<void(const std::string&)>& warn) const {
  const auto one = [&](std::size_t n, const std::string& noun, const std::string& why) {
    if (n > 0) warn(plural(n, noun) + " skipped" + why + ", " + example + " for one");
  };
  one(symlinks, "symbolic link", " (follow_symlinks: true follows them)");
  one(special, "special file", " (only regular files are images)");
  one(loops, "dead or circular symbolic link", "");
  one(vanished, "file", " (removed while the folder was listed)");
}

std::string without_slash(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
}

std::vector<std::string> list_folders(const std::string& folder, bool follow_symlinks, Skipped& skipped,
                                      std::size_t& loose) {
  std::vector<std::string> folders;
  const std::string base = without_slash(folder);
  for (const std::string& name : names_in(base)) {
    const auto info = look(below(base, name), follow_symlinks, skipped);
    if (!info) continue;
    if (S_ISDIR(info->st_mode))
      folders.push_back(name);
    else
      ++loose;
  }
  return folders;
}

std::vector<FoundFile> list_files(const std::string& folder, bool follow_symlinks, Skipped& skipped) {
  return Walk(without_slash(folder), follow_symlinks, skipped).run();
}

}  // namespace graft::source
