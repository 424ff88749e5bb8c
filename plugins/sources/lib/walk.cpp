#include <source/walk.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <graft/files.h>
#include <preview/preview_mark.h>

namespace graft::source {
namespace {

// Names in a folder.
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
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

constexpr const char* kDeadLink = "dead or circular symbolic link";
constexpr const char* kLeadsNowhere = "it leads nowhere, or back to a folder that holds it";

// Looks at a path; nothing is returned for what is skipped.
std::optional<struct stat> look(const std::string& path, bool follow_symlinks, const OnSkip& on_skip) {
  const auto skip = [&](const char* kind, const char* cure) {
    on_skip(kind, path, cure);
    return std::nullopt;
  };
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return skip("vanished file", "removed while the folder was listed");
    throw Error("cannot look at " + path + ": " + std::strerror(errno));
  }
  if (S_ISLNK(info.st_mode)) {
    if (!follow_symlinks) return skip("symbolic link", "follow_symlinks: true follows them");
    if (stat(path.c_str(), &info) != 0) return skip(kDeadLink, kLeadsNowhere);
  }
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
    return skip("special file", "only regular files are images");
  return info;
}

// The first bytes of a file; nothing for what cannot be read.
std::string head_of(const std::string& path) {
  std::array<char, 512> head{};
  const int file = open_regular_file(path);
  if (file < 0) return {};
  const ssize_t n = ::read(file, head.data(), head.size());
  ::close(file);
  return {head.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

// Files of which one is in every folder of results, every sweep and most stores, and what is at
// their beginning.
struct Mark {
  std::string_view name, first, more, still_more;
};
constexpr std::array kMarks{Mark{"manifest.json", "{", "\"graft\": \"", ""},
                            Mark{"status.json", "{", "\"status\": \"", "\"folder\": \""},
                            Mark{"sweep.json", "{", "\"metric\": \"", "\"combinations\": ["},
                            Mark{"digests.memo", "GRAFTMEM", "", ""}};

bool has(const std::string& folder, const Mark& mark) {
  const std::string head = head_of(folder + "/" + std::string(mark.name));
  return head.starts_with(mark.first) && head.find(mark.more) != std::string::npos &&
         head.find(mark.still_more) != std::string::npos;
}

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

// A store without a memo has a folder of tables, each named by its fingerprint.
bool has_tables(const std::string& folder) {
  const Folder dir(opendir((folder + "/tables").c_str()), closedir);
  bool any = false;
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.')) continue;
    if (name.size() != 32 || name.find_first_not_of("0123456789abcdef") != std::string_view::npos)
      return false;
    any = true;
  }
  return any;
}

bool is_marked(const std::string& folder) {
  return has_tables(folder) ||
         std::any_of(kMarks.begin(), kMarks.end(), [&](const Mark& mark) { return has(folder, mark); });
}

bool is_preview(const std::string& path) {
  return path.ends_with(".png") && std::string_view(head_of(path))
                                       .substr(0, preview::kPreviewMarkAt + preview::kPreviewMark.size())
                                       .ends_with(preview::kPreviewMark);
}

class Walk {
 public:
  Walk(std::string folder, bool follow_symlinks, const OnSkip& skip)
      : root_(std::move(folder)), follow_symlinks_(follow_symlinks), skip_(skip) {}

  std::vector<FoundFile> run() {
    struct stat info {};
    if (stat(root_.c_str(), &info) == 0) above_.emplace_back(info.st_dev, info.st_ino);
    enter("");
    std::sort(files_.begin(), files_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(files_);
  }

 private:
  void enter(const std::string& relative) {
    const std::string folder = relative.empty() ? root_ : root_ + "/" + relative;
    const std::vector<std::string> names = names_in(folder);
    // Not the root: whoever names it means it.
    if (!relative.empty() && is_output(folder, names)) {
      skip_("output folder", folder, "graft has written it; results, previews and stores are not input data");
      return;
    }
    for (const std::string& name : names) {
      std::string path = relative.empty() ? name : relative + "/" + name;
      if (name.starts_with('.')) {
        if (name != ".DS_Store" && !name.starts_with("._") && !name.starts_with(".git") &&
            !is_marked(root_ + "/" + path))
          skip_("hidden file or folder", root_ + "/" + path,
                "its name begins with a dot; rename it to use it");
        continue;
      }
      const auto info = look(root_ + "/" + path, follow_symlinks_, skip_);
      if (!info) continue;
      if (S_ISREG(info->st_mode)) {
        files_.push_back({std::move(path), static_cast<std::uint64_t>(info->st_size),
                          info->st_mtim.tv_sec * std::int64_t{1'000'000'000} + info->st_mtim.tv_nsec,
                          info->st_ctim.tv_sec * std::int64_t{1'000'000'000} + info->st_ctim.tv_nsec});
        continue;
      }
      const std::pair id(info->st_dev, info->st_ino);
      if (std::find(above_.begin(), above_.end(), id) != above_.end()) {
        skip_(kDeadLink, root_ + "/" + path, kLeadsNowhere);
        continue;
      }
      above_.push_back(id);
      enter(path);
      above_.pop_back();
    }
  }

  // For most folders a look at their names, or at one picture.
  static bool is_output(const std::string& folder, const std::vector<std::string>& names) {
    for (const Mark& mark : kMarks)
      if (std::binary_search(names.begin(), names.end(), mark.name) && has(folder, mark)) return true;
    if (std::binary_search(names.begin(), names.end(), "tables") && has_tables(folder)) return true;
    bool any = false;
    for (const std::string& name : names) {
      if (name.starts_with('.')) continue;
      if (!is_preview(folder + "/" + name)) return false;
      any = true;
    }
    return any;
  }

  std::string root_;
  bool follow_symlinks_;
  const OnSkip& skip_;
  std::vector<std::pair<dev_t, ino_t>> above_;  ///< Folders from the root to the current one.
  std::vector<FoundFile> files_;
};

}  // namespace

std::string without_slash(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
}

std::vector<std::string> list_folders(const std::string& folder, bool follow_symlinks) {
  std::vector<std::string> folders;
  const std::string base = without_slash(folder);
  for (const std::string& name : names_in(base)) {
    if (name.starts_with('.')) continue;
    const auto info = look(base + "/" + name, follow_symlinks, [](auto&&...) {});
    if (info && S_ISDIR(info->st_mode)) folders.push_back(name);
  }
  return folders;
}

bool is_output_folder(const std::string& folder) {
  if (is_marked(folder)) return true;
  const Folder dir(opendir(folder.c_str()), closedir);
  bool any = false;
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    const std::string name = entry->d_name, path = folder + "/" + name;
    if (name == "." || name == "..") continue;
    if (is_preview(path) || is_marked(path))
      any = true;
    else if (!name.starts_with('.'))
      return false;
  }
  return any;
}

std::vector<FoundFile> list_files(const std::string& folder, bool follow_symlinks, const OnSkip& skip) {
  return Walk(without_slash(folder), follow_symlinks, skip).run();
}

}  // namespace graft::source
