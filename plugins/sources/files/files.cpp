#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/file_names.h>
#include <graft/plugin.h>
#include <graft/text.h>
#include <source/archive_member.h>
#include <source/archive_reader.h>
#include <source/glob.h>
#include <source/walk.h>

#include "key_counter.h"
#include "line_reader.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::Reject;
using graft::source::ArchiveReader;
namespace fs = std::filesystem;

/// Lists files without labels: what paths, folders, patterns, lists and archives name, in their order.
/// Folders and patterns are listed when the stage is made; lists, the standard input and archives are read as
/// their entries are asked for, so that they may be longer than memory.
class Files final : public graft::ForwardSource {
 public:
  explicit Files(const graft::StageContext& context)
      : follow_symlinks_(context.params.get<bool>("follow_symlinks")),
        max_bytes_(context.params.get<std::uint64_t>("max_bytes")),
        warn_(context.warn),
        keep_waiting_([this, keep_waiting = context.keep_waiting] {
          interrupted_ = interrupted_ || (keep_waiting && !keep_waiting());
          return !interrupted_;
        }),
        given_(graft::joined(context.params.get<std::vector<std::string>>("paths"))) {
    for (const auto& path : context.params.get<std::vector<std::string>>("paths")) add(path);
    warn_of_skipped();
    if (total_ == 0U) none();
  }

  std::vector<std::string> classes() const override { return {}; }
  std::optional<std::size_t> count() override { return total_; }

  bool next(Entry& entry) override {
    current_ = {};
    for (;;) {
      if (archive_) {
        if (next_member()) break;
        continue;
      }
      const auto file = next_file();
      if (!file) return end();
      take(*file);
      if (!archive_) break;
    }
    ++listed_;
    entry.key = keys_.name(current_.key);
    // Nothing is trained on them, and nothing that is done to train rows alone is done to them.
    entry.split = graft::Split::Test;
    entry.payload = current_.payload;
    return true;
  }

  graft::Payload read_current() override {
    if (!current_.refusal.empty()) throw Reject(current_.code, current_.refusal);
    graft::source::require_usable(current_.fault);
    if (!current_.is_member) return current_.payload;
    auto data = std::make_shared<std::vector<std::uint8_t>>(archive_->read(max_bytes_));
    return graft::Bytes{data, data->data(), data->size()};
  }

 private:
  /// A path that was given, and what it stands for.
  struct Part {
    enum class Kind : std::uint8_t { File, Folder, List, StandardInput } kind = Kind::File;
    std::string path;
    std::vector<graft::source::FoundFile> found = {};  ///< Folder: the files in it that are wanted.
  };
  /// The entry that next gave last.
  struct Current {
    std::string key;
    graft::Payload payload;  ///< The file; nothing where there is no content to be remembered.
    bool is_member = false;  ///< What archive_ has just found.
    graft::source::ArchiveMember::Fault fault = graft::source::ArchiveMember::Fault::None;
    std::string code, refusal;
  };
  struct Skipped {
    std::size_t count = 0;
    std::string example, cure;
  };

  [[noreturn]] void none() const { throw Error("paths: expected files, got none in " + given_); }

  // What is known when the stage is made.

  void add(const std::string& path) {
    if (path.empty())
      throw Error("paths: one is empty: expected files, folders, patterns, lists, archives or -");
    struct stat info {};
    if (path == "-") {
      add_part({Part::Kind::StandardInput, path}, lines_of_standard_input());
    } else if (::stat(path.c_str(), &info) != 0) {
      if (!add_pattern(path)) add_part({Part::Kind::File, path}, 1);  // a reject: opening it finds the reason
    } else if (S_ISDIR(info.st_mode)) {
      add_folder(graft::source::without_slash(path), nullptr);
    } else if (graft::file_extension(path) == "txt" && S_ISREG(info.st_mode)) {
      add_part({Part::Kind::List, path}, lines_of(path));
    } else {
      add_part({Part::Kind::File, path}, files_in(path));
    }
  }

  /// `inputs`: where that is known without reading all of it.
  void add_part(Part part, std::optional<std::size_t> inputs) {
    parts_.push_back(std::move(part));
    total_ = total_ && inputs ? std::optional(*total_ + *inputs) : std::nullopt;
  }

