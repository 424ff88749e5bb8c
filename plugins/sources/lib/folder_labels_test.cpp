#include <source/folder_labels.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

namespace graft::source {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

FolderLabels labels(const std::string& json) {
  std::vector<ParamFault> faults;
  const Params params(resolve(FolderLabels::parameters(), Value::from_json(json), faults));
  EXPECT_THAT(faults, IsEmpty());
  return FolderLabels(params);
}

/// "train animals/dogs", "- ants", "test" or "nothing".
std::string place(FolderLabels& labels, const std::string& path) {
  const auto place = labels.place(path);
  if (!place) return "nothing";
  std::string out = place->split ? to_string(*place->split) : "-";
  for (const std::string& label : place->labels) out += " " + label;
  return out;
}

std::vector<std::string> told(const FolderLabels& labels) {
  std::vector<std::string> out;
  labels.report(
      "/data", [&](const std::string& text) { out.push_back(text); },
      [&](const std::string& kind, const std::string& path, const std::string&) {
        out.push_back(kind + " " + path);
      });
  return out;
}

TEST(FolderLabels, TheTopFolderIsTheClass) {
  FolderLabels l = labels("{}");
  EXPECT_EQ(place(l, "ants/deep/1.jpg"), "- ants");
  EXPECT_EQ(place(l, "1.jpg"), "nothing");
  EXPECT_EQ(place(l, "2.jpg"), "nothing");
  EXPECT_THAT(told(l), ElementsAre("loose file /data/1.jpg", "loose file /data/2.jpg"));
}

TEST(FolderLabels, TheFolderThatHoldsTheFileIsTheClass) {
  FolderLabels l = labels(R"({"label_from": "folder", "splits": {"train": "a", "test": ["b", "c"]}})");
  for (const char* folder : {"a", "b", "c", "d"}) l.see(folder);
  l.find_splits("/data");
  EXPECT_EQ(place(l, "a/animals/dogs/1.jpg"), "train animals/dogs");
  EXPECT_EQ(place(l, "c/animals/1.jpg"), "test animals");
  EXPECT_EQ(place(l, "b/1.jpg"), "nothing");
  EXPECT_EQ(place(l, "d/animals/1.jpg"), "nothing");
  EXPECT_EQ(place(l, "a"), "nothing");
  EXPECT_THAT(told(l), ElementsAre("loose file /data/b/1.jpg",
                                   "ignored in /data, because splits does not name it: d"));
}

TEST(FolderLabels, WithoutClassesAnyPlaceWillDo) {
  FolderLabels l = labels(R"({"label_from": "none"})");
  EXPECT_EQ(place(l, "1.jpg"), "-");
  EXPECT_EQ(place(l, "a/b/1.jpg"), "-");
  FolderLabels split = labels(R"({"label_from": "none", "splits": {"val": "v"}})");
  EXPECT_EQ(place(split, "v/1.jpg"), "val");
  EXPECT_EQ(place(split, "1.jpg"), "nothing");
}

TEST(FolderLabels, AFolderOfASplitByAnotherOfItsNames) {
  FolderLabels l = labels(R"({"splits": {"train": "train", "val": "val", "test": "test"}})");
  for (const char* folder : {"Train", "valid", "testing", "other"}) l.see(folder);
  l.find_splits("/data");
  EXPECT_EQ(place(l, "Train/a/1.jpg"), "train a");
  EXPECT_EQ(place(l, "valid/a/1.jpg"), "val a");
  EXPECT_EQ(place(l, "testing/a/1.jpg"), "test a");
  EXPECT_THAT(told(l), ElementsAre("ignored in /data, because splits does not name it: other"));

  // The name as it is written comes first; two that would do are not chosen from.
  FolderLabels exact = labels(R"({"splits": {"train": "train"}})");
  for (const char* folder : {"train", "Train"}) exact.see(folder);
  exact.find_splits("/data");
  EXPECT_EQ(place(exact, "train/a/1.jpg"), "train a");
  EXPECT_EQ(place(exact, "Train/a/1.jpg"), "nothing");
  FolderLabels two = labels(R"({"splits": {"val": "val"}})");
  for (const char* folder : {"valid", "dev"}) two.see(folder);
  try {
    two.find_splits("/data");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "splits: 'val' may be any of dev, valid in /data; write the names of the folders as "
                 "they are");
  }
}

TEST(FolderLabels, WarnsOfFoldersThatLookLikeSplits) {
  FolderLabels l = labels("{}");
  for (const char* path : {"train/a/1.jpg", "Test/a/2.jpg", "Test/b/3.jpg"}) place(l, path);
  EXPECT_THAT(told(l),
              ElementsAre("names like those of splits, of which nothing is made: Test, train, for "
                          "example in Test/a/2.jpg: splits come from a hash; name the folders of the "
                          "root that are splits: splits: {train: ..., test: ...}"));
  FolderLabels deep = labels("{}");
  for (const char* path : {"a/validation/1.jpg", "b/validation/2.jpg"}) place(deep, path);
  EXPECT_EQ(told(deep).size(), 1u);
  FolderLabels vehicles = labels("{}");
  for (const char* path : {"train/1.jpg", "plane/2.jpg"}) place(vehicles, path);
  EXPECT_THAT(told(vehicles), IsEmpty());
}

TEST(FolderLabels, SaysWhatIsWrong) {
  const auto fault = [](const std::string& json, const std::string& path) {
    try {
      FolderLabels l = labels(json);
      l.see(path.substr(0, path.find('/')));
      l.find_splits("/data");
      return std::string("ok");
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(fault(R"({"splits": {"train": "a"}})", "a/b/c"), "ok");
  EXPECT_EQ(fault(R"({"splits": {"train": "a"}})", "b/c/d"),
            "splits: expected a folder 'a' in /data, got only b; name the folders that are there, or leave "
            "splits out to divide by a hash of the key");
  EXPECT_EQ(fault(R"({"splits": {}})", "a"), "splits: expected a folder for train, val or test, got none");
}

}  // namespace
}  // namespace graft::source
