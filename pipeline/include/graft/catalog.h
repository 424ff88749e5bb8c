#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/params.h>
#include <graft/stage.h>

namespace graft {

/// What a source found, made into its list: numbers the classes, decides the splits, takes a part of each
/// class where the config asks for it, and warns of what will make scores unreliable. Every source works by
/// the same rules and parameters through it.
///
///     Catalog catalog(context);
///     for (...) catalog.add(key, {label}, {}, i);
///     catalog.close();
///
/// Used by one thread.
class GRAFT_API Catalog {
 public:
  /// `classes`, `val_fraction`, `test_fraction`, `group`, `max_per_class`, `shots`: append to a source's
  /// parameters.
  static std::vector<ParamSpec> parameters();

  /// Throws Error for a `classes` file that cannot be read, is empty, or names a class twice.
  explicit Catalog(const StageContext& context);
  ~Catalog();

  /// The classes and their order, where the format of the data fixes them. A `classes` file gives them other
  /// names, position by position: it must then have as many. Throws Error if not.
  void set_classes(std::vector<std::string> names);

  /// The format of the data numbers its classes: every label is a position in the list, counted from 0,
  /// whatever the classes are called. Otherwise labels are names, or all of them are positions: where the
  /// list of classes is fixed, they are whole numbers, and none of them is a name in it. Names and
  /// positions are never mixed: a label that is neither is an error.
  void labels_are_positions() { positions_ = true; }

  /// One input: its key, the names of its classes (none: unlabelled; several: multi-label), its split where
  /// the data name one, and a number by which the source finds it again. Inputs of one `group`
  /// share a split where a hash decides it, and the parameter `group` looks at it in place of the key: frames
  /// of a film. `negative`: without labels, as Entry::negative.
  void add(std::string key, const std::vector<std::string>& labels, std::optional<Split> split,
           std::size_t found_at, const std::string& group = {}, bool negative = false);

  /// The row that has this key; before close() alone.
  std::optional<std::size_t> find(std::string_view key) const;

  /// Something that the source found and skips, a "symbolic link" or an "excluded file" (its plural ends in
  /// s): counted by kind. close() warns of each kind with its number, the first example, and the reason or
  /// the setting that includes it.
  void skipped(const std::string& kind, const std::string& example, const std::string& cure);

  /// After the last add. Throws Error for a key that two inputs have, and for a label that is not in the list
  /// of classes. Classes that no one fixed are those found, in the order of their names, whole numbers in
  /// the order of their values.
  void close();

  const std::vector<std::string>& classes() const { return classes_; }
  std::size_t size() const;
  /// Key, split and labels of a row, in the order of add.
  Entry entry(std::size_t row) const;
  std::string_view key(std::size_t row) const;
  std::size_t found_at(std::size_t row) const;

 private:
  struct Row;
  struct Rows;

  struct Skipped {
    std::string kind, example, cure;
    std::size_t count = 0;
  };

  std::string_view group_of(const Row& row) const;
  void number_classes();
  [[noreturn]] void unknown_label(const Row& row, std::int32_t number) const;
  void decide_splits();
  void warn_classes() const;
  /// Limits train, and val where it is carved out of train, in proportion.
  void take_shots(std::size_t shots);
  /// Keeps at most `limit` rows of every class in the split, and as many negatives, chosen by a hash of key
  /// and seed.
  void thin_out(std::size_t limit, Split split);

  const Params params_;
  const std::uint64_t seed_;
  const std::function<void(const std::string&)> warn_;
  std::vector<std::string> classes_;
  bool positions_ = false;
  std::string fixed_by_;  ///< What fixes the classes; empty: they are those found.
  std::unordered_map<std::string, std::int32_t> found_;  ///< Labels, numbered as they came.
  std::vector<std::string> groups_;
  std::unique_ptr<Rows> rows_;    ///< In paged memory: lists have millions of them.
  std::vector<Skipped> skipped_;  ///< In the order of their first examples.
};

}  // namespace graft
