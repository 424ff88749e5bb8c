#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "hdf5_files.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::Hdf5File;
using test::TempFolder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::StageHarness;
namespace fs = std::filesystem;

/// Feature i of row r: 10r + i + shift.
std::vector<float> features(std::size_t rows, std::size_t dim, float shift = 0) {
  std::vector<float> out;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < dim; ++i) out.push_back(static_cast<float>(10 * r + i) + shift);
  return out;
}

class TableFileSource : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return folder_ / name; }
  /// A file of rows of three features with the labels given.
  void write(const std::string& name, const std::vector<std::int64_t>& labels, float shift = 0) const {
    fs::create_directories((folder_ / name).parent_path());
    const Hdf5File file(at(name));
    file.write<float>("features", {labels.size(), 3}, features(labels.size(), 3, shift));
    file.write<std::int64_t>("labels", {labels.size()}, labels);
  }
  StageHarness open(const std::string& files, const std::string& more = "") const {
    std::string given = files;
    for (std::size_t p = 0; (p = given.find('@', p)) != std::string::npos;)
      given.replace(p, 1, folder_.path().string() + "/");
    return StageHarness("table_file", "{files: " + given + more + "}");
  }
  std::string fault(const std::string& files, const std::string& more = "") const {
    try {
      open(files, more);
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      const std::string folder = folder_.path().string() + "/";
      for (std::size_t p; (p = text.find(folder)) != std::string::npos;) text.replace(p, folder.size(), "@");
      return text;
    }
  }
  TempFolder folder_;
};

