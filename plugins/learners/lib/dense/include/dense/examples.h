#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <learning/features.h>

namespace graft::dense {

/// Rows with labels that a network learns from or is measured on, in blocks of learning::rows_per_block(dim)
/// rows. Labels are outputs of the network; kNoOutput stands for a class that it has no output for.
/// Immutable; any thread.
class Examples {
 public:
  static constexpr std::int32_t kNoOutput = -1;

  virtual ~Examples() = default;
  /// Features of a block, row-major count x dim, as the network sees them. `scratch` is used when the rows
  /// are not in memory.
  virtual const float* block(std::size_t block, std::vector<float>& scratch) const = 0;
  /// Blocks are at hand and `block` costs nothing.
  virtual bool in_memory() const = 0;

  std::size_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  std::span<const std::int32_t> labels(std::size_t row) const {
    const std::size_t begin = row == 0 ? 0 : ends_[row - 1];
    return {labels_.data() + begin, ends_[row] - begin};
  }

  std::size_t block_rows() const { return block_rows_; }
  std::size_t blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  std::size_t begin(std::size_t block) const { return block * block_rows_; }
  std::size_t count(std::size_t block) const { return std::min(block_rows_, rows_ - begin(block)); }

 protected:
  Examples(std::size_t rows, std::size_t dim)
      : rows_(rows), dim_(dim), block_rows_(learning::rows_per_block(dim)) {}
  void add_labels(std::span<const std::int32_t> labels) {
    labels_.insert(labels_.end(), labels.begin(), labels.end());
    ends_.push_back(labels_.size());
  }

 private:
  std::size_t rows_, dim_, block_rows_;
  std::vector<std::int32_t> labels_;
  std::vector<std::size_t> ends_;  ///< Where a row's labels end.
};

/// The rows of a table, which must outlive this. `outputs`: the classes that have an output, in their order.
class TableExamples final : public Examples {
 public:
  TableExamples(const learning::FeatureRows& rows, std::span<const std::int32_t> outputs);
  const float* block(std::size_t block, std::vector<float>& scratch) const override {
    return rows_.block(block, scratch);
  }
  bool in_memory() const override { return rows_.cached(); }

 private:
  const learning::FeatureRows& rows_;
};

/// A matrix, row-major, which must outlive this.
class MatrixExamples final : public Examples {
 public:
  /// One label per row.
  MatrixExamples(std::span<const float> values, std::size_t dim, std::span<const std::int32_t> labels);
  /// Other features of the same rows.
  MatrixExamples(std::span<const float> values, std::size_t dim, const Examples& labels);
  const float* block(std::size_t block, std::vector<float>&) const override {
    return values_.data() + begin(block) * dim();
  }
  bool in_memory() const override { return true; }

 private:
  std::span<const float> values_;
};

}  // namespace graft::dense
