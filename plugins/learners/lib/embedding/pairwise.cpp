#include "pairwise.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <numeric/blas.h>
#include <numeric/parts.h>

namespace graft::embedding {
namespace {

constexpr std::size_t kBlockRows = 64;

/// Turns the products of point i with all points into what the loss has of it, and into the derivatives of
/// that by the scores, in place.
using Weigh = std::function<double(std::size_t i, std::span<double> row)>;

struct Sums {
  double loss = 0;
  std::vector<double> by_column;  // n x dim: sum over i of w(i, j) y_i
  std::vector<double> columns;    // n: sum over i of w(i, j)
};

/// What the losses have in common: rows of products Y Y', weights w(i, j) from them, and from those W Y, W'Y
/// and the sums of W by row and by column.
struct Pairs {
  double loss = 0;
  std::vector<double> by_row, by_column;  // n x dim
  std::vector<double> rows, columns;      // n
};

Pairs over_pairs(const Points& y, const Weigh& weigh, Parallel& parallel) {
  const std::size_t n = y.labels.size();
  const std::size_t dim = y.dim;
  const std::size_t blocks = (n + kBlockRows - 1) / kBlockRows;
  const numeric::Parts parts(blocks, n * (dim + 1) * sizeof(double));
  Pairs out;
  out.by_row.resize(n * dim);
  out.rows.resize(n);
  std::vector<Sums> sums(parts.count());
  parallel.for_each(parts.count(), [&](std::size_t p) {
    Sums& mine = sums[p];
    mine.by_column.assign(n * dim, 0);
    mine.columns.assign(n, 0);
    std::vector<double> w(kBlockRows * n), product(n * dim);
    for (std::size_t b = parts.begin(p); b < parts.begin(p + 1); ++b) {
      const std::size_t first = b * kBlockRows;
      const std::size_t count = std::min(kBlockRows, n - first);
      const double* block = y.values.data() + first * dim;
      numeric::multiply_nt({block, count, dim}, {y.values.data(), n, dim}, {w.data(), count, n});
      for (std::size_t r = 0; r < count; ++r) {
        const std::span<double> row(w.data() + r * n, n);
        mine.loss += weigh(first + r, row);
        for (std::size_t j = 0; j < n; ++j) {
          out.rows[first + r] += row[j];
          mine.columns[j] += row[j];
        }
      }
      numeric::multiply_nn({w.data(), count, n}, {y.values.data(), n, dim},
                           {out.by_row.data() + first * dim, count, dim});
      numeric::multiply_tn({w.data(), count, n}, {block, count, dim}, {product.data(), n, dim});
      for (std::size_t i = 0; i < product.size(); ++i) mine.by_column[i] += product[i];
    }
  });
  out.by_column = std::move(sums[0].by_column);
  out.columns = std::move(sums[0].columns);
  out.loss = sums[0].loss;
  for (std::size_t p = 1; p < parts.count(); ++p) {
    out.loss += sums[p].loss;
    for (std::size_t i = 0; i < out.by_column.size(); ++i) out.by_column[i] += sums[p].by_column[i];
    for (std::size_t j = 0; j < n; ++j) out.columns[j] += sums[p].columns[j];
  }
  return out;
}

/// Replaces scores by their softmax over all but `self`, which becomes 0; returns log(sum(exp)).
double softmax_of_others(std::span<double> scores, std::size_t self) {
  scores[self] = -std::numeric_limits<double>::infinity();
  const double top = *std::max_element(scores.begin(), scores.end());
  if (!(top > -std::numeric_limits<double>::infinity())) {  // there are no others
    scores[self] = 0;
    return 0;
  }
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - top);
  for (double& s : scores) s /= sum;
  return top + std::log(sum);
}

}  // namespace

double nca(const Points& y, std::span<double> gradient, Parallel& parallel) {
  const std::size_t n = y.labels.size();
  const std::size_t dim = y.dim;
  std::vector<double> squares(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < dim; ++d) squares[i] += y.values[i * dim + d] * y.values[i * dim + d];
  }
  const double share = 1 / static_cast<double>(n);
  const Pairs pairs = over_pairs(
      y,
      [&](std::size_t i, std::span<double> row) {
        // -|y_i - y_j|^2; |y_i|^2 is the same for all j and cancels.
        for (std::size_t j = 0; j < n; ++j) row[j] = 2 * row[j] - squares[j];
        softmax_of_others(row, i);
        double p = 0;
        for (std::size_t j = 0; j < n; ++j) p += y.labels[j] == y.labels[i] ? row[j] : 0;
        for (std::size_t j = 0; j < n; ++j) row[j] *= -((y.labels[j] == y.labels[i] ? 1 : 0) - p) * share;
        return share * (1 - p);
      },
      parallel);
  // The score is -|y_i - y_j|^2: its derivative by y_i is 2 (y_j - y_i), by y_j the opposite.
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < dim; ++d) {
      const std::size_t at = i * dim + d;
      gradient[at] = 2 * (pairs.by_row[at] - pairs.rows[i] * y.values[at] + pairs.by_column[at] -
                          pairs.columns[i] * y.values[at]);
    }
  }
  return pairs.loss;
}

double supervised_contrastive(const Points& y, double temperature, std::span<double> gradient,
                              Parallel& parallel) {
  const std::size_t n = y.labels.size();
  const std::size_t dim = y.dim;
  std::vector<double> z(y.values.begin(), y.values.end()), lengths(n);
  for (std::size_t i = 0; i < n; ++i) {
    double squares = 0;
    for (std::size_t d = 0; d < dim; ++d) squares += z[i * dim + d] * z[i * dim + d];
    lengths[i] = std::sqrt(squares);
    for (std::size_t d = 0; d < dim && squares > 0; ++d) z[i * dim + d] /= lengths[i];
  }
  std::vector<double> of_class(
      n == 0 ? 0 : static_cast<std::size_t>(*std::max_element(y.labels.begin(), y.labels.end())) + 1);
  for (const std::int32_t label : y.labels) ++of_class[static_cast<std::size_t>(label)];
  double anchors = 0;
  for (const std::int32_t label : y.labels) anchors += of_class[static_cast<std::size_t>(label)] > 1 ? 1 : 0;
  const double share = 1 / std::max(anchors, 1.0);

  const Pairs pairs = over_pairs(
      {z, dim, y.labels},
      [&](std::size_t i, std::span<double> row) {
        const double positives = of_class[static_cast<std::size_t>(y.labels[i])] - 1;
        if (positives == 0) {
          std::fill(row.begin(), row.end(), 0.0);
          return 0.0;
        }
        double own = 0;
        for (std::size_t j = 0; j < n; ++j) {
          row[j] /= temperature;
          if (j != i && y.labels[j] == y.labels[i]) own += row[j];
        }
        const double log_sum = softmax_of_others(row, i);
        for (std::size_t j = 0; j < n; ++j) {
          if (j != i && y.labels[j] == y.labels[i]) row[j] -= 1 / positives;
          row[j] *= share / temperature;
        }
        return share * (log_sum - own / positives);
      },
      parallel);
  for (std::size_t i = 0; i < n; ++i) {
    const double* zi = z.data() + i * dim;
    double* to = gradient.data() + i * dim;
    double along = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      to[d] = pairs.by_row[i * dim + d] + pairs.by_column[i * dim + d];
      along += to[d] * zi[d];
    }
    for (std::size_t d = 0; d < dim; ++d) to[d] = lengths[i] > 0 ? (to[d] - along * zi[d]) / lengths[i] : 0;
  }
  return pairs.loss;
}

}  // namespace graft::embedding
