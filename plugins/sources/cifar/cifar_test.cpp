#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::ElementsAre;
using testing::StageHarness;

/// A record whose pixel at (x, y) of channel c is (7x + 5y + 85c + seed) mod 256.
std::string record(const std::string& labels, int seed) {
  std::string out = labels;
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x) out += static_cast<char>(7 * x + 5 * y + 85 * c + seed);
  return out;
}

class Cifar : public ::testing::Test {
 protected:
  StageHarness open(const std::string& more = "") {
    return StageHarness("cifar", "{root: \"" + root() + "\"" + more + "}");
  }
  std::string root() const { return folder_.path().string(); }
  std::string fault(const std::string& more = "") {
    try {
      open(more);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  }
  TempFolder folder_;
};

TEST_F(Cifar, ReadsRecordsOfCifar10) {
  folder_.write("data_batch_2.bin", record("\x03", 1) + record(std::string(1, '\0'), 2));
  folder_.write("test_batch.bin", record("\x09", 3));
  auto stage = open(", val_fraction: 0");
  EXPECT_EQ(stage.as<Source>().count(), 3u);
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("airplane", "automobile", "bird", "cat", "deer",
                                                        "dog", "frog", "horse", "ship", "truck"));
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].key, "data_batch_2.bin/00000");
  EXPECT_EQ(entries[1].key, "data_batch_2.bin/00001");
  EXPECT_THAT(entries[0].labels, ElementsAre(3));
  EXPECT_EQ(entries[0].split, Split::Train);
  EXPECT_EQ(entries[2].key, "test_batch.bin/00000");
  EXPECT_EQ(entries[2].split, Split::Test);
  EXPECT_TRUE(entries[0].content.has_value());
  EXPECT_NE(entries[0].content, entries[1].content);
  const Image image = std::get<Image>(stage.load(entries[1]));
  ASSERT_EQ(image.width, 32);
  ASSERT_EQ(image.height, 32);
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x)
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(image.row(y)[3 * x + c], static_cast<std::uint8_t>(7 * x + 5 * y + 85 * c + 2));
}

TEST_F(Cifar, FineAndCoarseLabelsOfCifar100) {
  folder_.write("train.bin", record(std::string("\x13\x63"), 1));
  folder_.write("test.bin", record(std::string("\x01\x02"), 1));
  std::string names;
  for (int i = 0; i < 20; ++i) names += "group" + std::to_string(i) + "\r\n";
  folder_.write("coarse_label_names.txt", names + "\n");
  auto fine = open(", dataset: cifar100, val_fraction: 0");
  EXPECT_EQ(fine.as<Source>().classes().at(99), "99");
  EXPECT_THAT(fine.list()[0].labels, ElementsAre(99));
  auto coarse = open(", dataset: cifar100, labels: coarse, val_fraction: 0");
  EXPECT_EQ(coarse.as<Source>().classes().at(19), "group19");
  EXPECT_THAT(coarse.list()[0].labels, ElementsAre(19));
}

TEST_F(Cifar, AClassesFileRenames) {
  folder_.write("train.bin", "");
  folder_.write("data_batch_1.bin", record("\x01", 1));
  const auto classes = folder_.write("names", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").string();
  auto stage = open(", classes: \"" + classes + "\"");
  EXPECT_EQ(stage.as<Source>().classes().at(1), "b");
  EXPECT_THAT(stage.list()[0].labels, ElementsAre(1));
}

TEST_F(Cifar, ARecordThatChangesMeanwhileIsRejected) {
  folder_.write("data_batch_1.bin", record("\x01", 1));
  auto stage = open();
  const auto entries = stage.list();
  {
    std::fstream file(root() + "/data_batch_1.bin", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file.put('!');
  }
  try {
    stage.load(entries.at(0));
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "changed");
  }
}

TEST_F(Cifar, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(fault(", dataset: cifar100"),
            "expected one or more of train.bin, test.bin in " + root() +
                ", got none; unpack the binary version of the data set there, or correct dataset");
  EXPECT_EQ(fault(", labels: coarse"),
            "labels: coarse is for dataset: cifar100; cifar10 has one label a record");
  const std::string batch = root() + "/data_batch_1.bin";
  folder_.write("data_batch_1.bin", record("\x01", 1) + record("\x01", 1).substr(0, 100));
  EXPECT_EQ(
      fault(),
      "expected records of 3073 bytes in " + batch +
          ", got 100 bytes at offset 3073, where the file ends; get the file again, or correct dataset");
  folder_.write("data_batch_1.bin", "");
  EXPECT_EQ(fault(),
            "expected records of 3073 bytes in " + batch +
                ", got 0 bytes at offset 0, where the file ends; get the file again, or correct dataset");
  folder_.write("data_batch_1.bin", record("\x01", 1) + record("\x0a", 1));
  EXPECT_EQ(fault(), "expected a label from 0 to 9 at offset 3073 of " + batch +
                         ", got 10; get the file again, or correct dataset");
  folder_.write("data_batch_1.bin", record("\x01", 1));
  folder_.write("batches.meta.txt", "cat\ndog\n");
  EXPECT_EQ(fault(), "expected 10 class names, one a line, in " + root() + "/batches.meta.txt, got 2");
}

TEST(CifarData, Cifar10) {
  const char* data = std::getenv("GRAFT_DATA");
  const std::string folder = std::string(data ? data : "") + "/cifar10";
  if (!std::filesystem::exists(folder + "/test_batch.bin"))
    GTEST_SKIP() << "set GRAFT_DATA to the folder with cifar10 (missing " << folder << ")";
  StageHarness stage("cifar", "{root: \"" + folder + "\", val_fraction: 0}");
  std::map<std::pair<Split, int>, int> counts;
  const auto entries = stage.list();
  for (const Entry& e : entries) ++counts[{e.split, e.labels.at(0)}];
  for (int c = 0; c < 10; ++c) {
    EXPECT_EQ((counts[{Split::Train, c}]), 400);
    EXPECT_EQ((counts[{Split::Test, c}]), 200);
  }
  const std::string raw = test::slurp(folder + "/data_batch_1.bin").substr(3073 * 42 + 1, 3072);
  const Image image = std::get<Image>(stage.load(entries.at(42)));
  EXPECT_EQ(entries[42].key, "data_batch_1.bin/00042");
  for (std::size_t i = 0; i < 3072; ++i)
    ASSERT_EQ(image.data[i % 1024 * 3 + i / 1024], static_cast<std::uint8_t>(raw[i]));
  EXPECT_TRUE(stage.warnings().empty());
}

}  // namespace
}  // namespace graft
