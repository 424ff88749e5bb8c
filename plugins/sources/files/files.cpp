#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/plugin.h>
#include <graft/text.h>
#include <source/file_names.h>
#include <source/glob.h>
#include <source/walk.h>

namespace {

using graft::Entry;
using graft::Error;
namespace fs = std::filesystem;

/// Lists files without labels: what paths, folders and patterns name, in their order. All is listed, and
/// nothing opened but lists of paths, when the stage is made.
class Files final : public graft::Source {
 public:
  explicit Files(const graft::StageContext& context)
      : follow_symlinks_(context.params.get<bool>("follow_symlinks")), warn_(context.warn) {
    for (const auto& path : context.params.get<std::vector<std::string>>("paths")) add(path);
    for (const auto& [kind, skipped] : skipped_)
      warn_(graft::plural(skipped.count, kind) + " skipped, for example " + skipped.example + " (" +
            skipped.cure + ")");
    if (files_.empty())
      throw Error("paths: expected files, got none in " +
                  graft::joined(context.params.get<std::vector<std::string>>("paths")));
  }

  std::vector<std::string> classes() const override { return {}; }
  std::optional<std::size_t> count() override { return files_.size(); }

  bool next(Entry& entry) override {
    if (position_ == files_.size()) return false;
    const File& file = files_[position_++];
    entry.key = file.key;
    if (file.copy > 0) entry.key += "#" + std::to_string(file.copy + 1);
    // Nothing is trained on them, and nothing that is done to train rows alone is done to them.
    entry.split = graft::Split::Test;
    entry.payload = graft::FileRef{file.key, file.size, file.mtime_ns, {}, file.ctime_ns};
    return true;
  }

 private:
  struct File {
    std::string key;
    std::uint64_t size;
    std::int64_t mtime_ns, ctime_ns;
    std::size_t copy;  ///< How often the path came before.
  };
  struct Skipped {
    std::size_t count = 0;
    std::string example, cure;
  };

  void add(const std::string& path) {
    struct stat info {};
    if (path == "-") {
      add_lines(std::cin, "the standard input", "");
    } else if (::stat(path.c_str(), &info) != 0) {
      if (!add_pattern(path)) add_file(path, info);  // a reject: its reason is found when it is opened
    } else if (S_ISDIR(info.st_mode)) {
      add_folder(graft::source::without_slash(path), nullptr);
    } else if (graft::source::extension(path) == "txt" && S_ISREG(info.st_mode)) {
      std::ifstream in(path, std::ios::binary);
      if (!in) throw Error("paths: cannot read the list " + path);
      add_lines(in, path, fs::path(path).parent_path().string());
    } else {
      add_file(path, info);
    }
  }

  /// A path per line, relative to `folder`.
  void add_lines(std::istream& in, const std::string& list, const std::string& folder) {
    std::string line;
    for (bool first = true; std::getline(in, line); first = false) {
      if (first && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
      if (line.ends_with('\r')) line.pop_back();
      if (line.empty()) continue;
      if (line.find('\0') != std::string::npos)
        throw Error("paths: " + list + ": a path with a NUL byte: expected one path per line");
      const std::string path =
          folder.empty() || line.starts_with('/') ? line : (fs::path(folder) / line).string();
      struct stat info {};
      (void)::stat(path.c_str(), &info);
      add_file(path, info);
    }
    if (in.bad()) throw Error("paths: cannot read " + list);
  }

  /// False: it is no pattern.
  bool add_pattern(const std::string& path) {
    const std::size_t special = path.find_first_of("*?[");
    if (special == std::string::npos) return false;
    const std::size_t slash = path.rfind('/', special);
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    // A slash at the beginning: the pattern is for the whole path below the folder.
    const graft::source::Glob glob("/" + path.substr(slash == std::string::npos ? 0 : slash + 1),
                                   graft::source::Glob::Case::Either);
    std::error_code error;
    if (!fs::is_directory(folder, error)) throw Error("paths: '" + path + "': there is no folder " + folder);
    const std::size_t before = files_.size();
    add_folder(folder, &glob);
    if (files_.size() == before) throw Error("paths: no file matches '" + path + "'");
    return true;
  }

  void add_folder(const std::string& folder, const graft::source::Glob* glob) {
    const auto skip = [this](const std::string& kind, const std::string& path, const std::string& cure) {
      Skipped& skipped = skipped_[kind];
      if (++skipped.count == 1) skipped = {1, path, cure};
    };
    for (const graft::source::FoundFile& file : graft::source::list_files(folder, follow_symlinks_, skip)) {
      if (glob != nullptr && !glob->matches(file.path)) continue;
      const std::string path = folder == "."   ? file.path
                               : folder == "/" ? "/" + file.path
                                               : folder + "/" + file.path;
      files_.push_back({path, file.size, file.mtime_ns, file.ctime_ns, copies_[path]++});
    }
  }

  void add_file(const std::string& path, const struct stat& info) {
    const auto ns = [](const timespec& time) {
      return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_nsec};
    };
    files_.push_back({path, static_cast<std::uint64_t>(info.st_size), ns(info.st_mtim), ns(info.st_ctim),
                      copies_[path]++});
  }

  const bool follow_symlinks_;
  const std::function<void(const std::string&)> warn_;
  std::vector<File> files_;
  std::map<std::string, std::size_t> copies_;
  std::map<std::string, Skipped> skipped_;
  std::size_t position_ = 0;
};

}  // namespace

GRAFT_PLUGIN(
    files, "1.0.0", Files,
    graft::PluginSchema::source("Lists files without labels: paths, folders, patterns and lists.")
        .output("out", graft::PortType::Bytes, "u8[?]",
                "The files, in the order of the paths; all are of test.")
        .param(graft::list("paths", graft::text("path"))
                   .or_scalar()
                   .items(1, 1'000'000)
                   .required()
                   .doc("Files, in this order; relative paths start in the current folder. A folder stands "
                        "for all "
                        "files below it, a path with *, ? or [ for those that match it (** for any number "
                        "of folders), a .txt file for the paths in it, one per line, and - for those of the "
                        "standard input."))
        .param(graft::flag("follow_symlinks", false)
                   .doc("Follow symbolic links in folders; a path that is given is followed in any case."))
        .example(R"(name: files
stages:
  images: {plugin: files, with: {paths: "${GRAFT_SHARE}"}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
)"))
