#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <learning/testing/fixtures.h>

namespace graft {

inline std::vector<std::string> names(std::size_t classes) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < classes; ++c) out.push_back("class" + std::to_string(c));
  return out;
}

struct Data {
  std::size_t dim;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  MemoryRows rows() const { return MemoryRows(values, dim, labels); }
};

/// Classes in turn; a row leans towards its class's axis by `lean`.
inline Data random_data(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed,
                        double lean = 1) {
  Random random(seed);
  Data data{dim, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::size_t d = 0; d < dim; ++d) {
      data.values.push_back(static_cast<float>(random.uniform(-1, 1) + (d == i % classes ? lean : 0)));
    }
  }
  return data;
}

inline MemoryRows no_rows(std::size_t dim) {
  return MemoryRows({}, dim, {});
}

/// The rows of `data`, each also of class r / 7 % classes.
inline learning::SeveralLabelRows two_labels_a_row(const Data& data, std::size_t classes) {
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t r = 0; r < data.labels.size(); ++r)
    labels.push_back({data.labels[r], static_cast<std::int32_t>(r / 7 % classes)});
  return {data.values, data.dim, std::move(labels)};
}

}  // namespace graft
