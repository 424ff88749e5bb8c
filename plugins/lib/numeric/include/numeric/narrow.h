#pragma once

#include <cstddef>

#include <numeric/blas.h>

/// \file
/// Products of a tall matrix and one of few rows, as learners with few outputs need them. BLAS copies the
/// tall matrix into an order of its own first, which takes longer than the product; these read it where it
/// is. On the calling thread; sums are taken in a fixed order, in float32.
namespace graft::numeric {

/// Up to so many rows of the narrow matrix this is faster than BLAS.
constexpr std::size_t kNarrow = 32;

/// c = x w^T. Shapes n x d, k x d, n x k. An element depends on its row of x and its row of w alone, to the
/// last bit, not on how many rows there are or where they stand, as with BLAS, which has other kernels for
/// other shapes: so what a model predicts of an image does not depend on what else is predicted, and it is
/// used for that with any number of outputs.
void narrow_nt(MatrixRef<const float> x, MatrixRef<const float> w, MatrixRef<float> c);
/// Adds r^T x to c. Shapes n x k, n x d, k x d. Meant for few rows at a time, which then stay in the cache.
void add_narrow_tn(MatrixRef<const float> r, MatrixRef<const float> x, MatrixRef<float> c);

}  // namespace graft::numeric
