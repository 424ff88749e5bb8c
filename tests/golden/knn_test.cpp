// k nearest neighbours on real features, against the accuracies of NumPy and scikit-learn: skipped where the
// data are not there. The figures are those of hymenoptera_probes.json, made by probe_sklearn.py beside it.

#include <hdf5.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

using testing::StageHarness;

/// The folder of the reference files; empty where it is not there.
std::string golden_folder() {
  const char* data = std::getenv("GRAFT_DATA");
  const std::string folder = data == nullptr ? "" : std::string(data) + "/../golden";
  return std::filesystem::exists(folder + "/hymenoptera_probes.json") ? folder : "";
}

template <typename T>
std::vector<T> read(hid_t file, const char* dataset, hid_t type) {
  const hid_t set = H5Dopen2(file, dataset, H5P_DEFAULT);
  const hid_t space = H5Dget_space(set);
  std::vector<T> out(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data());
  H5Sclose(space);
  H5Dclose(set);
  return out;
}

MemoryRows rows_of(const std::string& split) {
  const std::string name = golden_folder() + "/hymenoptera_" + split + "_mobilenet_v1_075.h5";
  const hid_t file = H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  auto features = read<float>(file, "features", H5T_NATIVE_FLOAT);
  const auto labels = read<std::int32_t>(file, "labels", H5T_NATIVE_INT32);
  H5Fclose(file);
  const std::size_t dim = features.size() / labels.size();
  return MemoryRows(std::move(features), dim, labels);
}

/// The whole file, as a value.
Value probes() {
  std::ostringstream content;
  content << std::ifstream(golden_folder() + "/hymenoptera_probes.json").rdbuf();
  return Value::from_json(content.str());
}

/// Expects the accuracy of every k of `wanted` from a knn with `embedding`.
LearnerResult expect_accuracies(const MemoryRows& train, const MemoryRows& val, const Value& wanted,
                                const std::string& embedding) {
  StageHarness knn("knn", "{k: [1, 5, 10, 20]" + embedding + "}");
  LearnerResult result = knn.fit(train, val, {"ants", "bees"});
  const auto& path = result.summary.find("path")->as_list();
  EXPECT_EQ(path.size(), wanted.as_list().size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    EXPECT_EQ(path[i].find("k")->as_int(), wanted.as_list()[i].find("k")->as_int());
    EXPECT_DOUBLE_EQ(path[i].find("val_accuracy")->as_double(),
                     wanted.as_list()[i].find("accuracy")->as_double())
        << "k = " << path[i].find("k")->as_int() << embedding;
  }
  return result;
}

TEST(GoldenKnn, HasTheAccuraciesOfNumPy) {
  if (golden_folder().empty())
    GTEST_SKIP() << "set GRAFT_DATA to the folder beside golden/ with hymenoptera_probes.json";
  const MemoryRows train = rows_of("train"), val = rows_of("val");
  const Value wanted = probes();
  ASSERT_EQ(static_cast<std::int64_t>(train.rows()), wanted.find("train_rows")->as_int());
  ASSERT_EQ(static_cast<std::int64_t>(val.rows()), wanted.find("test_rows")->as_int());
  expect_accuracies(train, val, *wanted.find("knn"), "");
  for (const Value& pca : wanted.find("pca_knn")->as_list()) {
    const std::string dims = std::to_string(pca.find("dim")->as_int());
    const LearnerResult result =
        expect_accuracies(train, val, *pca.find("knn"), ", embedding: {pca: {dims: " + dims + "}}");
    EXPECT_NEAR(result.summary.find("embedding")->find("retained_energy")->as_double(),
                pca.find("retained_energy")->as_double(), 1e-6);
  }
}

}  // namespace
}  // namespace graft
