#include "feature_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <graft/random.h>

namespace graft::page {
namespace {

using Row = std::vector<float>;

Row read_row(const RowSet& rows, std::size_t at) {
  Row out(rows.dim());
  rows.read(at, 1, out.data());
  return out;
}

double product(const Row& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

double length(const std::vector<double>& v) {
  return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

/// The direction of the largest variance of centred rows that is orthogonal to `others`: power iteration,
/// from a fixed start.
std::vector<double> leading_direction(const std::vector<Row>& rows,
                                      const std::vector<std::vector<double>>& others,
                                      Interruptible& parallel) {
  constexpr int kSteps = 200;
  const std::size_t dim = rows[0].size();
  Random random(17);
  std::vector<double> v(dim);
  for (double& x : v) x = random.normal();
  const auto orthogonal = [&](std::vector<double>& u) {
    for (const auto& other : others) {
      const double along = std::inner_product(u.begin(), u.end(), other.begin(), 0.0);
      for (std::size_t i = 0; i < dim; ++i) u[i] -= along * other[i];
    }
    const double size = length(u);
    if (size > 0)
      for (double& x : u) x /= size;
  };
  orthogonal(v);
  for (int step = 0; step < kSteps; ++step) {
    parallel.check();
    std::vector<double> next(dim);
    for (const Row& row : rows) {
      const double along = product(row, v);
      for (std::size_t i = 0; i < dim; ++i) next[i] += along * static_cast<double>(row[i]);
    }
    if (!(length(next) > 0)) return std::vector<double>(dim);  // rows without variance there
    orthogonal(next);
    const double turned = 1 - std::abs(std::inner_product(v.begin(), v.end(), next.begin(), 0.0));
    v = std::move(next);
    if (turned < 1e-10) break;
  }
  // One sign of two, the same each time.
  const auto largest =
      std::max_element(v.begin(), v.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
  if (*largest < 0)
    for (double& x : v) x = -x;
  return v;
}

}  // namespace

FeatureMap feature_map(const RowSet& rows, std::vector<std::size_t> of, std::size_t most,
                       Interruptible& parallel) {
  FeatureMap map;
  if (of.size() < 3 || rows.dim() > kMostFeatures || rows.dim() < 1) return map;
  if (of.size() > most) {
    std::vector<std::size_t> spread;
    for (std::size_t i = 0; i < most; ++i) spread.push_back(of[i * of.size() / most]);
    of = std::move(spread);
  }
  std::vector<Row> features;
  for (const std::size_t row : of) features.push_back(read_row(rows, row));
  std::vector<double> mean(rows.dim());
  for (const Row& row : features)
    for (std::size_t i = 0; i < row.size(); ++i)
      mean[i] += static_cast<double>(row[i]) / static_cast<double>(features.size());
  double variance = 0;
  for (Row& row : features)
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] -= static_cast<float>(mean[i]);
      variance += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    }
  if (!(variance > 0) || !std::isfinite(variance)) return map;
  std::vector<std::vector<double>> directions;
  for (int d = 0; d < 2; ++d) directions.push_back(leading_direction(features, directions, parallel));
  for (std::size_t i = 0; i < of.size(); ++i) {
    const double at[2] = {product(features[i], directions[0]), product(features[i], directions[1])};
    map.points.push_back({of[i], at[0], at[1]});
    for (int d = 0; d < 2; ++d) map.explained[d] += at[d] * at[d] / variance;
  }
  return map;
}

std::vector<std::vector<NearRow>> nearest_rows(const RowSet& rows, const std::vector<std::size_t>& queries,
                                               const std::vector<std::size_t>& among, std::size_t k,
                                               Interruptible& parallel) {
  std::vector<std::vector<NearRow>> best(queries.size());
  if (rows.dim() > kMostFeatures || rows.dim() < 1) return best;
  std::vector<std::vector<double>> directions;
  for (const std::size_t q : queries) {
    const Row row = read_row(rows, q);
    std::vector<double> v(row.begin(), row.end());
    const double size = length(v);
    for (double& x : v) x = size > 0 ? x / size : 0;
    directions.push_back(std::move(v));
  }
  for (std::size_t i = 0; i < among.size(); ++i) {
    if (i % 1024 == 0) parallel.check();
    const Row row = read_row(rows, among[i]);
    double square = 0;
    for (const float x : row) square += static_cast<double>(x) * static_cast<double>(x);
    if (!(square > 0)) continue;
    for (std::size_t q = 0; q < queries.size(); ++q) {
      const double cosine = product(row, directions[q]) / std::sqrt(square);
      auto& own = best[q];
      const auto at =
          std::find_if(own.begin(), own.end(), [&](const NearRow& n) { return cosine > n.cosine; });
      if (at == own.end() && own.size() >= k) continue;
      own.insert(at, {among[i], cosine});
      if (own.size() > k) own.pop_back();
    }
  }
  return best;
}

}  // namespace graft::page
