#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <numeric/softmax.h>
#include "hybrid_model.h"

namespace graft {
namespace {

/// log p as the log loss has it; a class without training rows stays at nothing.
float log_of(float p) {
  return p > 0 ? std::log(p) : -std::numeric_limits<float>::infinity();
}

}  // namespace

const std::vector<std::string>& combination_names() {
  static const std::vector<std::string> kAll = {"head", "votes", "concat", "mix", "cache"};
  return kAll;
}

Scores combine(const Settings& settings, const Ingredients& parts, std::size_t rows, std::size_t classes) {
  Scores out(rows, classes);
  switch (settings.combination) {
    case Combination::Head:
    case Combination::Concat:
      out.values = parts.head;
      break;
    case Combination::Votes:
      out.values = parts.votes;
      break;
    case Combination::Mix:
      for (std::size_t i = 0; i < out.values.size(); ++i)
        out.values[i] = static_cast<float>(settings.alpha * static_cast<double>(parts.votes[i]) +
                                           (1 - settings.alpha) * static_cast<double>(parts.head[i]));
      break;
    case Combination::Cache:
      for (std::size_t i = 0; i < out.values.size(); ++i)
        out.values[i] = log_of(parts.head[i]) + static_cast<float>(settings.alpha) * parts.cache[i];
      for (std::size_t r = 0; r < rows; ++r) numeric::softmax({out.row(r), classes});
      break;
  }
  return out;
}

std::vector<float> merged_features(std::span<const float> z, std::span<const float> mean,
                                   std::span<const float> votes, std::size_t rows) {
  std::vector<float> out;
  out.reserve(z.size() + mean.size() + votes.size());
  for (std::size_t r = 0; r < rows; ++r)
    for (const std::span<const float> part : {z, mean, votes}) {
      const auto row = part.subspan(r * (part.size() / rows), part.size() / rows);
      out.insert(out.end(), row.begin(), row.end());
    }
  return out;
}

std::vector<float> head_scores(const linear::LinearModel& model, std::span<const float> rows,
                               Parallel& parallel) {
  const std::size_t n = rows.size() / model.dim, block = learning::rows_per_block(model.dim);
  std::vector<float> out(n * model.classes);
  parallel.for_each((n + block - 1) / block, [&](std::size_t b) {
    const std::size_t first = b * block, count = std::min(block, n - first);
    model.scores(rows.data() + first * model.dim, count, out.data() + first * model.classes);
  });
  return out;
}

}  // namespace graft
