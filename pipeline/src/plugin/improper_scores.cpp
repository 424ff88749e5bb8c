#include <cmath>

#include <fmt/format.h>

#include <graft/learner.h>
#include <graft/text.h>

namespace graft {
namespace {

constexpr double kRounding = 1e-3;

/// What the first row of `scores` has that is no probability; `rows` is 0 where all is well.
ImproperScores fault_of_row(const float* scores, std::size_t classes, bool multi_label) {
  ImproperScores fault;
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    const auto score = static_cast<double>(scores[c]);
    sum += score;
    if (std::isnan(score)) fault.has_order = false;
    if (fault.rows > 0 || (score >= -kRounding && score <= 1 + kRounding)) continue;
    fault.rows = 1;
    fault.column = c;
    fault.got = score;
  }
  if (fault.rows > 0 || multi_label || std::abs(sum - 1) <= kRounding) return fault;
  fault.rows = 1;
  fault.got = sum;
  return fault;
}

}  // namespace

std::optional<ImproperScores> improper_scores(const Scores& scores, bool multi_label) {
  ImproperScores all;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const ImproperScores of_row = fault_of_row(scores.row(r), scores.classes, multi_label);
    if (of_row.rows == 0) continue;
    const std::size_t rows = all.rows + 1;
    const bool has_order = all.has_order && of_row.has_order;
    if (rows == 1) {
      all = of_row;
      all.first = r;
    }
    all.rows = rows;
    all.has_order = has_order;
  }
  return all.rows == 0 ? std::nullopt : std::optional(all);
}

std::string ImproperScores::describe(const std::string& key, const std::vector<std::string>& classes) const {
  if (!column) return fmt::format("the scores of '{}' add up to {:.6g}", shortened(key), got);
  return fmt::format("'{}' has the score {:.6g} for class '{}'", shortened(key), got,
                     shortened(classes.at(*column)));
}

}  // namespace graft
