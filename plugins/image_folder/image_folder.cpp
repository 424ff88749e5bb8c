#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <graft/plugin.h>

#include "walk.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::Split;

// "a, b, c and 7 more"
std::string joined(const std::vector<std::string>& words) {
  constexpr std::size_t kShown = 10;
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < kShown; ++i) out += (i == 0 ? "" : ", ") + words[i];
  if (words.size() > kShown) out += " and " + std::to_string(words.size() - kShown) + " more";
  return out;
}

graft::ParamSpec split_folders(const std::string& split) {
  return graft::list(split, graft::text("")).or_scalar().doc("Folders whose images are " + split + ".");
}

std::string plural(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// Lists image files: one folder per class, at the top or inside folders that stand for splits.
///
/// Everything is listed, and nothing opened, when the stage is made; `next` copies from the list, on one
/// thread.
class ImageFolder final : public graft::Source {
 public:
  explicit ImageFolder(const graft::StageContext& context)
      : root_(context.params.get<std::string>("root")),
        follow_symlinks_(context.params.get<bool>("follow_symlinks")),
        warn_(context.warn) {
    while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
    std::vector<std::pair<std::string, Split>> splits;
    std::vector<Split> given;
    if (context.params.has("splits")) {
      for (const Split split : {Split::Train, Split::Val, Split::Test}) {
        const auto folders =
            context.params.object("splits").get<std::vector<std::string>>(graft::to_string(split));
        for (const std::string& name : folders) splits.emplace_back(name, split);
        if (!folders.empty()) given.push_back(split);
      }
      if (splits.empty()) throw Error("splits: expected a folder for train, val or test, got none");
    }
    const graft::SplitRule rule(context.params, given);
    if (splits.empty())
      list_classes("", [&](const std::string& key) { return rule.hashed(key); });
    else
      list_splits(splits, rule);
    if (files_.empty()) no_files();
    number_classes();
    std::sort(files_.begin(), files_.end(), [](const File& a, const File& b) { return a.key < b.key; });
    warn_skipped();
    warn_classes();
  }

  std::vector<std::string> classes() const override { return classes_; }
  std::optional<std::size_t> count() override { return files_.size(); }

  bool next(Entry& entry) override {
    if (position_ == files_.size()) return false;
    const File& file = files_[position_++];
    entry = Entry{file.key, file.split, {file.label}, {}, {}};
    entry.payload = graft::FileRef{root_ + "/" + file.key, file.size, file.mtime_ns};
    return true;
  }

 private:
  struct File {
    std::string key;
    std::uint64_t size;
    std::int64_t mtime_ns;
    std::int32_t label;
    Split split;
  };

  // The class folders in `prefix` (relative to the root, with a slash at the end, or empty).
  template <typename SplitOf>
  void list_classes(const std::string& prefix, SplitOf split_of) {
    std::size_t loose = 0;
    for (const std::string& name : list_folders(root_ + "/" + prefix, follow_symlinks_, skipped_, loose)) {
      const auto label = static_cast<std::int32_t>(
          label_of_.try_emplace(name, static_cast<std::int32_t>(label_of_.size())).first->second);
      for (FoundFile& found : list_files(root_ + "/" + prefix + name, follow_symlinks_, skipped_)) {
        std::string key = prefix + name + "/" + found.path;
        const Split split = split_of(key);
        files_.push_back({std::move(key), found.size, found.mtime_ns, label, split});
      }
    }
    if (loose > 0)
      warn_(plural(loose, "file") + " directly in " + root_ + "/" + prefix +
            " ignored: not in a class folder");
  }

  void list_splits(const std::vector<std::pair<std::string, Split>>& splits, const graft::SplitRule& rule) {
    std::size_t loose = 0;
    std::vector<std::string> there = list_folders(root_, true, unused_, loose);
    for (const auto& [name, split] : splits) {
      // A folder named by the user is followed even when it is a link; what is merely found is not.
      if (std::find(there.begin(), there.end(), name) == there.end())
        throw Error("splits: expected a folder '" + name + "' in " + root_ + ", got " +
                    (there.empty() ? "no folder at all" : "only " + joined(there)) +
                    "; name the folders that are there, or leave splits out to divide by a hash of the key");
    }
    for (const auto& [name, split] : splits)
      list_classes(name + "/", [&](const std::string& key) { return rule.given(key, split); });
    std::vector<std::string> ignored;
    for (const std::string& name : there)
      if (std::none_of(splits.begin(), splits.end(), [&](const auto& s) { return s.first == name; }))
        ignored.push_back(name);
    if (!ignored.empty())
      warn_("ignored in " + root_ + ", because splits does not name " +
            (ignored.size() == 1 ? "it" : "them") + ": " + joined(ignored));
  }

  [[noreturn]] void no_files() const {
    const std::string seen = skipped_.symlinks > 0 && !follow_symlinks_
                                 ? " (there are symbolic links; follow_symlinks: true follows them)"
                                 : "";
    if (label_of_.empty())
      throw Error("expected one folder per class in " + root_ + ", got none" + seen +
                  "; the layout is root/CLASS/IMAGE, or root/SPLIT/CLASS/IMAGE with splits");
    throw Error("expected image files in the class folders of " + root_ + ", got none" + seen);
  }

  // Labels in the order of the sorted names; folders without a single file make no class.
  void number_classes() {
    std::set<std::int32_t> used;
    for (const File& file : files_) used.insert(file.label);
    std::vector<std::int32_t> final_label(label_of_.size(), -1);
    std::vector<std::string> empty;
    for (const auto& [name, label] : label_of_) {
      if (!used.contains(label)) {
        empty.push_back(name);
        continue;
      }
      final_label[static_cast<std::size_t>(label)] = static_cast<std::int32_t>(classes_.size());
      classes_.push_back(name);
    }
    for (File& file : files_) file.label = final_label[static_cast<std::size_t>(file.label)];
    if (!empty.empty()) warn_("no files in the class folders, so these are no classes: " + joined(empty));
  }

  void warn_skipped() const {
    const auto tell = [&](std::size_t n, const std::string& noun, const std::string& why) {
      if (n > 0) warn_(plural(n, noun) + " skipped" + why + ", " + skipped_.example + " for one");
    };
    tell(skipped_.symlinks, "symbolic link", " (follow_symlinks: true follows them)");
    tell(skipped_.special, "special file", " (only regular files are images)");
    tell(skipped_.loops, "dead or circular symbolic link", "");
    tell(skipped_.vanished, "file", " (removed while the folder was listed)");
  }

  void warn_classes() const {
    constexpr std::size_t kFew = 20;
    std::vector<std::size_t> total(classes_.size());
    std::vector<std::map<Split, std::size_t>> by_split(classes_.size());
    std::set<Split> splits;
    for (const File& file : files_) {
      ++total[static_cast<std::size_t>(file.label)];
      ++by_split[static_cast<std::size_t>(file.label)][file.split];
      splits.insert(file.split);
    }
    std::vector<std::string> small;
    for (std::size_t c = 0; c < classes_.size(); ++c)
      if (total[c] < kFew) small.push_back(classes_[c] + " (" + std::to_string(total[c]) + ")");
    for (const Split split : splits) {
      std::vector<std::string> missing;
      for (std::size_t c = 0; c < classes_.size(); ++c)
        if (!by_split[c].contains(split)) missing.push_back(classes_[c]);
      if (!missing.empty())
        warn_(std::string("classes without an image in the ") + graft::to_string(split) +
              " split: " + joined(missing));
    }
    if (!small.empty())
      warn_("classes with fewer than " + std::to_string(kFew) +
            " images, whose figures will be unsure: " + joined(small));
  }

  std::string root_;
  bool follow_symlinks_;
  std::function<void(const std::string&)> warn_;
  std::map<std::string, std::int32_t> label_of_;  ///< In order of discovery until number_classes.
  std::vector<std::string> classes_;
  std::vector<File> files_;
  std::size_t position_ = 0;
  Skipped skipped_, unused_;
};

}  // namespace

GRAFT_PLUGIN(
    image_folder, "1.0.0", ImageFolder,
    graft::PluginSchema::source("Lists image files: one folder per class, split by folders or by a hash.")
        .output("out", graft::PortType::Bytes, "u8[?]",
                "The files, in the order of their paths; the key is the path below the root.")
        .param(graft::folder("root").required().doc(
            "Folder with one sub-folder per class, or with one per split that holds those."))
        .param(
            graft::object("splits", {split_folders("train"), split_folders("val"), split_folders("test")})
                .optional()
                .doc("The folders directly in the root that make up each split; left out: the folders in the "
                     "root are the classes, and a hash of the key decides."))
        .param(graft::flag("follow_symlinks", false)
                   .doc("Follow symbolic links to files and folders, also out of the root."))
        .params_from(graft::SplitRule::parameters())
        .example(R"(name: image-folder-example
stages:
  images:
    plugin: image_folder
    with: {root: "${PHOTOS:-.}", val_fraction: 0.2, test_fraction: 0.2}
  pixels: {plugin: decode, from: images}
  table: {plugin: pixel_table, from: pixels}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
