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
  labels.tell("/data", [&](const std::string& text) { out.push_back(text); });
  return out;
}

TEST(FolderLabels, TheTopFolderIsTheClass) {
  FolderLabels l = labels("{}");
  EXPECT_EQ(place(l, "ants/deep/1.jpg"), "- ants");
  EXPECT_EQ(place(l, "1.jpg"), "nothing");
  EXPECT_EQ(place(l, "2.jpg"), "nothing");
  EXPECT_THAT(told(l), ElementsAre("2 files directly in /data/ ignored: not in a class folder"));
}

TEST(FolderLabels, TheFolderThatHoldsTheFileIsTheClass) {
  FolderLabels l = labels(R"({"label_from": "folder", "splits": {"train": "a", "test": ["b", "c"]}})");
  EXPECT_EQ(place(l, "a/animals/dogs/1.jpg"), "train animals/dogs");
  EXPECT_EQ(place(l, "c/animals/1.jpg"), "test animals");
  EXPECT_EQ(place(l, "b/1.jpg"), "nothing");
  EXPECT_EQ(place(l, "d/animals/1.jpg"), "nothing");
  EXPECT_EQ(place(l, "a"), "nothing");
  EXPECT_THAT(told(l), ElementsAre("1 file directly in /data/b/ ignored: not in a class folder",
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

TEST(FolderLabels, SaysWhatIsWrong) {
  const auto fault = [](const std::string& json, const std::string& path) {
    try {
      FolderLabels l = labels(json);
      l.place(path);
      l.check_splits("/data");
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
