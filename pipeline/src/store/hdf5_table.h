#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <graft/table_file.h>

#include "store/hdf5_dataset.h"

namespace graft {

/// The table in an HDF5 file of other software, read in this process: HDF5 may crash on a damaged file. What
/// this one promises is in graft/table_file.h; TableFile keeps it in a process of its own. One thread.
class Hdf5Table {
 public:
  /// `image`: the whole file, which outlives the table. `path`: what messages call it.
  Hdf5Table(std::span<const std::uint8_t> image, std::string path, const TableFile::Names& names);

  std::uint64_t rows() const { return features_.extents[0]; }
  const Shape& shape() const { return shape_; }
  bool has_labels() const { return labels_.has_value(); }
  bool has_keys() const { return keys_.has_value(); }
  bool has_splits() const { return splits_.has_value(); }
  bool has_views() const { return views_.has_value(); }
  bool has_numbered_labels() const { return labels_ && !label_texts_; }
  /// Columns of a row's labels: more than one, or that of the only class in classes(). 0: one label a row.
  std::uint64_t label_columns() const;
  const std::vector<std::string>& classes() const { return classes_; }
  /// As TableFile::unread.
  const std::vector<TableFile::Unread>& unread() const { return unread_; }

  struct Row {
    std::string key;
    std::uint32_t view = 0;
    std::vector<std::uint32_t> classes;  ///< Where has_numbered_labels().
    std::string label;                   ///< Otherwise; empty: none.
    std::optional<Split> split;
    bool negative = false;  ///< As TableFile::Row::negative.
  };
  /// Rows [first, first + count), which must be there.
  std::vector<Row> describe(std::size_t first, std::size_t count) const;
  /// As TableFile::read.
  void read(std::size_t first, std::size_t count, float* out) const;

 private:
  void open_features(const std::string& name);
  std::optional<Hdf5Dataset> open_column(const std::optional<std::string>& name,
                                         const char* default_name) const;
  void open_labels(const std::optional<std::string>& name);
  void open_views(const std::optional<std::string>& name);
  void open_texts_or_numbers();
  void read_classes();
  void find_unread(const TableFile::Names& names);
  std::uint32_t class_of(double label, std::size_t row) const;
  void describe_labels(std::size_t first, std::vector<Row>& out) const;
  void describe_splits(std::size_t first, std::vector<Row>& out) const;
  void describe_views(std::size_t first, std::vector<Row>& out) const;

  const std::span<const std::uint8_t> image_;
  const std::string path_;
  Hdf5Id file_;
  Hdf5Dataset features_;
  std::optional<Hdf5Dataset> labels_, keys_, splits_, views_;
  Shape shape_;
  bool is_half_ = false;  ///< Converted here: HDF5 goes bit field by bit field.
  bool label_texts_ = false, split_texts_ = false;
  std::vector<std::string> classes_;
  std::vector<TableFile::Unread> unread_;
};

}  // namespace graft
