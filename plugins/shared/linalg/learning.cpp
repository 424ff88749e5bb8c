#include "linalg/learning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <graft/error.h>

namespace graft::linalg {

std::vector<std::int32_t> shown_classes(const FeatureRows& rows) {
  const std::set<std::int32_t> shown(rows.labels().begin(), rows.labels().end());
  return {shown.begin(), shown.end()};
}

std::vector<std::int32_t> classes_to_learn(const FeatureRows& train, const std::vector<std::string>& classes,
                                           const std::string& table, Labels several, const Warn& warn) {
  std::vector<std::int32_t> shown = shown_classes(train);
  const std::size_t least = several == Labels::Several ? 1 : 2;
  if (shown.size() < least) {
    throw Error(
        fmt::format("table '{}' has train rows of {} of its {} classes: expected at least {}; check the "
                    "labels, the splits "
                    "and the rejected inputs",
                    table, shown.size(), classes.size(), least == 1 ? "1 class" : "2 classes to tell apart"));
  }
  if (const std::string absent = absent_classes(train.labels(), classes); !absent.empty())
    warn(fmt::format("no train rows of {}: the score of such a class is 0", absent));
  return shown;
}

RowScaler fit_scaler(RowScaler::Kind kind, FeatureRows& rows, Parallel& parallel) {
  RowScaler scaler = kind == RowScaler::Kind::Standard ? rows.standard_scaler(parallel) : RowScaler(kind);
  rows.scale(scaler, parallel);
  return scaler;
}

Scores score_table(const RowSet& table, std::size_t classes, const RowScaler& scaler, Parallel& parallel,
                   const std::function<void(const float* rows, std::size_t count, float* out)>& score) {
  Scores scores(table.rows(), classes);
  read_blocks(table, 0, table.rows(), parallel, [&](std::size_t first, std::size_t count, float* rows) {
    scaler.apply(count, table.dim(), rows);
    float* out = scores.row(first);
    score(rows, count, out);
    for (std::size_t r = 0; r < count; ++r, out += classes) {
      if (std::none_of(out, out + classes, [](float v) { return std::isnan(v); })) continue;
      throw Error(
          fmt::format("row '{}': its features are so far from those of training that the scores overflow; "
                      "look at this input, or use another scale",
                      table.key(first + r)));
    }
  });
  return scores;
}

}  // namespace graft::linalg
