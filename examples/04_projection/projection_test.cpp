#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <graft/safetensors.h>
#include <graft/testing/contract.h>
#include <graft/testing/error_of.h>

using graft::testing::StageHarness;

namespace {

class Projection : public ::testing::Test {
 protected:
  ~Projection() override { std::filesystem::remove(file_); }
  void save(const std::map<std::string, graft::Tensor>& tensors) const {
    std::ofstream(file_, std::ios::binary) << graft::to_safetensors(tensors);
  }
  std::string params() const { return "{model: " + file_.string() + "}"; }

  std::filesystem::path file_ = std::filesystem::temp_directory_path() / "graft-projection-test.safetensors";
};

TEST_F(Projection, ObeysTheContract) {
  save({{"weight", StageHarness::tensor({1, 16}, std::vector<float>(16, 0.5F))},
        {"bias", StageHarness::tensor({1}, {1})}});
  EXPECT_EQ(graft::testing::check_contract("projection", {.params = params()}), "");
}

TEST_F(Projection, MultipliesAndAdds) {
  save({{"weight", StageHarness::tensor({2, 3}, {1, 0, 0, 1, 2, 3})},
        {"bias", StageHarness::tensor({2}, {10, 20})}});
  StageHarness stage("projection", params());
  const auto out =
      stage.apply_batch({StageHarness::tensor({3}, {1, 2, 3}), StageHarness::tensor({2}, {1, 2})});
  EXPECT_EQ(std::get<graft::Tensor>(out[0].payload).as<float>()[0], 11);
  EXPECT_EQ(std::get<graft::Tensor>(out[0].payload).as<float>()[1], 34);
  EXPECT_EQ(out[1].reject_text, "expected f32[3], got f32[2]");
}

TEST_F(Projection, NamesWhatIsWrongWithTheFile) {
  save({{"weight", StageHarness::tensor({2, 3}, {1, 0, 0, 1, 2, 3})},
        {"bias", StageHarness::tensor({1}, {10})}});
  EXPECT_EQ(graft::testing::error_of([&] { StageHarness("projection", params()); }),
            file_.string() + ": expected weight [out,in] and bias [out], got [2,3] and [1]");
  std::ofstream(file_, std::ios::binary) << "short";
  EXPECT_EQ(graft::testing::error_of([&] { StageHarness("projection", params()); }),
            file_.string() + ": not a safetensors file");
}

}  // namespace
