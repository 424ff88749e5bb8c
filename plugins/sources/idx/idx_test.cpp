#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
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
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StageHarness;

std::string header(const std::vector<std::uint32_t>& dimensions) {
  std::string out{0, 0, 8, static_cast<char>(dimensions.size())};
  for (const std::uint32_t d : dimensions)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(d >> shift);
  return out;
}

/// Images 3 wide and 2 high; pixel i of image k is 10k + i.
std::string images(std::uint32_t n) {
  std::string out = header({n, 2, 3});
  for (std::uint32_t k = 0; k < n; ++k)
    for (std::uint32_t i = 0; i < 6; ++i) out += static_cast<char>(10 * k + i);
  return out;
}

class Idx : public ::testing::Test {
 protected:
  StageHarness open(const std::string& more = "") {
    return StageHarness("idx", "{root: \"" + root() + "\"" + more + "}");
  }
  std::string root() const { return folder_.path().string(); }
  std::string write_packed(const std::string& name, const std::string& content) {
    std::string path = (folder_ / name).string();
    const gzFile file = ::gzopen(path.c_str(), "wb");
    ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    ::gzclose(file);
    return path;
  }
  void write_train(const std::string& pixels, const std::string& labels) {
    folder_.write("train-images-idx3-ubyte", pixels);
    folder_.write("train-labels-idx1-ubyte", labels);
  }
  std::string fault(const std::string& more = ", test: {images: null}") {
    try {
      open(more);
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(root())) != std::string::npos;)
        text.replace(at, root().size(), "ROOT");
      return text;
    }
  }
  TempFolder folder_;
};

TEST_F(Idx, ReadsPlainAndPackedFiles) {
  write_train(images(3), header({3}) + "\x07\x0b\x07");
  write_packed("t10k-images-idx3-ubyte.gz", images(12));
  write_packed("t10k-labels-idx1-ubyte.gz", header({12}) + std::string(12, '\x02'));
  auto stage = open(", val_fraction: 0");
  EXPECT_EQ(stage.as<Source>().count(), 15u);
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("2", "7", "11"));
  // As the runtime does: load comes right after next.
  Entry e;
  for (int i = 0; i < 15; ++i) {
    ASSERT_TRUE(stage.as<Source>().next(e));
    const int k = i < 3 ? i : i - 3;
    EXPECT_EQ(e.key, (i < 3 ? "train/0000" : k < 10 ? "test/0000" : "test/000") + std::to_string(k));
    EXPECT_EQ(e.split, i < 3 ? Split::Train : Split::Test);
    EXPECT_THAT(e.labels, ElementsAre(i >= 3 ? 0 : i == 1 ? 2 : 1));
    EXPECT_TRUE(e.content.has_value());
    if (i == 4 || i == 5) continue;  // not wanted: what follows must still be right
    const Image image = std::get<Image>(stage.load(e));
    ASSERT_EQ(image.width, 3);
    ASSERT_EQ(image.height, 2);
    for (int p = 0; p < 18; ++p) ASSERT_EQ(image.data[p], 10 * k + p / 3);
  }
  EXPECT_FALSE(stage.as<Source>().next(e));
}

TEST_F(Idx, NamesMayBeGivenAndLabelsLeftOut) {
  folder_.write("a", images(2));
  auto stage = open(", train: {images: a, labels: null}, test: {images: null}");
  for (const Entry& e : stage.list()) EXPECT_THAT(e.labels, IsEmpty());
  EXPECT_THAT(stage.as<Source>().classes(), IsEmpty());
}

