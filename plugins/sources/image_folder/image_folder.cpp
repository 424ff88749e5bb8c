#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <graft/file_names.h>
#include <graft/plugin.h>
#include <graft/text.h>
#include <source/folder_labels.h>
#include <source/glob.h>
#include <source/walk.h>

namespace {

using graft::Entry;
using graft::Error;
using graft::joined;
using graft::plural;

/// Lists image files below a folder: their folders name the classes, and the splits if configured.
///
/// Everything is listed, and nothing opened, when the stage is made; `next` copies from the list, on one
/// thread.
class ImageFolder final : public graft::Source {
 public:
  explicit ImageFolder(const graft::StageContext& context)
      : root_(graft::source::without_slash(context.params.get<std::string>("root"))),
        follow_symlinks_(context.params.get<bool>("follow_symlinks")),
        labels_(context.params),
        filter_(context.params),
        catalog_(context) {
    std::vector<Found> found;
    if (labels_.splits().empty()) {
      list("", found);
    } else {
      // A folder named by the user is followed even when it is a link; what is merely found is not.
      for (const std::string& folder : graft::source::list_folders(root_, true)) labels_.see(folder);
      labels_.find_splits(root_);
      for (const auto& entry : std::filesystem::directory_iterator(root_))
        if (const std::string name = entry.path().filename().string();
            !entry.is_directory() && !name.starts_with('.'))
          skip_("file beside the folders of the splits", root_ + "/" + name,
                "move it into one of them to use it");
      std::set<std::string> listed;
      for (const auto& [name, split] : labels_.splits())
        if (listed.insert(name).second) list(name + "/", found);
    }
    if (found.empty()) no_files();
    std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.key < b.key; });
    labels_.report(root_, context.warn, skip_);
    warn_empty_folders(found, context.warn);
    warn_only_folder(found, context.warn);
    warn_other_files(found, context.warn);
    if (!filter_.unused().empty())
      context.warn("patterns that no file in " + root_ + " matches: " + joined(filter_.unused()));
    for (Found& file : found) {
      catalog_.add(std::move(file.key), file.place.labels, file.place.split, files_.size());
      files_.push_back(file.stamp);
    }
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    const Stamp& stamp = files_[catalog_.found_at(position_)];
    entry = catalog_.entry(position_++);
    entry.payload = graft::FileRef{root_ + "/" + entry.key, stamp.size, stamp.mtime_ns, {}, stamp.ctime_ns};
    return true;
  }

 private:
  struct Stamp {
    std::uint64_t size;
    std::int64_t mtime_ns, ctime_ns;
  };
  struct Found {
    std::string key;
    Stamp stamp;
    graft::source::FolderLabels::Place place;
  };

  /// The files in `prefix` (relative to the root, with a slash at the end, or empty).
  void list(const std::string& prefix, std::vector<Found>& found) {
    if (labels_.has_classes()) {
      // Listed once more by name: a class folder without a file in it gets a warning.
      for (std::string& name : graft::source::list_folders(root_ + "/" + prefix, follow_symlinks_))
        if (!graft::source::is_output_folder(root_ + "/" + prefix + name))
          class_folders_.insert(std::move(name));
    }
    for (auto& file : graft::source::list_files(root_ + "/" + prefix, follow_symlinks_, skip_)) {
      std::string key = prefix + file.path;
      if (!filter_.takes(key, root_, skip_)) continue;
      if (auto place = labels_.place(key))
        found.push_back({std::move(key), {file.size, file.mtime_ns, file.ctime_ns}, std::move(*place)});
    }
  }

  /// After a warning about what was found instead.
  [[noreturn]] void no_files() {
    catalog_.close();
    if (filter_.left_out() > 0)
      throw Error("expected image files in " + root_ + ", got none: include and exclude leave out " +
                  plural(filter_.left_out(), "file"));
    if (labels_.has_classes() && class_folders_.empty())
      throw Error("expected one folder per class in " + root_ +
                  ", got none; the layout is root/CLASS/IMAGE, or root/SPLIT/CLASS/IMAGE with splits; "
                  "label_from: none takes images without a class");
    throw Error("expected image files in " +
                std::string(labels_.has_classes() ? "the class folders of " : "") + root_ + ", got none");
  }

  /// A file with a non-image extension will be rejected when it is decoded, so warn first.
  void warn_other_files(const std::vector<Found>& found,
                        const std::function<void(const std::string&)>& warn) const {
    std::map<std::string, std::size_t> other, images;
    std::size_t others = 0;
    for (const Found& file : found) {
      const std::string extension = graft::file_extension(file.key);
      if (extension.empty()) continue;
      if (graft::is_image_extension(extension)) {
        ++images[extension];
      } else {
        ++other[extension];
        ++others;
      }
    }
    if (others == 0) return;
    std::vector<std::string> counts, patterns;
    for (const auto& [extension, n] : other)
      counts.push_back("." + extension + " (" + std::to_string(n) + ")");
    for (const auto& [extension, n] : images) patterns.push_back("\"*." + extension + "\"");
    warn(plural(others, "file") + " of " + std::to_string(found.size()) + " with a non-image extension: " +
         joined(counts) + (images.empty() ? "" : "; include: [" + joined(patterns) + "] takes the rest"));
  }

  void warn_empty_folders(const std::vector<Found>& found,
                          const std::function<void(const std::string&)>& warn) const {
    std::set<std::string> empty = class_folders_;
    for (const Found& file : found)
      for (const std::string& label : file.place.labels) empty.erase(label.substr(0, label.find('/')));
    if (!empty.empty())
      warn("class folders without usable files, skipped: " + joined({empty.begin(), empty.end()}));
  }

  /// A folder around the folders of the classes: archives often unpack to one.
  void warn_only_folder(const std::vector<Found>& found,
                        const std::function<void(const std::string&)>& warn) const {
    if (!labels_.splits().empty() || class_folders_.size() != 1) return;
    const std::string& only = *class_folders_.begin();
    std::set<std::string> inner;
    for (const Found& file : found) {
      const std::size_t start = only.size() + 1, end = file.key.find('/', start);
      if (!file.key.starts_with(only + "/") || end == std::string::npos ||
          file.place.labels != std::vector{only})
        return;
      inner.insert(file.key.substr(start, end - start));
    }
    if (inner.size() > 1)
      warn("there is one class, '" + only +
           "', whose folder has folders itself: " + joined({inner.begin(), inner.end()}) +
           "; if these are the classes, set root to " + root_ + "/" + only);
  }

  const std::string root_;
  const bool follow_symlinks_;
  graft::source::FolderLabels labels_;
  graft::source::PathFilter filter_;
  std::set<std::string> class_folders_;
  std::vector<Stamp> files_;
  graft::Catalog catalog_;
  const graft::source::OnSkip skip_ = [this](const auto& kind, const auto& path, const auto& cure) {
    catalog_.skipped(kind, path, cure);
  };
  std::size_t position_ = 0;
};

}  // namespace

GRAFT_PLUGIN(image_folder, "1.0.0", ImageFolder,
             graft::PluginSchema::source("Lists image files below a folder: classes and splits from folders.")
                 .output("out", graft::PortType::Bytes, "u8[?]",
                         "The files, in the order of their paths; the key is the path below the root.")
                 .param(graft::folder("root").required().doc(
                     "Folder with one sub-folder per class, or with one per split that holds those."))
                 .params_from(graft::source::FolderLabels::parameters())
                 .params_from(graft::source::PathFilter::parameters())
                 .param(graft::flag("follow_symlinks", false)
                            .doc("Follow symbolic links to files and folders, also out of the root."))
                 .params_from(graft::Catalog::parameters())
                 .example(R"(name: image-folder-example
stages:
  images:
    plugin: image_folder
    with: {root: "${PHOTOS:-.}", val_fraction: 0.2, test_fraction: 0.2}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