  static std::optional<std::size_t> files_in(const std::string& path) {
    return graft::is_archive_name(path) ? std::nullopt : std::optional<std::size_t>(1);
  }

  /// How many inputs a list names; nothing where an archive is among them.
  static std::optional<std::size_t> lines_of(const std::string& path) {
    LineReader list(path);
    std::size_t lines = 0;
    bool archives = false;
    for (auto line = list.next(); line; line = list.next(), ++lines)
      archives = archives || graft::is_archive_name(*line);
    return archives ? std::nullopt : std::optional(lines);
  }

  /// Where it is a file from its beginning, which can be read twice.
  static std::optional<std::size_t> lines_of_standard_input() {
    struct stat info {};
    if (::fstat(STDIN_FILENO, &info) != 0 || !S_ISREG(info.st_mode) ||
        ::lseek(STDIN_FILENO, 0, SEEK_CUR) != 0)
      return {};
    try {
      return lines_of("/proc/self/fd/0");
    } catch (const Error&) {  // it is named when it is read
      return {};
    }
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
    if (add_folder(folder, &glob) == 0) throw Error("paths: no file matches '" + path + "'");
    return true;
  }

  std::size_t add_folder(const std::string& folder, const graft::source::Glob* glob) {
    Part part{Part::Kind::Folder, folder};
    part.found = graft::source::list_files(folder, follow_symlinks_, on_skip());
    if (glob != nullptr)
      std::erase_if(part.found, [&](const auto& file) { return !glob->matches(file.path); });
    const std::size_t files = part.found.size();
    const bool archives = std::any_of(part.found.begin(), part.found.end(),
                                      [](const auto& file) { return graft::is_archive_name(file.path); });
    add_part(std::move(part), archives ? std::nullopt : std::optional(files));
    return files;
  }

  graft::source::OnSkip on_skip() {
    return [this](const std::string& kind, const std::string& path, const std::string& cure) {
      Skipped& skipped = skipped_[kind];
      if (++skipped.count == 1) skipped = {1, path, cure};
    };
  }

  void warn_of_skipped() {
    for (const auto& [kind, skipped] : std::exchange(skipped_, {}))
      warn_(graft::plural(skipped.count, kind) + " skipped, for example " + skipped.example + " (" +
            skipped.cure + ")");
  }

  // What is found as entries are asked for.

  bool end() {
    warn_of_skipped();
    if (listed_ == 0 && !interrupted_) none();
    return false;
  }

  /// The next file that is named; what is known of it but its path may have changed since.
  std::optional<graft::FileRef> next_file() {
    for (; part_ < parts_.size(); ++part_) {
      Part& part = parts_[part_];
      if (part.kind == Part::Kind::File) {
        ++part_;
        return examined(part.path);
      }
      if (part.kind == Part::Kind::Folder) {
        if (found_ < part.found.size()) return found_file(part.path, part.found[found_++]);
        found_ = 0;
        part.found = {};
        continue;
      }
      const bool standard = part.kind == Part::Kind::StandardInput;
      if (!list_)
        list_ =
            standard ? std::make_unique<LineReader>(keep_waiting_) : std::make_unique<LineReader>(part.path);
      if (const auto line = list_->next()) {
        // Relative to the folder of the list.
        const std::string folder = standard ? "" : fs::path(part.path).parent_path().string();
        return examined(folder.empty() || line->starts_with('/') ? *line
                                                                 : (fs::path(folder) / *line).string());
      }
      list_.reset();
    }
    return {};
  }

  static graft::FileRef found_file(const std::string& folder, const graft::source::FoundFile& file) {
    const std::string path = folder == "."   ? file.path
                             : folder == "/" ? "/" + file.path
                                             : folder + "/" + file.path;
    return {path, file.size, file.mtime_ns, {}, file.ctime_ns};
  }

