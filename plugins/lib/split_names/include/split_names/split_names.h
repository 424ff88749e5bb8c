#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include <graft/item.h>

namespace graft::source {

/// A name without blanks around it, in small letters.
std::string folded(std::string_view name);

/// A name that someone gives a split: those of split_from, and such as may be val or test.
bool names_a_split(std::string_view name);

/// A name that someone gives a column that divides a data set: split, subset, fold, is_valid ...
bool names_split_column(std::string_view name);

/// Notes names of folders and files that look like splits, where a source makes nothing of them. Used by one
/// thread.
class UnusedSplits {
 public:
  /// Every folder in a path.
  void see_folders(std::string_view path);
  /// Every word in the name of a file: "imagenet-val-000.tar".
  void see_words(std::string_view path);

  /// Warns when val or test was among the names: a lone "train" may be a train.
  void warn(const std::string& cure, const std::function<void(const std::string&)>& warn) const;

 private:
  void see(std::string_view name, std::string_view path);

  std::string last_folder_;  ///< Of see_folders: paths come folder by folder.
  std::set<std::string, std::less<>> names_;
  std::string example_;
  bool held_out_ = false;
};

}  // namespace graft::source
