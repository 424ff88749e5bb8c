#include <dense/examples.h>

#include <graft/error.h>

namespace graft::dense {
namespace {

std::size_t rows_of(std::span<const float> values, std::size_t dim, std::size_t labels) {
  if (values.size() != labels * dim) throw Error("a matrix of examples needs a label for each row");
  return labels;
}

}  // namespace

TableExamples::TableExamples(const learning::FeatureRows& rows, std::span<const std::int32_t> outputs)
    : Examples(rows.rows(), rows.dim()), rows_(rows) {
  std::vector<std::int32_t> mapped;
  for (std::size_t r = 0; r < rows.rows(); ++r) {
    mapped.clear();
    for (const std::int32_t label : rows.labels_of(r)) {
      const auto found = std::lower_bound(outputs.begin(), outputs.end(), label);
      const bool known = found != outputs.end() && *found == label;
      mapped.push_back(known ? static_cast<std::int32_t>(found - outputs.begin()) : kNoOutput);
    }
    add_labels(mapped);
  }
}

MatrixExamples::MatrixExamples(std::span<const float> values, std::size_t dim,
                               std::span<const std::int32_t> labels)
    : Examples(rows_of(values, dim, labels.size()), dim), values_(values) {
  for (const std::int32_t& label : labels) add_labels({&label, 1});
}

MatrixExamples::MatrixExamples(std::span<const float> values, std::size_t dim, const Examples& labels)
    : Examples(rows_of(values, dim, labels.rows()), dim), values_(values) {
  for (std::size_t r = 0; r < labels.rows(); ++r) add_labels(labels.labels(r));
}

}  // namespace graft::dense
