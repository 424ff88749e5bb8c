#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/predictor.h>

#include <embedding/embedding.h>
#include <learning/features.h>
#include <learning/learning.h>
#include <search/neighbours.h>

namespace graft::search {

/// What is done to feature vectors before they are compared: an embedding, if any, and for cosine the scaling
/// to length 1. Immutable; any thread.
class FeatureTransform {
 public:
  FeatureTransform(std::size_t inputs, std::optional<embedding::Embedding> embedding, Metric metric)
      : inputs_(inputs), embedding_(std::move(embedding)), metric_(metric) {}

  std::size_t inputs() const { return inputs_; }
  std::size_t dims() const { return embedding_ ? embedding_->dims() : inputs_; }
  Metric metric() const { return metric_; }
  const std::optional<embedding::Embedding>& embedding() const { return embedding_; }

  /// Row-major count x dims() for `rows`, count x inputs(). Throws Error that names the row, by `key`, when
  /// an output is too large for float32.
  std::vector<float> apply(std::size_t count, const float* rows,
                           const std::function<std::string_view(std::size_t)>& key) const;
  /// Block `block` of rows: count(block) x dims().
  std::vector<float> block(const learning::FeatureRows& rows, std::size_t block) const;
  /// All rows. Those without an embedding are taken over from memory, where they are.
  std::vector<float> all(learning::FeatureRows&& rows, Parallel& parallel) const;
  /// The rows of a table as queries, some tens of MiB at a time and in order: for searches that go over all
  /// the rows of an index each time. `first` is a multiple of learning::rows_per_block. Throws Error as
  /// `apply`, and naming the row when a feature is not finite.
  void for_each_group(const RowSet& set, Parallel& parallel,
                      const std::function<void(std::size_t first, std::size_t count,
                                               std::span<const float> queries)>& body) const;

  /// For cosine: learning::warn_lost_cosines on the train rows, transformed.
  void warn_lost_cosines(const learning::FeatureRows& train, const std::string& table, Parallel& parallel,
                         const learning::Warn& warn) const;

  void save(Bundle& bundle) const;
  /// Throws Error naming what is missing or mis-shaped.
  static FeatureTransform load(const Bundle& bundle);

 private:
  std::size_t inputs_;
  std::optional<embedding::Embedding> embedding_;
  Metric metric_;
};

/// The rows of a table, transformed again whenever they are read: f32, rows x dims. The table must outlive
/// it.
class TransformedRows final : public TensorReader {
 public:
  TransformedRows(learning::FeatureRows rows, FeatureTransform transform);
  DType dtype() const override { return DType::F32; }
  const Shape& shape() const override { return shape_; }
  void read(std::size_t first, std::size_t count, void* out) const override;

 private:
  learning::FeatureRows rows_;
  FeatureTransform transform_;
  Shape shape_;
};

}  // namespace graft::search
