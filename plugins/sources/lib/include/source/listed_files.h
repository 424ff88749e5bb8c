#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <graft/catalog.h>
#include <source/rooted_paths.h>
#include <split_names/split_names.h>

namespace graft::source {

/// Image files that a list names, in its order: what sources that are given a list of paths have in common.
/// A source adds the lines, closes, and passes its own functions on to these. About 150 bytes a line,
/// more with ids.
class ListedFiles {
 public:
  /// `allow_outside` and those of Catalog: append to a source's parameters.
  static std::vector<ParamSpec> parameters();

  /// `root`: where relative paths start. `list`: how messages call the list.
  ListedFiles(const StageContext& context, const std::string& root, std::string list);

  struct Line {
    std::size_t number = 0;  ///< For messages.
    std::string path;
    std::optional<std::string> id;  ///< The key; nothing: the path.
    std::vector<std::string> labels;
    std::optional<Split> split;
    bool negative = false;  ///< As Entry::negative.
  };
  /// A path that occurs twice is two inputs: the second has the key "PATH#2", and a hash puts both into one
  /// split. Throws Error for an id that occurs twice, and for an empty path or one with a NUL byte.
  void add(Line line);
  /// After the last add. Throws Error for an empty list.
  void close();

  const std::vector<std::string>& classes() const { return catalog_.classes(); }
  std::size_t count() const { return catalog_.size(); }
  bool next(Entry& entry);
  Payload load(const Entry& entry) const { return paths_.checked(std::get<FileRef>(entry.payload)); }

 private:
  const std::string list_;
  const std::function<void(const std::string&)> warn_;
  RootedPaths paths_;
  bool splits_given_ = false;
  UnusedSplits unused_splits_;
  Catalog catalog_;
  std::vector<std::uint32_t> lines_;  ///< Line number of every row of the catalog, where rows have ids.
  /// Paths that are not the key, each with a NUL after it; found_at is 1 + where one begins, 0: it is the
  /// key.
  std::string other_paths_;
  std::map<std::string, std::size_t> copies_;  ///< Paths that occur more than once.
  std::string twice_;                          ///< An example of them, for the warning.
  std::size_t backslashes_ = 0;                ///< Paths without a / but with a backslash.
  std::string backslashed_;                    ///< An example of them.
  std::size_t position_ = 0;
};

}  // namespace graft::source
