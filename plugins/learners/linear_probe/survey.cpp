#include "survey.h"

#include <algorithm>
#include <vector>

namespace graft {

Survey survey_of(const learning::FeatureRows& rows, Parallel& parallel) {
  const std::size_t dim = rows.dim();
  struct Part {
    std::vector<float> low, high;
    std::size_t zero_rows = 0;
  };
  std::vector<Part> parts(rows.blocks());
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const float* x = rows.block(b, scratch);
    Part& part = parts[b];
    part.low.assign(x, x + dim);
    part.high.assign(x, x + dim);
    for (std::size_t r = 0; r < rows.count(b); ++r, x += dim) {
      for (std::size_t d = 0; d < dim; ++d) {
        part.low[d] = std::min(part.low[d], x[d]);
        part.high[d] = std::max(part.high[d], x[d]);
      }
      part.zero_rows += std::all_of(x, x + dim, [](float v) { return v == 0; }) ? 1 : 0;
    }
  });
  Survey survey;
  for (const Part& part : parts) survey.zero_rows += part.zero_rows;
  for (std::size_t d = 0; d < dim; ++d) {
    survey.constant += std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
      return part.low[d] == parts[0].low[d] && part.high[d] == parts[0].low[d];
    });
  }
  return survey;
}

}  // namespace graft
