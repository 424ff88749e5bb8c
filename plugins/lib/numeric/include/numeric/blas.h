#pragma once

#include <cstddef>
#include <span>

/// \file
/// The few BLAS and LAPACK calls that learners need. Every call runs on the thread that makes it, whatever
/// the environment says: learners cut their work into blocks of a fixed size and hand the blocks to
/// graft::Parallel; a BLAS that split a block once more would make sums depend on the number of threads, and
/// fight for the cores.
namespace graft::numeric {

/// While it lives, the BLAS and OpenMP work on the calling thread alone. The functions below have one inside;
/// it is here for other libraries that are built on both.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_;
};

/// A row-major matrix that someone else owns; `stride` elements from one row to the next.
template <typename T>
struct MatrixRef {
  T* data;
  std::size_t rows;
  std::size_t cols;
  std::size_t stride;

  MatrixRef(T* d, std::size_t r, std::size_t c) : MatrixRef(d, r, c, c) {}
  MatrixRef(T* d, std::size_t r, std::size_t c, std::size_t s) : data(d), rows(r), cols(c), stride(s) {}
};

/// c = a b. Shapes m x k, k x n, m x n.
void multiply_nn(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c);
void multiply_nn(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c);
/// c = a b^T. Shapes m x k, n x k, m x n.
void multiply_nt(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c);
void multiply_nt(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c);
/// c = a^T b. Shapes k x m, k x n, m x n.
void multiply_tn(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c);
void multiply_tn(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c);
/// Lower triangle of c = a^T a; what lies above the diagonal keeps its content. Shapes k x n, n x n.
void gram_lower(MatrixRef<const float> a, MatrixRef<float> c);
/// Adds a^T a to the lower triangle of c.
void add_gram_lower(MatrixRef<const double> a, MatrixRef<double> c);

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor L, a = L L^T. False when the
/// matrix is not positive definite; its content is then lost.
bool cholesky(MatrixRef<double> a);
/// Solves L L^T x = b for every row of `rows` in place. `l` comes from `cholesky`.
void cholesky_solve(MatrixRef<const double> l, MatrixRef<double> rows);

/// Replaces a symmetric matrix, of which the lower triangle is read, by its eigenvectors, one per row and of
/// length 1, and gives its eigenvalues, ascending. The sign of a vector is LAPACK's (divide and conquer,
/// Cuppen 1981). Throws Error when it does not converge: elements that are not finite.
void symmetric_eigen(MatrixRef<double> a, std::span<double> values);

}  // namespace graft::numeric
