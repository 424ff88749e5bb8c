#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <graft/predictor.h>

namespace graft::embedding {

/// Labelled points: row-major labels.size() x dim.
struct Points {
  std::span<const double> values;
  std::size_t dim = 0;
  std::span<const std::int32_t> labels;
};

/// Neighbourhood components analysis (Goldberger et al. 2004): 1 - the mean over the points of
///
///     p_i = sum over j of the class of i, j != i, of  exp(-|y_i - y_j|^2) / sum over k != i exp(-|y_i -
///     y_k|^2)
///
/// which is the expected error of leave-one-out, nearest neighbour drawn at random. Writes its gradient by
/// the points. A point that is alone in its class has p_i = 0.
double nca(const Points& points, std::span<double> gradient, Parallel& parallel);

/// Supervised contrastive loss (Khosla et al. 2020, equation 2) of the points scaled to length 1, z = y /
/// |y|: the mean over the points that have others of their class, P(i), of
///
///     -1 / |P(i)| sum over p in P(i) of  log( exp(z_i'z_p / T) / sum over k != i exp(z_i'z_k / T) )
///
/// Writes its gradient by the points. A point of length 0 counts as z = 0 and gets no gradient.
double supervised_contrastive(const Points& points, double temperature, std::span<double> gradient,
                              Parallel& parallel);

}  // namespace graft::embedding
