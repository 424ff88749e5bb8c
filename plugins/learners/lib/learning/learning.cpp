#include <learning/learning.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <graft/error.h>

namespace graft::learning {

ParamSpec cache_parameter(std::string doc) {
  return integer("cache", 1024).range(0, 1 << 20).unit("MiB").not_in_fingerprint().doc(std::move(doc));
}

std::size_t cache_bytes(const Params& params) {
  return params.get<std::size_t>("cache") << 20;
}

std::string config_on_features(std::string_view name, std::string_view stages) {
  return fmt::format(R"(name: {}
stages:
  images: {{plugin: synthetic}}
  features:
    plugin: backbone
    from: images
    with: {{model: "${{GRAFT_SHARE}}/configs/quickstart_backbone.safetensors"}}
  table: {{plugin: feature_table, from: features}}
{})",
                     name, stages);
}

double mean_cosine_distance(std::span<const float> rows, std::size_t dim) {
  std::vector<double> sum(dim);
  double count = 0;
  for (std::size_t first = 0; first + dim <= rows.size(); first += dim) {
    const std::span<const float> row = rows.subspan(first, dim);
    double squares = 0;
    for (const float v : row) squares += static_cast<double>(v) * v;
    if (squares == 0) continue;
    const double factor = 1 / std::sqrt(squares);
    for (std::size_t d = 0; d < dim; ++d) sum[d] += row[d] * factor;
    ++count;
  }
  if (count < 2) return 1;
  double squares = 0;  // of the mean of the rows at length 1: the mean of all cosines
  for (const double s : sum) squares += s / count * (s / count);
  return std::max(0.0, 1 - squares);
}

void warn_lost_cosines(
    std::size_t count, std::size_t dim,
    const std::function<std::vector<float>(const std::vector<std::size_t>& positions)>& rows_at,
    const std::string& table, const std::string& cure, const Warn& warn) {
  constexpr std::size_t kMostRows = 1000;
  const double distance = mean_cosine_distance(rows_at(evenly_spaced(count, kMostRows)), dim);
  if (distance >= kLeastCosineDistance) return;
  warn(
      fmt::format("table '{}': 1 - cosine of its train rows is {:.1e} on average, expected at least {:.1e}: "
                  "float32 rounds a cosine by up to {:.1e}, so which rows are near is partly a matter of "
                  "rounding; the rows have a large part in common: {}",
                  table, distance, kLeastCosineDistance, kLeastCosineDistance / 100, cure));
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

}  // namespace graft::learning