  static graft::FileRef examined(const std::string& path) {
    struct stat info {};
    (void)::stat(path.c_str(), &info);  // a file that is not there is a reject when it is opened
    const auto ns = [](const timespec& time) {
      return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_nsec};
    };
    return {path, static_cast<std::uint64_t>(info.st_size), ns(info.st_mtim), {}, ns(info.st_ctim)};
  }

  /// Makes a file the current entry, or opens it, where it is an archive.
  void take(const graft::FileRef& file) {
    std::error_code error;
    if (!graft::is_archive_name(file.path) || !fs::is_regular_file(file.path, error)) {
      current_.key = file.path;
      current_.payload = file;
      return;
    }
    archive_file_ = file;
    members_ = 0;
    try {
      archive_ = std::make_unique<ArchiveReader>(graft::source::archive_file(file.path));
    } catch (const Error& e) {
      refuse_archive("corrupt", e.what());
    }
  }

  /// The entry is the archive itself.
  void refuse_archive(const std::string& code, const std::string& why) {
    archive_.reset();
    current_ = {};
    current_.key = archive_file_.path;
    current_.code = code;
    current_.refusal = why;
  }

  /// Makes the archive's next image the current entry; where it is damaged or has none, the archive itself.
  /// False at its end.
  bool next_member() {
    const graft::source::OnSkip skip = on_skip();
    try {
      while (archive_->next()) {
        const auto member = graft::source::archive_member(*archive_, skip);
        if (!member) continue;
        if (!graft::is_image_extension(graft::file_extension(member->name))) {
          skip("archive member without the extension of an image", archive_file_.path + "/" + member->name,
               "rename it to use it");
          continue;
        }
        ++members_;
        current_.key = archive_file_.path + "/" + member->name;
        current_.is_member = true;
        current_.fault = member->fault;
        // What read_current refuses has no content that could be remembered.
        if (member->fault == graft::source::ArchiveMember::Fault::None &&
            archive_->size().value_or(0) <= max_bytes_) {
          graft::FileRef file = archive_file_;
          // By its place, too: an archive may have a name twice, with other content.
          file.member = std::to_string(archive_->count()) + "/" + member->name;
          current_.payload = std::move(file);
        }
        return true;
      }
    } catch (const Error& e) {
      refuse_archive("corrupt", e.what());
      return true;
    }
    if (members_ == 0) {
      refuse_archive("no-images", "the archive holds no file whose name has the extension of an image");
      return true;
    }
    archive_.reset();
    return false;
  }

  const bool follow_symlinks_;
  const std::uint64_t max_bytes_;
  const std::function<void(const std::string&)> warn_;
  const std::function<bool()> keep_waiting_;
  bool interrupted_ = false;
  const std::string given_;  ///< The paths, for messages.
  std::vector<Part> parts_;
  std::optional<std::size_t> total_ = 0;
  std::map<std::string, Skipped> skipped_;
  KeyCounter keys_;
  std::size_t listed_ = 0;

  std::size_t part_ = 0, found_ = 0;  ///< Positions in parts_, and in the files of a folder.
  std::unique_ptr<LineReader> list_;  ///< Of the part, where it is a list.
  std::unique_ptr<ArchiveReader> archive_;
  graft::FileRef archive_file_;
  std::size_t members_ = 0;  ///< Images that the archive has had so far.
  Current current_;
};

}  // namespace

GRAFT_PLUGIN(
    files, "1.0.0", Files,
    graft::PluginSchema::source("Lists files without labels: paths, folders, patterns, lists and archives.")
        .output("out", graft::PortType::Bytes, "u8[?]",
                "The files, in the order of the paths; all are of test.")
        .param(
            graft::list("paths", graft::text("path"))
                .or_scalar()
                .items(1, 1'000'000)
                .required()
                .doc("Files, in this order; relative paths start in the current folder. A folder stands for "
                     "all files below it, a path with *, ? or [ for those that match it (** for any number "
                     "of folders), a .txt file for the paths in it, one per line, and - for those of the "
                     "standard input. Each of these files may be a tar or zip archive, which stands for the "
                     "images in it."))
        .param(graft::integer("max_bytes", 100 << 20)
                   .range(1, 2147483647)
                   .unit("bytes")
                   .doc("Longer members of archives are rejected, whatever their header says."))
        .param(graft::flag("follow_symlinks", false)
                   .doc("Follow symbolic links in folders; a path that is given is followed in any case."))
        .example(R"(name: files
stages:
  images: {plugin: files, with: {paths: "${GRAFT_SHARE}"}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
)"))
