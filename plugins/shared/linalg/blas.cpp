#include "linalg/blas.h"

#include <cblas.h>
#include <omp.h>

// LAPACK comes inside OpenBLAS; Debian ships no header for it.
extern "C" {
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dpotrs_(const char* uplo, const int* n, const int* nrhs, const double* a, const int* lda, double* b,
             const int* ldb, int* info);
}

namespace graft::linalg {
namespace {

/// OpenBLAS built with OpenMP takes its number of threads from the calling thread's OpenMP setting at every
/// call; built with POSIX threads it has one number for the process.
class OneThread {
 public:
  OneThread() {
    static const bool posix_threads = openblas_get_parallel() == OPENBLAS_THREAD;
    if (posix_threads && openblas_get_num_threads() != 1) openblas_set_num_threads(1);
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_ = omp_get_max_threads();
};

int as_int(std::size_t n) {
  return static_cast<int>(n);
}

}  // namespace

// A product with one vector is bound by memory: gemm would first copy the matrix.
void multiply_nt(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c) {
  const OneThread one_thread;
  if (b.rows == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, as_int(a.rows), as_int(a.cols), 1.0F, a.data, as_int(a.stride),
                b.data, 1, 0.0F, c.data, as_int(c.stride));
    return;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(a.rows), as_int(b.rows), as_int(a.cols), 1.0F,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0F, c.data, as_int(c.stride));
}

void multiply_tn(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c) {
  const OneThread one_thread;
  if (a.cols == 1) {
    cblas_sgemv(CblasRowMajor, CblasTrans, as_int(b.rows), as_int(b.cols), 1.0F, b.data, as_int(b.stride),
                a.data, as_int(a.stride), 0.0F, c.data, 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(a.cols), as_int(b.cols), as_int(a.rows), 1.0F,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0F, c.data, as_int(c.stride));
}

void gram_lower(MatrixRef<const float> a, MatrixRef<float> c) {
  const OneThread one_thread;
  cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, as_int(a.cols), as_int(a.rows), 1.0F, a.data,
              as_int(a.stride), 0.0F, c.data, as_int(c.stride));
}

// Row-major lower is column-major upper, which is what LAPACK is told; rows of right-hand sides are its
// columns.
bool cholesky(MatrixRef<double> a) {
  const OneThread one_thread;
  const int n = as_int(a.rows);
  const int stride = as_int(a.stride);
  int info = 0;
  dpotrf_("U", &n, a.data, &stride, &info);
  return info == 0;
}

void cholesky_solve(MatrixRef<const double> l, MatrixRef<double> rows) {
  const OneThread one_thread;
  const int n = as_int(l.rows);
  const int count = as_int(rows.rows);
  const int stride = as_int(l.stride);
  const int row_stride = as_int(rows.stride);
  int info = 0;
  dpotrs_("U", &n, &count, l.data, &stride, rows.data, &row_stride, &info);
}

}  // namespace graft::linalg
