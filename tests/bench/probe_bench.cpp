// probe_bench TRAIN.h5 THREADS C...: seconds of a multinomial logistic regression from nothing for every C,
// features in memory: reading and checking the rows, the preconditioner, and L-BFGS to the plugin's default
// tolerance. Median of five rounds, one line a C. The file has `features` f32 [n, d] and `labels` [n].

#include <hdf5.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/table.h>

#include <linear/softmax_regression.h>
#include "graph/workers.h"

namespace {

using namespace graft;

constexpr int kRounds = 5;

/// A dataset and the length of its rows.
template <typename T>
std::pair<std::vector<T>, std::size_t> read(const std::string& path, const char* name, hid_t type) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = file < 0 ? file : H5Dopen2(file, name, H5P_DEFAULT);
  if (set < 0) throw Error(path + ": no HDF5 file with '" + name + "'");
  const hid_t space = H5Dget_space(set);
  hsize_t shape[2] = {0, 1};
  H5Sget_simple_extent_dims(space, shape, nullptr);
  std::vector<T> out(shape[0] * shape[1]);
  if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
    throw Error(path + ": '" + name + "' cannot be read");
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  return {std::move(out), shape[1]};
}

int run(int argc, char** argv) {
  if (argc < 4) throw Error("usage: probe_bench TRAIN.h5 THREADS C...");
  auto [values, dim] = read<float>(argv[1], "features", H5T_NATIVE_FLOAT);
  const auto labels = read<std::int32_t>(argv[1], "labels", H5T_NATIVE_INT32).first;
  const std::size_t classes = static_cast<std::size_t>(*std::max_element(labels.begin(), labels.end())) + 1;
  const MemoryRows table(std::move(values), dim, labels);
  Workers workers(std::atoi(argv[2]));
  for (int i = 3; i < argc; ++i) {
    const double c = std::atof(argv[i]);
    std::vector<double> seconds;
    numeric::LbfgsResult result;
    for (int round = 0; round < kRounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const learning::FeatureRows rows(table, classes, std::numeric_limits<std::size_t>::max(), workers);
      linear::SoftmaxRegression regression(rows, classes, workers, {});
      std::vector<double> solution(regression.size());
      result = regression.fit(c, solution);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    std::printf("%g %.4f %.8f %d %d %s\n", c, seconds[kRounds / 2], result.objective, result.iterations,
                result.evaluations, numeric::to_string(result.stop));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