TEST_F(Idx, SaysWhatIsWrong) {
  EXPECT_EQ(
      fault(),
      "expected train-images-idx3-ubyte or train-images-idx3-ubyte.gz in ROOT, got neither; name the files "
      "with train and test, null for those that you do not have");
  EXPECT_EQ(fault(", train: {images: null}, test: {images: null}"),
            "train, test: expected images for one of them, got none");
  const std::string labels = header({2}) + "\x01\x02";
  write_train(images(3), labels);
  EXPECT_EQ(fault(),
            "expected as many labels as images, got 2 in ROOT/train-labels-idx1-ubyte for 3 in "
            "ROOT/train-images-idx3-ubyte");
  write_train(labels, labels);
  EXPECT_EQ(fault(),
            "expected an IDX file of images: count, rows, columns; it begins with 0x00000803, "
            "ROOT/train-images-idx3-ubyte with 0x00000801");
  write_train("ab", labels);
  EXPECT_EQ(fault(),
            "expected an IDX file of images: count, rows, columns; it begins with 0x00000803, "
            "ROOT/train-images-idx3-ubyte with fewer than 4 bytes");
  write_train(header({2, 3, 3}).substr(0, 10), labels);
  EXPECT_EQ(fault(), "the header of ROOT/train-images-idx3-ubyte is cut off; get the file again");
  write_train(images(2) + "x", labels);
  EXPECT_EQ(fault(),
            "expected 2 times 6 bytes after the header of ROOT/train-images-idx3-ubyte, got more; get the "
            "file again");
  write_train(images(2).substr(0, 25), labels);
  EXPECT_EQ(fault(),
            "expected 2 times 6 bytes after the header of ROOT/train-images-idx3-ubyte, got 9; get the "
            "file again");
  write_train(header({2, 0, 3}), labels);
  EXPECT_EQ(fault(),
            "expected images: count, rows, columns of 1 to 64000000 bytes each in "
            "ROOT/train-images-idx3-ubyte, got none by its header; get the file again");
}

TEST_F(Idx, AHeaderThatPromisesTooMuchCostsNoMemory) {
  write_train(header({0xffffffff, 0xffffffff, 0xffffffff}), header({0xffffffff}));
  EXPECT_THAT(fault(), HasSubstr("got more by its header"));
  write_train(header({0xffffffff, 8000, 8000}), header({0xffffffff}));
  EXPECT_EQ(fault(),
            "expected 4294967295 times 64000000 bytes after the header of ROOT/train-images-idx3-ubyte, "
            "got 0; get the file again");
}

TEST_F(Idx, APackedFileOfMoreImagesThanItsSizeHoldsIsAnErrorBeforeAnythingIsHeld) {
  const std::string path = write_packed("train-images-idx3-ubyte.gz", header({4'000'000, 1, 1}));
  folder_.write("train-labels-idx1-ubyte", header({4'000'000}) + std::string(4'000'000, '\0'));
  EXPECT_EQ(
      fault(),
      "expected 4000000 times 1 bytes after the header of ROOT/train-images-idx3-ubyte.gz, got at most " +
          std::to_string(1032 * std::filesystem::file_size(path)) + "; get the file again");
  write_packed("train-images-idx3-ubyte.gz", header({4'000'000, 1, 1}) + std::string(4'000'000, '\0'));
  EXPECT_THAT(fault(), HasSubstr("lists inputs whose names alone need more than 64 MiB and 8 times that"));
}

TEST_F(Idx, DamagedPackedFilesAreFound) {
  const std::string labels = header({2}) + "\x01\x02";
  folder_.write("train-labels-idx1-ubyte", labels);
  const std::string path = write_packed("train-images-idx3-ubyte.gz", images(2));
  const std::string whole = test::slurp(path);
  EXPECT_EQ(fault(), "ok");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    folder_.write("train-images-idx3-ubyte.gz", whole.substr(0, n));
    EXPECT_NE(fault(), "ok") << "cut at " << n;
  }
  for (std::size_t n = 10; n < whole.size(); ++n) {  // after the header of gzip
    std::string damaged = whole;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x10);
    folder_.write("train-images-idx3-ubyte.gz", damaged);
    EXPECT_NE(fault(), "ok") << "bit turned at " << n;
  }
}

TEST(IdxData, Mnist) {
  const char* data = std::getenv("GRAFT_DATA");
  const std::string folder = std::string(data ? data : "") + "/mnist";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "set GRAFT_DATA to the folder with mnist (missing " << folder << ")";
  StageHarness stage("idx", "{root: \"" + folder + "\", val_fraction: 0}");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
  std::map<std::pair<Split, int>, int> counts;
  for (const Entry& e : stage.list()) ++counts[{e.split, e.labels.at(0)}];
  // As published.
  EXPECT_EQ((counts[{Split::Train, 0}]), 5923);
  EXPECT_EQ((counts[{Split::Train, 1}]), 6742);
  EXPECT_EQ((counts[{Split::Train, 9}]), 5949);
  EXPECT_EQ((counts[{Split::Test, 0}]), 980);
  EXPECT_EQ((counts[{Split::Test, 5}]), 892);
  EXPECT_TRUE(stage.warnings().empty());
}

}  // namespace
}  // namespace graft
