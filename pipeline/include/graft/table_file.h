#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/payload.h>

namespace graft {

/// A ready-made table of feature vectors in an HDF5 file, for sources. Datasets at the top or in groups
/// ("group/name"), one row each of what lies along their first axis:
///
///     features [rows, ...]      float16, float32 or float64
///     labels   [rows]           class numbers from 0 (-1: no label) as integers or whole floats, or class
///     names
///              [rows, classes]  0 or 1 for every class: any number of labels per row, none as well; -1 for
///              every class: an unlabelled row. One column is such a matrix where the file names one class.
///     keys     [rows]           text
///     views    [rows]           numbers from 0 that tell rows of one key apart; read beside keys only
///     splits   [rows]           train, val, test, or 0, 1, 2; empty text or -1: left open
///     classes  [classes]        names of the classes: a dataset, or an attribute of the labels or of the
///     file
///
/// Texts have a fixed length, or, in datasets that are not packed, a variable one.
/// Everything but the features may be missing. What cannot be trusted is refused when the file is opened: no
/// HDF5 file or a truncated one, data that lie elsewhere or were never wholly written, filters other than
/// deflate, shuffle and fletcher32, another rank, type or number of rows. Everything throws Error with file,
/// dataset and reason. The file is read by a process of its own, which can open no other file and has bounds
/// on memory and time: a file on which HDF5 crashes is an Error, too. Any thread, one at a time.
class GRAFT_API TableFile {
 public:
  struct Names {
    std::string features = "features";
    /// Nothing: "labels", "keys", "splits", "views", where there is such a dataset.
    std::optional<std::string> labels = {}, keys = {}, splits = {}, views = {};
  };
  explicit TableFile(std::string path) : TableFile(std::move(path), Names()) {}
  TableFile(std::string path, const Names& names);
  ~TableFile();
  TableFile(TableFile&&) noexcept;
  TableFile& operator=(TableFile&&) noexcept;

  const std::string& path() const;
  std::size_t rows() const;  ///< At least 1.
  /// Of one row's features.
  const Shape& shape() const;
  std::size_t dim() const { return static_cast<std::size_t>(elements(shape())); }
  bool has_labels() const;
  bool has_keys() const;
  bool has_splits() const;
  bool has_views() const;
  /// Names of the classes by number: those in the file; numbers where a row has a label for every class;
  /// empty if neither is known.
  const std::vector<std::string>& classes() const;
  /// Labels are numbers of classes in the file, not their names.
  bool has_numbered_labels() const;

  /// A dataset at the top of the file that is not read: it may be one that has another name than expected.
  struct Unread {
    std::string name;
    std::uint64_t rows;  ///< Extent of the first axis.
  };
  /// In the order of their names; of the first thousand objects.
  const std::vector<Unread>& unread() const;

  /// What the file says of a row beside its features.
  struct Row {
    std::string key;                  ///< Empty when has_keys() is false.
    std::uint32_t view = 0;           ///< 0 when has_views() is false.
    std::vector<std::string> labels;  ///< Names of classes, or numbers where classes() is empty.
    std::optional<Split> split;
    bool negative = false;  ///< As Entry::negative: 0 for every class.
  };
  /// Rows [first, first + count). About 100 bytes of memory each.
  std::vector<Row> describe(std::size_t first, std::size_t count) const;

  /// Features of rows [first, first + count) as float32, count x dim. Values that float32 cannot hold become
  /// infinite.
  void read(std::size_t first, std::size_t count, float* out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace graft
