#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <graft/predictor.h>
#include <graft/table.h>

/// \file
/// For tests of learners.
namespace graft::learning {

/// A table in memory whose rows have any number of labels. Keys are "row0", "row1", ... Rows without labels
/// are negatives (RowSet::negative), or unlabelled.
class SeveralLabelRows final : public RowSet {
 public:
  /// `values` is row-major, labels.size() x dim. `unlabelled`: rows, out of those without labels.
  SeveralLabelRows(std::vector<float> values, std::size_t dim, std::vector<std::vector<std::int32_t>> labels,
                   std::set<std::size_t> unlabelled = {})
      : values_(std::move(values)),
        shape_({static_cast<std::int64_t>(dim)}),
        labels_(std::move(labels)),
        unlabelled_(std::move(unlabelled)) {
    for (std::size_t r = 0; r < labels_.size(); ++r) keys_.push_back("row" + std::to_string(r));
  }
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::F32; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return labels_[row]; }
  bool negative(std::size_t row) const override { return labels_[row].empty() && !unlabelled_.contains(row); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    std::copy_n(values_.data() + first * dim(), count * dim(), out);
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    read(first, count, static_cast<float*>(out));
  }

 private:
  std::vector<float> values_;
  Shape shape_;
  std::vector<std::vector<std::int32_t>> labels_;
  std::set<std::size_t> unlabelled_;
  std::vector<std::string> keys_;
};

/// Rows that are not in an index's memory: a tensor [rows, dim] that counts how many of them are read.
class CountedTensor final : public TensorReader {
 public:
  CountedTensor(std::vector<float> values, std::size_t dim)
      : values_(std::move(values)),
        shape_({static_cast<std::int64_t>(values_.size() / dim), static_cast<std::int64_t>(dim)}) {}
  DType dtype() const override { return DType::F32; }
  const Shape& shape() const override { return shape_; }
  void read(std::size_t first, std::size_t count, void* out) const override {
    const auto dim = static_cast<std::size_t>(shape_[1]);
    std::copy_n(values_.data() + first * dim, count * dim, static_cast<float*>(out));
    rows_read += count;
  }
  mutable std::atomic<std::size_t> rows_read = 0;

 private:
  std::vector<float> values_;
  Shape shape_;
};

}  // namespace graft::learning