// As lists do: a split that is passed over in silence puts the user's test rows into train.
TEST_F(TableFileSource, WarnsOfDatasetsUnderOtherNames) {
  const auto warnings = [&](const std::string& files, const std::string& more = "") {
    std::string text;
    const StageHarness stage = open(files, more);
    for (const std::string& warning : stage.warnings())
      if (warning.starts_with("no dataset")) text += warning + "\n";
    const std::string folder = folder_.path().string() + "/";
    for (std::size_t p; (p = text.find(folder)) != std::string::npos;) text.replace(p, folder.size(), "@");
    return text;
  };
  const std::string hash =
      "splits come from a hash; name it with splits if it holds train, val, test or 0, 1, 2\n";
  for (const std::string name : {"split", "Splits", "subset", "is_test"}) {
    {
      const Hdf5File file(at("a.h5"));
      file.write<float>("features", {4, 3}, features(4, 3));
      file.write<std::int64_t>("labels", {4}, {0, 1, 0, 1});
      file.write<std::int64_t>(name, {4}, {0, 0, 2, 2});
    }
    EXPECT_EQ(warnings("\"@a.h5\""), "no dataset 'splits' in @a.h5 (did you mean '" + name + "'?): " + hash);
    EXPECT_EQ(warnings("{train: \"@a.h5\"}"), "") << "the config names the split";
  }
  {
    const Hdf5File file(at("b.h5"));
    file.write<float>("features", {3, 3}, features(3, 3));
    file.write<std::int64_t>("y", {3}, {0, 1, 0});
    file.write<std::int64_t>("other", {2}, {0, 1});
    file.write_texts("key", {"a", "b", "c"}, 4);
  }
  EXPECT_EQ(warnings("\"@b.h5\""),
            "no dataset 'keys' in @b.h5 (did you mean 'key'?): rows are called FILE/NUMBER; name it with "
            "keys\nno dataset 'labels' in @b.h5 (datasets with a row for each of the features: key, y): the "
            "rows have no class; name it with labels\n");
  EXPECT_EQ(warnings("\"@b.h5\"", ", labels: y, keys: key"), "");
  {
    const Hdf5File file(at("c.h5"));
    file.write<float>("features", {4, 3}, features(4, 3));
    file.write<std::int64_t>("labels", {4}, {0, 1, 0, 1});
    file.write_texts("keys", {"a", "b", "c", "d"}, 4);
    file.write<std::int64_t>("view", {4}, {0, 0, 0, 0});
    file.write_texts("class_names", {"ant", "bee"}, 4);
    file.write<float>("weights", {4, 9}, features(4, 9));
    H5Gclose(H5Gcreate2(file.id(), "split", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  }
  EXPECT_EQ(warnings("\"@c.h5\""),
            "no dataset 'views' in @c.h5 (did you mean 'view'?): every row counts as an image; name it with "
            "views\nno dataset 'classes' in @c.h5 (did you mean 'class_names'?): classes are called by their "
            "numbers; call the list of their names classes\n");
}

TEST_F(TableFileSource, RowsOfTwoFilesBySplit) {
  write("train.h5", {2, 11, 2});
  write("test.h5", {11, -1}, 0.5f);
  auto stage = open("{train: \"@train.h5\", test: \"@test.h5\"}", ", val_fraction: 0");
  auto& source = stage.as<Source>();
  EXPECT_EQ(source.count(), 5u);
  EXPECT_THAT(source.classes(), ElementsAre("2", "11"));
  // As the runtime does: load comes right after next.
  Entry e;
  std::vector<Tensor> kept;
  for (std::size_t r = 0; r < 5; ++r) {
    ASSERT_TRUE(source.next(e));
    const bool test = r >= 3;
    EXPECT_EQ(e.key, (test ? "test.h5/0000" : "train.h5/0000") + std::to_string(test ? r - 3 : r));
    EXPECT_EQ(e.split, test ? Split::Test : Split::Train);
    if (r == 4)
      EXPECT_THAT(e.labels, IsEmpty());
    else
      EXPECT_THAT(e.labels, ElementsAre(r == 1 || r == 3 ? 1 : 0));
    if (r == 1) continue;  // not wanted: what follows must still be right
    kept.push_back(std::get<Tensor>(stage.load(e)));
    EXPECT_EQ(e.content, digest(kept.back().data, kept.back().bytes()));
  }
  EXPECT_FALSE(source.next(e));
  const float first[] = {0, 20, 0.5f, 10.5f};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(kept[k].dtype, DType::F32);
    EXPECT_EQ(kept[k].shape, (Shape{3}));
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(kept[k].as<float>()[i], first[k] + static_cast<float>(i));
  }
}

TEST_F(TableFileSource, ManyRowsComeBlockByBlock) {
  constexpr std::size_t kRows = 3000, kDim = 1024;  // three blocks
  std::vector<float> values(kRows * kDim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 8191);
  { Hdf5File(at("t.h5")).write<float>("features", {kRows, 4, kDim / 4}, values); }
  auto stage = open("\"@t.h5\"");
  Entry e;
  for (std::size_t r = 0; r < kRows; ++r) {
    ASSERT_TRUE(stage.as<Source>().next(e));
    const auto row = std::get<Tensor>(stage.load(e));
    ASSERT_EQ(row.shape, (Shape{4, kDim / 4}));
    const float* const read = row.as<float>();
    ASSERT_TRUE(std::equal(read, read + kDim, &values[r * kDim])) << r;
  }
  EXPECT_EQ(e.key, "t.h5/02999");
}

TEST_F(TableFileSource, KeysLabelsAndSplitsOfTheFile) {
  {
    const Hdf5File file(at("t.h5"));
    file.write<float>("x", {4, 2}, features(4, 2));
    file.write<std::uint8_t>("y", {4, 2}, {1, 1, 0, 1, 0, 0, 1, 0});
    file.write_texts("ids", {"d", "c", "b", "a"});
    file.write_texts("parts", {"train", "val", "test", "train"});
    file.write_attribute("y", "classes", {"legs", "wings"}, 8);
  }
  auto stage = open("\"@t.h5\"", ", features: x, labels: y, keys: ids, splits: parts");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("legs", "wings"));
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "d");
  EXPECT_THAT(entries[0].labels, ElementsAre(0, 1));
  EXPECT_THAT(entries[1].labels, ElementsAre(1));
  EXPECT_THAT(entries[2].labels, IsEmpty());
  EXPECT_TRUE(entries[2].negative);
  EXPECT_FALSE(entries[1].negative);
  EXPECT_EQ(entries[1].split, Split::Val);
  EXPECT_EQ(entries[2].split, Split::Test);
  // A split named by the config holds, and the contradiction is told.
  auto forced =
      open("{train: \"@t.h5\"}", ", features: x, labels: y, keys: ids, splits: parts, val_fraction: 0");
  for (const Entry& e : forced.list()) EXPECT_EQ(e.split, Split::Train);
  EXPECT_EQ(forced.warnings().at(0),
            at("t.h5") +
                " stands under train, but says of 2 rows that they are of another split; to go by "
                "what it says, put it under all");
}

