#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <graft/testing/contract.h>

using graft::testing::StageHarness;

namespace {

/// As numpy.save writes a vector.
std::string npy(const std::vector<float>& values, const std::string& type = "<f4") {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(values.size()) + ",), }";
  header.resize(117, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00\x76\x00", 10);
  out += header;
  out.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  return out;
}

class NpyFolder : public ::testing::Test {
 protected:
  NpyFolder() {
    std::filesystem::remove_all(root_);
    write("cats/a.npy", npy({1, 2, 3}));
    write("dogs/b.npy", npy({4, 5, 6}));
  }
  ~NpyFolder() override { std::filesystem::remove_all(root_); }
  void write(const std::string& name, const std::string& content) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  std::string params() const { return "{root: " + root_.string() + "}"; }

  std::filesystem::path root_ = std::filesystem::temp_directory_path() / "graft-npy-folder-test";
};

TEST_F(NpyFolder, ObeysTheContract) {
  EXPECT_EQ(graft::testing::check_contract("npy_folder", {.params = params()}), "");
}

TEST_F(NpyFolder, ReadsVectorsAndTakesClassesFromFolders) {
  StageHarness source("npy_folder", params());
  const auto entries = source.list();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].key, "dogs/b.npy");
  EXPECT_EQ(source.as<graft::Source>().classes(), (std::vector<std::string>{"cats", "dogs"}));
  const auto vector = std::get<graft::Tensor>(source.load(entries[1]));
  EXPECT_EQ(vector.shape, (graft::Shape{3}));
  EXPECT_EQ(vector.as<float>()[2], 6);
}

TEST_F(NpyFolder, RejectsWhatIsNoVectorOfFloats) {
  write("cats/a.npy", npy({1, 2, 3}, "<f8"));
  write("dogs/b.npy", npy({4, 5, 6}).substr(0, 135));
  StageHarness source("npy_folder", params());
  const auto entries = source.list();
  EXPECT_THROW(source.load(entries[0]), graft::Reject);
  try {
    source.load(entries[1]);
    FAIL();
  } catch (const graft::Reject& e) {
    EXPECT_STREQ(e.what(), "expected 12 bytes of data, got 7");
  }
}

}  // namespace
