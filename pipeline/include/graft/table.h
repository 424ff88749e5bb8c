#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/payload.h>

namespace graft {

/// Rows of a table, in the order of the source's list: a split of it, or several. Random access; every method
/// may be called from any thread. Rows are on disk; nothing is kept in memory between calls.
class GRAFT_API RowSet {
 public:
  virtual ~RowSet();

  virtual std::size_t rows() const = 0;
  /// Shape and type of one row, as stored.
  virtual const Shape& shape() const = 0;
  virtual DType dtype() const = 0;
  /// Elements of one row.
  std::size_t dim() const { return static_cast<std::size_t>(elements(shape())); }

  virtual std::string_view key(std::size_t row) const = 0;
  virtual std::uint32_t view(std::size_t row) const = 0;
  virtual Split split(std::size_t row) const = 0;
  /// Class indices: one, several or none.
  virtual std::span<const std::int32_t> labels(std::size_t row) const = 0;
  /// As Entry::negative: a row without labels is labelled with none of the classes, not unlabelled.
  virtual bool negative(std::size_t) const { return false; }
  bool labelled(std::size_t row) const { return negative(row) || !labels(row).empty(); }
  /// The label of a single-label row; -1 for one without labels.
  std::int32_t label(std::size_t row) const {
    const auto all = labels(row);
    return all.empty() ? -1 : all.front();
  }

  /// Reads rows [first, first + count) as float32, row-major count x dim. Throws Error when the file is
  /// damaged.
  virtual void read(std::size_t first, std::size_t count, float* out) const = 0;
  /// The same bytes as stored, count x dim x size_of(dtype()).
  virtual void read_raw(std::size_t first, std::size_t count, void* out) const = 0;
};

/// A RowSet in memory: for tests, for single items, and for learners that transform their rows first.
class GRAFT_API MemoryRows final : public RowSet {
 public:
  /// `values` is row-major, labels.size() x dim. A label of -1 makes an unlabelled row.
  MemoryRows(std::vector<float> values, std::size_t dim, const std::vector<std::int32_t>& labels,
             Split split = Split::Train);
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return split_; }
  std::span<const std::int32_t> labels(std::size_t row) const override;
  void read(std::size_t first, std::size_t count, float* out) const override;
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }

 private:
  std::vector<float> values_;
  Shape shape_;
  std::vector<std::int32_t> labels_;
  std::vector<std::string> keys_;
  Split split_;
};

}  // namespace graft
