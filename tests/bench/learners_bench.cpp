// learners_bench [THREADS [ROWS DIM K]]: seconds of exact k nearest neighbours, ROWS queries among ROWS rows
// of length 1, next to FAISS's flat index and to the plain way (all products, then a stable sort), in turn,
// best of five rounds (of one for the plain way).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include <graft/random.h>
#include <learning/features.h>
#include <numeric/blas.h>
#include <search/neighbours.h>

#if GRAFT_HAS_FAISS
#include <faiss/IndexFlat.h>
#include <omp.h>
#endif

namespace {

using namespace graft;

std::vector<float> unit_rows(std::size_t n, std::size_t dim, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> v(n * dim);
  for (float& e : v) e = static_cast<float>(random.normal());
  learning::RowScaler(learning::RowScaler::Kind::L2).apply(n, dim, v.data());
  return v;
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Blocks of queries as the learners have them, dealt to threads.
void for_blocks(std::size_t n, std::size_t block, int threads,
                const std::function<void(std::size_t first, std::size_t count)>& body) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (std::size_t first; (first = block * next++) < n;) body(first, std::min(block, n - first));
    });
  for (std::thread& worker : workers) worker.join();
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const std::size_t n = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10000;
  const std::size_t dim = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 512;
  const std::size_t k = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 20;
  const std::vector<float> rows = unit_rows(n, dim, 1);
  const std::vector<float> queries = unit_rows(n, dim, 2);
  const search::ExactIndex index(rows, dim, search::Metric::kCosine);

  std::vector<search::Neighbour> found(n * k);
  const auto ours = [&] {
    for_blocks(n, learning::rows_per_block(dim), threads, [&](std::size_t first, std::size_t count) {
      Sequential within;
      const auto best = index.search({queries.data() + first * dim, count * dim}, k, {}, within);
      std::copy(best.begin(), best.end(), found.begin() + static_cast<std::ptrdiff_t>(first * k));
    });
  };
  const auto product = [&] {
    for_blocks(n, 512, threads, [&](std::size_t first, std::size_t count) {
      std::vector<float> scores(count * n);
      numeric::multiply_nt({queries.data() + first * dim, count, dim}, {rows.data(), n, dim},
                           {scores.data(), count, n});
    });
  };
  const auto plain = [&] {
    for_blocks(n, 512, threads, [&](std::size_t first, std::size_t count) {
      std::vector<float> scores(count * n);
      numeric::multiply_nt({queries.data() + first * dim, count, dim}, {rows.data(), n, dim},
                           {scores.data(), count, n});
      std::vector<std::uint32_t> order(n);
      for (std::size_t q = 0; q < count; ++q) {
        std::iota(order.begin(), order.end(), 0U);
        const float* s = scores.data() + q * n;
        std::stable_sort(order.begin(), order.end(),
                         [s](std::uint32_t a, std::uint32_t b) { return s[a] > s[b]; });
      }
    });
  };
#if GRAFT_HAS_FAISS
  faiss::IndexFlatIP flat(static_cast<std::int64_t>(dim));
  flat.add(static_cast<std::int64_t>(n), rows.data());
  std::vector<float> distances(n * k);
  std::vector<std::int64_t> labels(n * k);
  omp_set_num_threads(threads);
  const auto theirs = [&] {
    flat.search(static_cast<std::int64_t>(n), queries.data(), static_cast<std::int64_t>(k), distances.data(),
                labels.data());
  };
#endif
  double best_ours = 1e9, best_product = 1e9;
  [[maybe_unused]] double best_theirs = 1e9;
  for (int round = 0; round < 5; ++round) {
    best_product = std::min(best_product, seconds(product));
    best_ours = std::min(best_ours, seconds(ours));
#if GRAFT_HAS_FAISS
    best_theirs = std::min(best_theirs, seconds(theirs));
#endif
  }
  const double sorted = seconds(plain);
  std::printf("k-NN, %zu queries among %zu rows of %zu, k = %zu, %d threads\n", n, n, dim, k, threads);
  std::printf("  products alone           %.3f s\n", best_product);
  std::printf("  graft                    %.3f s\n", best_ours);
#if GRAFT_HAS_FAISS
  std::size_t same = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    same += static_cast<std::int64_t>(found[i].row) == labels[i] ? 1 : 0;
  std::printf("  FAISS IndexFlatIP        %.3f s   graft / FAISS %.2f, same rows %.4f %%\n", best_theirs,
              best_ours / best_theirs, 100.0 * static_cast<double>(same) / static_cast<double>(found.size()));
#else
  std::printf("  FAISS IndexFlatIP        skipped: built without libfaiss-dev\n");
#endif
  std::printf("  products, stable sort    %.3f s   / graft %.1f\n", sorted, sorted / best_ours);
}