TEST_F(TableFileSource, ZerosShowNoneOfTheClassesAndMinusOnesAreUnlabelled) {
  {
    const Hdf5File file(at("t.h5"));
    file.write<float>("features", {4, 2}, features(4, 2));
    file.write<std::int8_t>("labels", {4, 2}, {1, 0, 0, 0, -1, -1, 0, 1});
  }
  const auto entries = open("{train: \"@t.h5\"}", ", val_fraction: 0").list();
  ASSERT_EQ(entries.size(), 4u);
  std::string shown;
  for (const Entry& e : entries)
    shown += e.negative ? "none " : e.labels.empty() ? "unlabelled " : std::to_string(e.labels[0]) + " ";
  EXPECT_EQ(shown, "0 none unlabelled 1 ");
}

TEST_F(TableFileSource, WithoutSplitsAHashOfTheKeyDecides) {
  write("t.h5", std::vector<std::int64_t>(400, 1));
  std::map<Split, int> counts;
  for (const Entry& e : open("\"@t.h5\"").list()) ++counts[e.split];
  EXPECT_NEAR(counts[Split::Train], 256, 30);
  EXPECT_NEAR(counts[Split::Val], 64, 25);
  EXPECT_NEAR(counts[Split::Test], 80, 25);
  auto few = open("{train: \"@t.h5\"}", ", shots: 5, val_fraction: 0");
  EXPECT_EQ(few.as<Source>().count(), 5u);
  for (const Entry& e : few.list()) {
    // Rows in between are left out: what is loaded is still the row of the key.
    const int row = std::stoi(e.key.substr(e.key.size() - 5));
    EXPECT_EQ(e.content, digest(features(400, 3).data() + 3 * row, 12));
  }
}

TEST_F(TableFileSource, FilesOfOneNameAreToldApartByTheirFolders) {
  write("a/x.h5", {0});
  write("b/x.h5", {0}, 1);
  write("b/c/x.h5", {0}, 2);
  const auto entries =
      open("{train: [\"@a/x.h5\", \"@b/x.h5\"], test: \"@b/c/x.h5\"}", ", val_fraction: 0").list();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].key, "a/x.h5/00000");
  EXPECT_EQ(entries[1].key, "b/x.h5/00000");
  EXPECT_EQ(entries[2].key, "c/x.h5/00000");
}

TEST_F(TableFileSource, NumbersAndNamesOfClassesGoTogether) {
  {
    const Hdf5File file(at("train.h5"));
    file.write<float>("features", {2, 3}, features(2, 3));
    file.write_texts("labels", {"bee", "ant"});
    file.write_texts("classes", {"ant", "bee"});
  }
  write("test.h5", {1, 0});  // without names: by position
  const auto entries = open("{train: \"@train.h5\", test: \"@test.h5\"}", ", val_fraction: 0").list();
  EXPECT_THAT(entries[0].labels, ElementsAre(1));
  EXPECT_THAT(entries[2].labels, ElementsAre(1));
  EXPECT_THAT(entries[3].labels, ElementsAre(0));
  folder_.write("names", "Ameise\nBiene\n");
  auto renamed = open("\"@test.h5\"", ", classes: \"" + at("names") + "\"");
  EXPECT_THAT(renamed.as<Source>().classes(), ElementsAre("Ameise", "Biene"));
  // Numbers stay numbers, also where classes are called by others.
  folder_.write("names", "1\n0\n");
  const auto odd = open("\"@test.h5\"", ", classes: \"" + at("names") + "\"").list();
  EXPECT_THAT(odd[0].labels, ElementsAre(1));
  EXPECT_THAT(odd[1].labels, ElementsAre(0));
}

