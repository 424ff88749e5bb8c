#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <graft/item.h>
#include <graft/params.h>
#include <source/walk.h>
#include <split_names/split_names.h>

namespace graft::source {

/// What the folders in a path say of the file: its split and its class, by the rules that all sources of
/// files in folders share. Used by one thread.
class FolderLabels {
 public:
  /// `splits` and `label_from`: append to a source's parameters.
  static std::vector<ParamSpec> parameters();

  /// Throws Error when `splits` is given and names no folder.
  explicit FolderLabels(const Params& params);

  /// Folders directly in the root, and the splits they make up; empty: the folders say nothing of splits.
  const std::vector<std::pair<std::string, Split>>& splits() const { return splits_; }
  bool has_classes() const { return label_from_ != LabelFrom::None; }

  struct Place {
    std::optional<Split> split;
    std::vector<std::string> labels;
  };
  /// Something that is directly in the root: call it with all there is before find_splits.
  void see(const std::string& folder) { top_.insert(folder); }
  /// Finds the folders of `splits` among those seen. One that is not there stands for the only one whose name
  /// differs by blanks or case, or else is another name of the same split: `train` for Train or training.
  /// Throws Error when there is none, or there are several. `root` is how messages call the root.
  void find_splits(const std::string& root);

  /// `path` is relative to the root; after find_splits. Nothing when it is in no folder of `splits`, or in no
  /// class folder where there must be one; the latter is then counted for report.
  std::optional<Place> place(const std::string& path);

  /// Warns of folders that `splits` leaves out or that look like splits where it is not given, and reports
  /// files in no class folder to `skip`.
  void report(const std::string& root, const std::function<void(const std::string&)>& warn,
              const OnSkip& skip) const;

 private:
  enum class LabelFrom { TopFolder, Folder, None };

  LabelFrom label_from_;
  std::vector<std::pair<std::string, Split>> splits_;
  std::vector<std::string> loose_;  ///< Files that are in no class folder.
  UnusedSplits unused_splits_;
  std::set<std::string, std::less<>> top_;  ///< Seen directly in the root.
};

}  // namespace graft::source
