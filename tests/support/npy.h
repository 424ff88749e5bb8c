#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace graft::test {

/// Which rows of a file of float32 in NumPy's format 1.0 are NaN: none of their values, or all. Empty: a row
/// that is neither.
inline std::vector<bool> rows_with_nan(const std::string& npy, std::size_t rows) {
  const std::size_t header =
      10 + static_cast<unsigned char>(npy.at(8)) + 256u * static_cast<unsigned char>(npy.at(9));
  const std::size_t dim = (npy.size() - header) / rows / sizeof(float);
  std::vector<bool> out;
  for (std::size_t row = 0; row < rows; ++row) {
    std::size_t nan = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      float v = 0;
      std::memcpy(&v, npy.data() + header + (row * dim + d) * sizeof v, sizeof v);
      nan += std::isnan(v) ? 1 : 0;
    }
    if (nan != 0 && nan != dim) return {};
    out.push_back(nan == dim);
  }
  return out;
}

}  // namespace graft::test
