#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/item.h>
#include <graft/params.h>

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
  /// `path` is relative to the root. Nothing when it is in no folder of `splits`, or in no class folder where
  /// there must be one; it is then counted for tell.
  std::optional<Place> place(const std::string& path);

  /// Warns of what place has passed over. `root` is how messages call the root.
  void tell(const std::string& root, const std::function<void(const std::string&)>& warn) const;

  /// A folder that is directly in the root, where place is not asked for all that is in it.
  void see(const std::string& folder) { top_.insert(folder); }
  /// Throws Error when a folder of `splits` was neither seen nor in a path that place was asked for.
  void check_splits(const std::string& root) const;

 private:
  enum class LabelFrom { TopFolder, Folder, None };

  LabelFrom label_from_;
  std::vector<std::pair<std::string, Split>> splits_;
  std::map<std::string, std::size_t> loose_;  ///< Folder -> files directly in it that are in no class.
  std::set<std::string, std::less<>> top_;    ///< Seen directly in the root, when there are splits.
};

}  // namespace graft::source