TEST_F(TableFileSource, SaysWhatIsWrong) {
  EXPECT_EQ(fault("{}"), "files: expected at least one file, got none");
  EXPECT_EQ(fault("\"@none.h5\""), "files: no such file: @none.h5");
  folder_.write("text.h5", "no table");
  EXPECT_EQ(fault("\"@text.h5\""), "@text.h5: is no HDF5 file");
  write("t.h5", {0, 1});
  EXPECT_EQ(fault("\"@t.h5\"", ", features: x"), "@t.h5, dataset 'x': is missing");
  EXPECT_EQ(fault("\"@t.h5\"", ", labels: y"), "@t.h5, dataset 'y': is missing");
  fs::create_symlink(at("t.h5"), at("link.h5"));
  EXPECT_EQ(fault("{train: \"@t.h5\", test: \"@link.h5\"}"),
            "files: @link.h5 stands twice, under train, test; the same rows in two splits would spoil every "
            "figure");
  EXPECT_EQ(fault("{train: [\"@t.h5\", \"@t.h5\"]}"),
            "files: @t.h5 stands twice, under train, train; the same rows in two splits would spoil every "
            "figure");
  {
    const Hdf5File file(at("wide.h5"));
    file.write<float>("features", {2, 2, 2}, features(2, 4));
    const Hdf5File named(at("named.h5")), other(at("other.h5"));
    for (const auto* f : {&named, &other}) f->write<float>("features", {2, 3}, features(2, 3));
    named.write_texts("classes", {"ant", "bee"});
    other.write_texts("classes", {"bee", "ant"});
    other.write_texts("labels", {"bee", "wasp"});
  }
  EXPECT_EQ(fault("{train: \"@t.h5\", test: \"@wide.h5\"}"),
            "files: the rows of a table must have one shape, got rows of [3] in @t.h5 and rows of [2,2] in "
            "@wide.h5");
  EXPECT_EQ(fault("{train: \"@named.h5\", test: \"@other.h5\"}"),
            "files: expected one list of classes, got ant, bee in @named.h5 and bee, ant in @other.h5");
  EXPECT_EQ(
      fault("\"@other.h5\""),
      "the label 'wasp' of 'other.h5/00001' is not in the data's list of classes; add it there, or leave "
      "the input out");
}

TEST_F(TableFileSource, AKeyInTwoSplitsIsALeak) {
  {
    const Hdf5File train(at("train.h5")), test(at("test.h5"));
    for (const auto* f : {&train, &test}) f->write<float>("features", {2, 3}, features(2, 3));
    train.write_texts("keys", {"photo 1", "photo 2"});
    test.write_texts("keys", {"photo 3", "photo 2"});
  }
  EXPECT_EQ(fault("{train: \"@train.h5\", test: \"@test.h5\"}"),
            "two inputs have the key 'photo 2'; give each a key of its own");
}

/// Rows of one feature with keys, views and splits.
void write_views(const std::string& path, const std::vector<std::string>& keys,
                 const std::vector<std::int64_t>& views, const std::vector<std::string>& splits) {
  const Hdf5File file(path);
  file.write<float>("features", {keys.size(), 1}, features(keys.size(), 1));
  file.write<std::int64_t>("labels", {keys.size()}, std::vector<std::int64_t>(keys.size()));
  file.write_texts("keys", keys);
  file.write<std::int64_t>("views", {keys.size()}, views);
  if (!splits.empty()) file.write_texts("splits", splits);
}

TEST_F(TableFileSource, ViewsOfAnImageAreEntriesOfOneKeyAndANumber) {
  write_views(at("t.h5"), {"b.jpg", "a.jpg", "a.jpg", "a.jpg", "a.jpg#7"}, {1, 0, 2, 1, 0},
              {"test", "train", "train", "train", "val"});
  auto stage = open("\"@t.h5\"");
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 5u);
  std::vector<std::string> keys;
  for (const Entry& e : entries) keys.push_back(e.key);
  EXPECT_THAT(keys, ElementsAre("b.jpg#1", "a.jpg", "a.jpg#2", "a.jpg#1", "a.jpg#7"));
  EXPECT_EQ(entries[0].split, Split::Test);
  EXPECT_EQ(entries[3].split, Split::Train);
  EXPECT_EQ(entries[4].split, Split::Val);
  EXPECT_EQ(entries[2].content, digest(features(5, 1).data() + 2, sizeof(float)));
}

