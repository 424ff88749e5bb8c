// What a run leaves in models/ is the model: loaded again, it gives the scores of predictions/ to the last
// bit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <graft/testing/stage_harness.h>

#include "program.h"
#include "run/bundle_file.h"
#include "store/shard.h"

namespace graft::test {
namespace {

std::vector<std::vector<std::string>> csv(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::vector<std::string>> out;
  for (std::string line; std::getline(in, line);) {
    out.emplace_back();
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) out.back().push_back(field);
  }
  return out;
}

struct StageOf {
  const char* name;
  const char* plugin;
  const char* with;
};
void PrintTo(const StageOf& stage, std::ostream* out) {
  *out << stage.name;
}
constexpr StageOf kLearners[] = {{"linear_probe", "linear_probe", "{}"},
                                 {"mlp", "mlp", "{}"},
                                 {"knn", "knn", "{}"},
                                 {"knn_of_read_rows", "knn", "{cache: 0}"},
                                 {"prototypes", "prototypes", "{}"},
                                 {"hybrid", "hybrid", "{}"}};

/// One run with every learner of tables, shared by the tests.
class BundleTest : public ::testing::TestWithParam<StageOf> {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    const auto config = folder_->write("config.yaml", R"(name: bundles
stages:
  images: {plugin: synthetic, with: {task: target, size: 16, train: 60, val: 30, test: 40}}
  rows: {plugin: pixel_table, from: images}
)" + learners());
    program_ =
        run_program({"run", config, "--quiet", "--out", *folder_ / "out", "--store", *folder_ / "store"});
    const std::vector<std::vector<std::string>> inputs = csv(*folder_ / "out/inputs.csv");
    for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder_ / "store")) {
      if (entry.path().filename() != "00000001") continue;
      const Shard shard(entry.path().parent_path().parent_path() / "shards", ShardEntry::read(entry.path()));
      const auto dim = static_cast<std::size_t>(elements(shard.entry().format.shape));
      std::vector<std::uint8_t> pixels(shard.entry().row_ids.size() * dim);
      shard.read(0, shard.entry().row_ids.size(), pixels.data());
      std::vector<float> values;
      std::vector<std::int32_t> labels;
      // Rows are sealed in the order of the source, which is that of inputs.csv.
      for (std::size_t r = 0; r + 1 < inputs.size(); ++r) {
        if (inputs[r + 1][2] != "test") continue;
        labels.push_back(0);
        for (std::size_t d = 0; d < dim; ++d) values.push_back(pixels[r * dim + d]);
      }
      test_ = std::make_unique<MemoryRows>(std::move(values), dim, labels, Split::Test);
    }
  }
  static void TearDownTestSuite() {
    test_.reset();
    folder_.reset();
  }

  static std::string learners() {
    std::string out;
    for (const StageOf& stage : kLearners)
      out += std::string("  ") + stage.name + ": {plugin: " + stage.plugin +
             ", from: rows, with: " + stage.with + "}\n";
    return out;
  }

  static inline std::unique_ptr<TempFolder> folder_;
  static inline ProgramResult program_;
  static inline std::unique_ptr<MemoryRows> test_;
};
INSTANTIATE_TEST_SUITE_P(Learners, BundleTest, ::testing::ValuesIn(kLearners),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(BundleTest, GivesTheScoresOfTheRun) {
  ASSERT_EQ(program_.exit_code, 0) << program_.err;
  ASSERT_NE(test_, nullptr);
  ASSERT_EQ(test_->rows(), 40u);
  const std::string name = GetParam().name;
  const Bundle bundle = load_bundle(*folder_ / "out/models" / name);
  testing::StageHarness stage(GetParam().plugin, GetParam().with);
  Sequential sequential;
  const Scores scores = stage.as<Learner>().load(bundle)->predict({test_.get()}, sequential);
  std::size_t row = 0;
  for (const auto& line : csv(*folder_ / "out/predictions" / (name + ".csv"))) {
    if (line[1] != "test") continue;
    for (std::size_t c = 0; c < scores.classes; ++c)
      EXPECT_EQ(scores.row(row)[c], std::stof(line[4 + c])) << line[0] << " class " << c;
    ++row;
  }
  EXPECT_EQ(row, 40u);
}

}  // namespace
}  // namespace graft::test
