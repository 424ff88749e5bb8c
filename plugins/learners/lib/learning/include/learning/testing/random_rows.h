#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

namespace graft::learning {

inline const std::vector<std::string> kTwo = {"ants", "bees"};
inline const std::vector<std::string> kThree = {"ants", "bees", "wasps"};

/// Rows that a test also computes with.
struct Data {
  std::size_t dim;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  MemoryRows rows() const { return MemoryRows(values, dim, labels); }
};

/// Classes in turn; a row leans towards its class's axis.
inline Data random_data(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed) {
  Random random(seed);
  Data data{dim, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::size_t d = 0; d < dim; ++d)
      data.values.push_back(static_cast<float>(random.uniform(-1, 1) + (d == i % classes ? 0.5 : 0)));
  }
  return data;
}

}  // namespace graft::learning