TEST_F(TableFileSource, AHashPutsAllViewsOfAnImageIntoOneSplit) {
  std::vector<std::string> keys;
  std::vector<std::int64_t> views;
  for (int i = 0; i < 200; ++i)
    for (const int view : {0, 1, 2}) {
      keys.push_back("image " + std::to_string(i));
      views.push_back(view);
    }
  write_views(at("t.h5"), keys, views, {});
  // A hash of the key for train and test, and one that carves val out of a train that is given.
  for (const char* files : {"\"@t.h5\"", "{train: \"@t.h5\"}"}) {
    std::map<std::string, std::vector<Split>> splits;
    for (const Entry& e : open(files).list()) splits[e.key.substr(0, e.key.find('#'))].push_back(e.split);
    EXPECT_EQ(splits.size(), 200u);
    std::map<Split, int> counts;
    for (const auto& [key, of_views] : splits) {
      EXPECT_THAT(of_views, ElementsAre(of_views[0], of_views[0], of_views[0])) << key;
      ++counts[of_views[0]];
    }
    EXPECT_GT(counts[Split::Val], 10);
  }
  // As the key alone decides, whether or not a file has views.
  std::map<std::string, Split> alone;
  {
    const Hdf5File file(at("one.h5"));
    file.write<float>("features", {2, 1}, features(2, 1));
    file.write_texts("keys", {"image 0", "image 1"});
  }
  for (const Entry& e : open("\"@one.h5\"").list()) alone[e.key] = e.split;
  ASSERT_EQ(alone.size(), 2u);
  for (const Entry& e : open("\"@t.h5\"").list())
    if (alone.contains(e.key)) {
      EXPECT_EQ(e.split, alone.at(e.key)) << e.key;
    }
}

TEST_F(TableFileSource, ViewsThatCannotBeToldApartAreNamed) {
  const auto of = [&](const std::vector<std::string>& keys, const std::vector<std::int64_t>& views,
                      const std::vector<std::string>& splits = {}) {
    write_views(at("t.h5"), keys, views, splits);
    return fault("\"@t.h5\"");
  };
  EXPECT_EQ(of({"a.jpg#2", "a.jpg", "a.jpg"}, {0, 0, 2}),
            "row 2 of @t.h5 is view 2 of 'a.jpg' and would be called 'a.jpg#2', which is the key of row 0 of "
            "@t.h5; give one of the two images another key");
  EXPECT_EQ(of({"a", "b", "a"}, {1, 0, 1}),
            "row 0 of @t.h5 and row 2 of @t.h5 are both view 1 of 'a'; give every view of a key a number of "
            "its own");
  EXPECT_EQ(of({"a", "a"}, {0, 0}), "two inputs have the key 'a'; give each a key of its own");
  EXPECT_EQ(
      of({"a", "b", "a"}, {1, 0, 0}, {"test", "train", "train"}),
      "row 2 of @t.h5 and row 0 of @t.h5 are views of 'a', one of train and one of test; the same image "
      "in two splits would spoil every score");
  EXPECT_EQ(of({"a", "a"}, {0, 1}, {"train", ""}),
            "row 0 of @t.h5 and row 1 of @t.h5 are views of 'a', one of train and one of no split; the same "
            "image in two splits would spoil every score");
  write_views(at("train.h5"), {"a", "b"}, {0, 0}, {});
  write_views(at("test.h5"), {"c", "a"}, {0, 1}, {});
  EXPECT_EQ(
      fault("{train: \"@train.h5\", test: \"@test.h5\"}"),
      "row 0 of @train.h5 and row 1 of @test.h5 are views of 'a', one of train and one of test; the same "
      "image in two splits would spoil every score");
  EXPECT_EQ(fault("{train: \"@train.h5\"}", ", views: crops"), "@train.h5, dataset 'crops': is missing");
}

}  // namespace
}  // namespace graft
