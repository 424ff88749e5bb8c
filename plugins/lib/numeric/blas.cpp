#include <numeric/blas.h>

#include <cblas.h>
#include <omp.h>

#include <vector>

#include <graft/error.h>

// LAPACK comes inside OpenBLAS; Debian ships no header for it.
extern "C" {
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dpotrs_(const char* uplo, const int* n, const int* nrhs, const double* a, const int* lda, double* b,
             const int* ldb, int* info);
void dsyevd_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w,
             double* work, const int* lwork, int* iwork, const int* liwork, int* info);
}

namespace graft::numeric {
namespace {

int as_int(std::size_t n) {
  return static_cast<int>(n);
}

}  // namespace

// OpenBLAS built with OpenMP takes its number of threads from the calling thread's OpenMP setting at every
// call; built with POSIX threads it has one number for the process.
OneThread::OneThread() : before_(omp_get_max_threads()) {
  static const bool kPosixThreads = openblas_get_parallel() == OPENBLAS_THREAD;
  if (kPosixThreads && openblas_get_num_threads() != 1) openblas_set_num_threads(1);
  if (before_ != 1) omp_set_num_threads(1);
}

OneThread::~OneThread() {
  if (before_ != 1) omp_set_num_threads(before_);
}

void multiply_nn(MatrixRef<const float> a, MatrixRef<const float> b, MatrixRef<float> c) {
  const OneThread one_thread;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, as_int(a.rows), as_int(b.cols), as_int(a.cols), 1.0F,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0F, c.data, as_int(c.stride));
}

void multiply_nn(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c) {
  const OneThread one_thread;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, as_int(a.rows), as_int(b.cols), as_int(a.cols), 1.0,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0, c.data, as_int(c.stride));
}

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

void multiply_nt(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c) {
  const OneThread one_thread;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(a.rows), as_int(b.rows), as_int(a.cols), 1.0,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0, c.data, as_int(c.stride));
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

void multiply_tn(MatrixRef<const double> a, MatrixRef<const double> b, MatrixRef<double> c) {
  const OneThread one_thread;
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(a.cols), as_int(b.cols), as_int(a.rows), 1.0,
              a.data, as_int(a.stride), b.data, as_int(b.stride), 0.0, c.data, as_int(c.stride));
}

void gram_lower(MatrixRef<const float> a, MatrixRef<float> c) {
  const OneThread one_thread;
  cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, as_int(a.cols), as_int(a.rows), 1.0F, a.data,
              as_int(a.stride), 0.0F, c.data, as_int(c.stride));
}

void add_gram_lower(MatrixRef<const double> a, MatrixRef<double> c) {
  const OneThread one_thread;
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, as_int(a.cols), as_int(a.rows), 1.0, a.data,
              as_int(a.stride), 1.0, c.data, as_int(c.stride));
}

// Row-major lower is column-major upper, as LAPACK gets it; rows of right-hand sides are its
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

void symmetric_eigen(MatrixRef<double> a, std::span<double> values) {
  if (a.rows == 0) return;
  const OneThread one_thread;
  const int n = as_int(a.rows);
  const int stride = as_int(a.stride);
  const int ask = -1;
  int info = 0;
  double best_work = 0;
  int best_iwork = 0;
  dsyevd_("V", "U", &n, a.data, &stride, values.data(), &best_work, &ask, &best_iwork, &ask, &info);
  std::vector<double> work(static_cast<std::size_t>(best_work));
  std::vector<int> iwork(static_cast<std::size_t>(best_iwork));
  const int work_size = as_int(work.size());
  const int iwork_size = as_int(iwork.size());
  dsyevd_("V", "U", &n, a.data, &stride, values.data(), work.data(), &work_size, iwork.data(), &iwork_size,
          &info);
  if (info != 0) throw Error("the eigenvalues of a symmetric matrix do not converge: look for huge features");
}

}  // namespace graft::numeric
