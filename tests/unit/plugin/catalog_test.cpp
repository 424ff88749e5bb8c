#include <graft/catalog.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A catalog with the parameters of a JSON text.
struct Fixture {
  explicit Fixture(const std::string& json = "{}", std::uint64_t seed = 42) {
    std::vector<ParamFault> faults;
    params = Params(resolve(Catalog::parameters(), Value::from_json(json), faults));
    EXPECT_TRUE(faults.empty());
    const StageContext context{"images", params, seed, 1,
                               [this](const std::string& text) { warnings.push_back(text); }};
    catalog = std::make_unique<Catalog>(context);
  }
  void add(const std::string& key, const std::vector<std::string>& labels, std::optional<Split> split = {}) {
    catalog->add(key, labels, split, added++);
  }
  void add_negatives(int n, std::optional<Split> split = {}) {
    for (int i = 0; i < n; ++i) catalog->add("none/" + std::to_string(i), {}, split, added++, {}, true);
  }
  int negatives(Split split) const {
    int n = 0;
    for (std::size_t i = 0; i < catalog->size(); ++i)
      n += catalog->entry(i).negative && catalog->entry(i).split == split ? 1 : 0;
    return n;
  }
  void add_many(const std::string& label, int n, std::optional<Split> split = {}) {
    for (int i = 0; i < n; ++i) add(label + "/" + std::to_string(i), {label}, split);
  }
  std::string fault() {
    try {
      catalog->close();
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < catalog->size(); ++i) out.push_back(catalog->entry(i).key);
    return out;
  }
  std::map<std::pair<std::string, Split>, int> counts() const {
    std::map<std::pair<std::string, Split>, int> out;
    for (std::size_t i = 0; i < catalog->size(); ++i) {
      const Entry e = catalog->entry(i);
      for (const std::int32_t label : e.labels)
        ++out[{catalog->classes()[static_cast<std::size_t>(label)], e.split}];
    }
    return out;
  }

  Params params;
  std::vector<std::string> warnings;
  std::unique_ptr<Catalog> catalog;
  std::size_t added = 0;
};

std::string classes_file(const TempFolder& folder, const std::string& content) {
  std::ofstream(folder / "classes.txt", std::ios::binary) << content;
  return (folder / "classes.txt").string();
}

TEST(Catalog, NumbersTheClassesFoundByTheirNames) {
  Fixture f;
  f.add("3", {"cat"});
  f.add("1", {"ant"});
  f.add("2", {});
  f.add("0", {"cat", "ant"});
  f.catalog->close();
  EXPECT_THAT(f.catalog->classes(), ElementsAre("ant", "cat"));
  EXPECT_THAT(f.keys(), ElementsAre("3", "1", "2", "0"));
  EXPECT_THAT(f.catalog->entry(0).labels, ElementsAre(1));
  EXPECT_THAT(f.catalog->entry(2).labels, IsEmpty());
  EXPECT_THAT(f.catalog->entry(3).labels, ElementsAre(1, 0));
  EXPECT_EQ(f.catalog->found_at(3), 3u);
}

TEST(Catalog, WholeNumbersStandInTheOrderOfTheirValues) {
  Fixture f;
  for (const char* label : {"10", "9", "0", "2"}) f.add(label, {label});
  f.catalog->close();
  EXPECT_THAT(f.catalog->classes(), ElementsAre("0", "2", "9", "10"));
}

TEST(Catalog, AFileFixesTheClasses) {
  const TempFolder folder;
  Fixture f(R"({"classes": ")" + classes_file(folder, "\xef\xbb\xbfwolf\r\n\r\nant\n") + "\"}");
  f.add("a", {"ant"});
  f.add("b", {"wolf"});
  f.catalog->close();
  EXPECT_THAT(f.catalog->classes(), ElementsAre("wolf", "ant"));
  EXPECT_THAT(f.catalog->entry(0).labels, ElementsAre(1));
  EXPECT_THAT(f.catalog->entry(1).labels, ElementsAre(0));

  Fixture g(R"({"classes": ")" + classes_file(folder, "wolf\nant") + "\"}");
  g.add("x/1.jpg", {"antt"});
  EXPECT_EQ(g.fault(), "the label 'antt' of 'x/1.jpg' is not in " + (folder / "classes.txt").string() +
                           " (did you mean 'ant'?); add it there, or leave the input out");
}

/// "0 2": the numbers that labels get, an input each, with a file of classes; or the error.
std::string numbered(const std::string& classes, const std::vector<std::string>& labels,
                     bool positions = false, std::vector<std::string>* warnings = nullptr) {
  const TempFolder folder;
  const std::string path = classes_file(folder, classes);
  Fixture f(R"({"classes": ")" + path + "\"}");
  if (positions) f.catalog->labels_are_positions();
  for (std::size_t i = 0; i < labels.size(); ++i) f.add("k" + std::to_string(i), {labels[i]});
  std::string out = f.fault();
  if (warnings != nullptr) *warnings = f.warnings;
  if (out != "ok") return out.replace(out.find(path), path.size(), "FILE");
  out.clear();
  for (std::size_t i = 0; i < f.catalog->size(); ++i)
    out += (i == 0 ? "" : " ") + std::to_string(f.catalog->entry(i).labels.at(0));
  return out;
}

TEST(Catalog, NamesAndPositionsAreNeverMixed) {
  // Names, although they are numbers.
  EXPECT_EQ(numbered("3\n1\n2\n", {"1", "2", "3"}), "1 2 0");
  EXPECT_EQ(numbered("1\n2\n", {"1", "0", "2"}),
            "the label '0' of 'k1' is not in FILE: because other labels are names in the list, it is not "
            "taken as a position; add it there, or leave the input out");
  EXPECT_EQ(numbered("ant\nbee\n", {"ant", "1"}),
            "the label '1' of 'k1' is not in FILE: because other labels are names in the list, it is not "
            "taken as a position; add it there, or leave the input out");
  EXPECT_EQ(numbered("ant\nbee\n", {"0", "cat"}),
            "the label '0' of 'k0' is not in FILE; add it there, or leave the input out");
  // Positions: whole numbers, and none a name.
  EXPECT_EQ(numbered("ant\nbee\ncat\n", {"2", "0"}), "2 0");
  EXPECT_EQ(numbered("ant\nbee\ncat\n", {"00002", "00000"}), "2 0");
  EXPECT_EQ(
      numbered("ant\nbee\n", {"0", "2"}),
      "the label '2' of 'k1' is not a position in FILE, which has 2, counted from 0; add the class there, "
      "or leave the input out");
  EXPECT_EQ(numbered("ant\nbee\n", {"1", "01"}),
            "the labels '01' and '1' would both be position 1 in FILE; write numbers in one way");
  // Classes that are called by numbers: another way to write a name is not a position.
  EXPECT_EQ(
      numbered("01\n02\n03\n", {"1", "2"}),
      "the label '1' of 'k0' is not in FILE (did you mean '01'?); add it there, or leave the input out");
  EXPECT_EQ(numbered("00\n01\n02\n", {"0", "2"}), "0 2");
  // No whole numbers.
  for (const char* label : {"-1", "1.0", "+1", "1e0", "0x1", "99999999999999999999999"})
    EXPECT_EQ(numbered("ant\nbee\n", {label}),
              "the label '" + std::string(label) +
                  "' of 'k0' is not in FILE; add it there, or leave the input out");
}

TEST(Catalog, WhereTheFormatNumbersClassesANameIsNoLabel) {
  std::vector<std::string> warnings;
  EXPECT_EQ(numbered("ant\nbee\n", {"1", "0"}, true), "1 0");
  EXPECT_EQ(numbered("2\n1\n0\n", {"0", "1", "2"}, true, &warnings), "0 1 2");
  EXPECT_THAT(warnings, ::testing::Contains(::testing::StartsWith("labels are positions in ")));
  EXPECT_EQ(
      numbered("1\n2\n3\n", {"1", "3"}, true),
      "the label '3' of 'k1' is not a position in FILE, which has 3, counted from 0; add the class there, "
      "or leave the input out");
}

TEST(Catalog, WarnsOfNamesThatLookTheSame) {
  Fixture f;
  for (const char* label : {"ant", "Ant", "bee", "bee ", "wolf"}) f.add(label, {label});
  f.catalog->close();
  EXPECT_THAT(f.warnings,
              ::testing::Contains(
                  "classes whose names differ by blanks, case, accents or leading zeros only: 'Ant' and "
                  "'ant', 'bee' and 'bee '"));
  // One letter or two, a blank or one where no line breaks: what the names look like is the same.
  Fixture other;
  for (const char* label : {"caf\xc3\xa9", "cafe\xcc\x81", "a b",
                            ("a\xc2\xa0"
                             "b"),
                            "\xc5\xbb", "z", "\xe6\x9c\xa8"})
    other.add(label, {label});
  other.catalog->close();
  EXPECT_THAT(other.warnings,
              ::testing::Contains(
                  "classes whose names differ by blanks, case, accents or leading zeros only: 'a b' and "
                  "'a\xc2\xa0"
                  "b', 'cafe\xcc\x81' and 'caf\xc3\xa9', 'z' and '\xc5\xbb'"));
}

// Invisible characters, blanks of every kind, letters of other scripts; signs that tell words apart do not
// count.
TEST(Catalog, WarnsOfNamesThatLookTheSameInAnyScript) {
  Fixture f;
  for (const char* label : {"dog", "\ufeffdog", "cat", "cat\u00a0", "\u3000fox", "fox", "Жук", "жук",
                            "straße", "STRASSE", "कि", "का"})
    f.add(label, {label});
  f.catalog->close();
  EXPECT_THAT(f.warnings, ::testing::Contains(
                              "classes whose names differ by blanks, case, accents or leading zeros only: "
                              "'cat' and 'cat\u00a0', 'STRASSE' and 'straße', 'Жук' and "
                              "'жук', 'fox' and '\u3000fox', 'dog' and '\ufeffdog'"));
}

TEST(Catalog, WarnsOfNumbersThatAreWrittenInTwoWays) {
  Fixture f;
  for (const char* label : {"01", "1", "2", "10"}) f.add(label, {label});
  f.catalog->close();
  EXPECT_THAT(f.warnings,
              ::testing::Contains("classes whose names differ by blanks, case, accents or leading "
                                  "zeros only: '01' and '1'"));
}

TEST(Catalog, WarnsOfMinusOneBesideNumberedClasses) {
  const auto warnings = [](const std::vector<std::string>& labels) {
    Fixture f;
    for (const std::string& label : labels) f.add_many(label, 100);
    f.catalog->close();
    return f.warnings;
  };
  EXPECT_THAT(
      warnings({"-1", "0", "1"}),
      ElementsAre("classes whose names usually mark a missing value: -1; leave the label empty for an "
                  "input without one"));
  EXPECT_THAT(warnings({"-1", "1"}), IsEmpty());
}

// "Uni" with an umlaut: a list in one code point, a folder in two, as macOS has it.
TEST(Catalog, ALabelThatIsEncodedOtherwiseThanItsClassIsExplained) {
  const TempFolder folder;
  Fixture f(R"({"classes": ")" + classes_file(folder, "\xc3\x9cni\nant\n") + "\"}");
  f.add("x", {"U\xcc\x88ni"});
  EXPECT_EQ(f.fault(),
            "the label 'U\xcc\x88ni' of 'x' is not in " + (folder / "classes.txt").string() +
                ", where '\xc3\x9cni' looks the same but is encoded otherwise (Unicode has several ways to "
                "write an accented letter or a blank); write both in one way");
  Fixture g(R"({"classes": ")" + classes_file(folder, "Uni\nant\n") + "\"}");
  g.add("x", {"uni"});
  EXPECT_THAT(g.fault(), ::testing::HasSubstr("(did you mean 'Uni'?)"));
}

TEST(Catalog, WarnsOfSeveralLabelsInTestAlone) {
  const auto warnings = [](std::optional<Split> split) {
    Fixture f(R"({"val_fraction": 0})");
    f.add_many("a", 100, Split::Train);
    f.add_many("b", 100, Split::Train);
    f.add("one", {"a"}, Split::Test);
    f.add("two", {"a", "b"}, split);
    f.add("three", {"b", "a"}, Split::Test);
    f.catalog->close();
    return f.warnings;
  };
  EXPECT_THAT(
      warnings(Split::Test),
      ElementsAre("inputs of test have several labels, for example 'two', but none of train and val: "
                  "learners give each input one class and cannot be scored on them; leave one label to "
                  "each, or move some of them to train"));
  EXPECT_THAT(warnings(Split::Train), IsEmpty());
}

TEST(Catalog, WarnsOfNamesThatUsuallyMarkAMissingValue) {
  Fixture f;
  for (const char* label : {"nan", "None", "N/A", "nantes"}) f.add(label, {label});
  f.catalog->close();
  EXPECT_THAT(f.warnings,
              ::testing::Contains("classes whose names usually mark a missing value: N/A, None, nan; "
                                  "leave the label empty for an input without one"));
}

TEST(Catalog, WhatIsSkippedIsCountedByKind) {
  Fixture f;
  f.catalog->skipped("special file", "a/pipe", "only regular files are images");
  f.catalog->skipped("symbolic link", "a/link", "follow_symlinks: true follows them");
  f.catalog->skipped("special file", "a/device", "only regular files are images");
  for (const char* sample : {"a.tar/1", "a.tar/2"})
    f.catalog->skipped("sample without an image", sample, "no member is one");
  f.catalog->close();
  EXPECT_THAT(f.warnings,
              ElementsAre("2 special files skipped, for example a/pipe (only regular files are images)",
                          "1 symbolic link skipped, for example a/link (follow_symlinks: true follows them)",
                          "2 samples without an image skipped, for example a.tar/1 (no member is one)"));
}

TEST(Catalog, MaxPerClassOfTrainLimitsTheValThatIsCarvedOutOfIt) {
  Fixture f(R"({"val_fraction": 0.2, "max_per_class": {"train": 8, "test": 8}})");
  f.add_many("a", 400, Split::Train);
  for (int i = 0; i < 40; ++i) f.add("t" + std::to_string(i), {"a"}, Split::Test);
  f.catalog->close();
  EXPECT_EQ(f.counts(), (std::map<std::pair<std::string, Split>, int>{
                            {{"a", Split::Train}, 8}, {{"a", Split::Val}, 2}, {{"a", Split::Test}, 8}}));
  // Val that the data name is another matter.
  Fixture g(R"({"max_per_class": {"train": 8}})");
  g.add_many("a", 40, Split::Train);
  for (int i = 0; i < 40; ++i) g.add("v" + std::to_string(i), {"a"}, Split::Val);
  g.catalog->close();
  EXPECT_EQ(g.counts(), (std::map<std::pair<std::string, Split>, int>{{{"a", Split::Train}, 8},
                                                                      {{"a", Split::Val}, 40}}));
}

TEST(Catalog, SplitsByTheirUsualNames) {
  for (const char* name : {"train", "Train", " training", "TRAINING\t"})
    EXPECT_EQ(split_from(name), Split::Train) << name;
  for (const char* name : {"val", "Valid", "validation", "dev", "Development "})
    EXPECT_EQ(split_from(name), Split::Val) << name;
  for (const char* name : {"test", "TEST", "Testing"}) EXPECT_EQ(split_from(name), Split::Test) << name;
  for (const char* name : {"", " ", "eval", "evaluation", "trian", "train1", "0"})
    EXPECT_FALSE(split_from(name)) << name;
}

TEST(Catalog, AFileRenamesTheClassesThatTheDataFix) {
  const TempFolder folder;
  Fixture f(R"({"classes": ")" + classes_file(folder, "zero\none\n") + "\"}");
  f.catalog->set_classes({"a", "b"});
  f.add("k", {"1"});
  f.catalog->close();
  EXPECT_THAT(f.catalog->classes(), ElementsAre("zero", "one"));

  Fixture g(R"({"classes": ")" + (folder / "classes.txt").string() + "\"}");
  EXPECT_THROW(g.catalog->set_classes({"a"}), Error);
}

TEST(Catalog, SaysWhatIsWrongWithAClassesFile) {
  const TempFolder folder;
  const auto fault = [&](const std::string& content) -> std::string {
    try {
      Fixture f(R"({"classes": ")" + classes_file(folder, content) + "\"}");
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  };
  const std::string path = (folder / "classes.txt").string();
  EXPECT_EQ(fault("a\nb\na\n"), path + ":3: the class 'a' is in line 1 already; a class has one line");
  EXPECT_EQ(fault("\n"), "classes: expected one class name per line in " + path + ", got an empty file");
}

TEST(Catalog, TwoInputsMayNotShareAKey) {
  Fixture f;
  f.add("a", {});
  f.add("b", {});
  f.add("a", {});
  EXPECT_EQ(f.fault(), "two inputs have the key 'a'; give each a key of its own");
}

TEST(Catalog, SplitsThatTheDataNameHoldAndValIsCarvedOutOfTrain) {
  Fixture f(R"({"val_fraction": 0.25})");
  f.add_many("a", 400, Split::Train);
  f.add_many("b", 100, Split::Test);
  f.catalog->close();
  const auto counts = f.counts();
  EXPECT_NEAR(counts.at({"a", Split::Val}), 100, 30);
  EXPECT_EQ(counts.at({"b", Split::Test}), 100);
  EXPECT_THAT(f.warnings, ElementsAre("classes without an image in the train split: b",
                                      "classes without an image in the val split: b",
                                      "classes without an image in the test split: a"));
}

TEST(Catalog, AGroupStaysInOneSplit) {
  Fixture f(R"j({"group": "^(scene[0-9]+)_", "val_fraction": 0.3, "test_fraction": 0.3})j");
  for (int scene = 0; scene < 60; ++scene)
    for (int frame = 0; frame < 5; ++frame)
      f.add("scene" + std::to_string(scene) + "_" + std::to_string(frame), {"a"});
  f.catalog->close();
  std::map<std::string, std::set<Split>> splits;
  std::set<Split> all;
  for (std::size_t i = 0; i < f.catalog->size(); ++i) {
    const Entry e = f.catalog->entry(i);
    splits[e.key.substr(0, e.key.find('_'))].insert(e.split);
    all.insert(e.split);
  }
  EXPECT_EQ(splits.size(), 60u);
  for (const auto& [scene, used] : splits) EXPECT_EQ(used.size(), 1u) << scene;
  EXPECT_EQ(all.size(), 3u);
}

TEST(Catalog, AGroupThatIsNoneIsSaid) {
  Fixture f(R"({"group": "[("})");
  f.add("a", {});
  EXPECT_THAT(f.fault(), ::testing::StartsWith("group: '[(' is not a regular expression ("));
  Fixture g(R"({"group": "^x"})");
  g.add("a", {});
  g.catalog->close();
  EXPECT_THAT(g.warnings, ElementsAre("group '^x' finds nothing to group in any key, for example 'a'"));
}

TEST(Catalog, AGroupThatIsEmptyInEveryKeyIsSaid) {
  Fixture f(R"({"group": "x*"})");
  f.add_many("a", 30);
  f.catalog->close();
  EXPECT_THAT(f.warnings,
              ::testing::Contains("group 'x*' finds the empty text in every key, so that all inputs "
                                  "are one group, for example 'a/0'"));
}

TEST(Catalog, ALabelWithANulByteIsRefused) {
  Fixture f;
  f.add("x", {std::string("a\0b", 3)});
  EXPECT_EQ(f.fault(), "a label that begins with 'a' holds a NUL byte, which no name of a class may");
}

TEST(Catalog, ShotsThinOutTrainAloneAndFewerAreAmongMore) {
  const auto keys = [](int shots, std::uint64_t seed) {
    Fixture f(R"({"val_fraction": 0, "shots": )" + std::to_string(shots) + "}", seed);
    f.add_many("a", 50, Split::Train);
    f.add_many("b", 30, Split::Train);
    for (int i = 0; i < 40; ++i) f.add("t" + std::to_string(i), {"a"}, Split::Test);
    f.add("unlabelled", {}, Split::Train);
    f.catalog->close();
    const auto counts = f.counts();
    EXPECT_EQ(counts.at({"a", Split::Train}), std::min(shots, 50));
    EXPECT_EQ(counts.at({"b", Split::Train}), std::min(shots, 30));
    EXPECT_EQ(counts.at({"a", Split::Test}), 40);
    const auto all = f.keys();
    EXPECT_EQ(all.back(), "unlabelled");
    return std::set<std::string>(all.begin(), all.end());
  };
  const auto four = keys(4, 1), eight = keys(8, 1);
  EXPECT_TRUE(std::includes(eight.begin(), eight.end(), four.begin(), four.end()));
  EXPECT_EQ(four, keys(4, 1));
  EXPECT_NE(four, keys(4, 2));
  EXPECT_EQ(keys(1000, 1).size(), 121u);
}

TEST(Catalog, ValThatIsCarvedShrinksWithTheShots) {
  Fixture f(R"({"val_fraction": 0.2, "shots": 8})");
  f.add_many("a", 400, Split::Train);
  f.add_many("b", 400, Split::Train);
  f.catalog->close();
  EXPECT_EQ(f.counts(), (std::map<std::pair<std::string, Split>, int>{{{"a", Split::Train}, 8},
                                                                      {{"a", Split::Val}, 2},
                                                                      {{"b", Split::Train}, 8},
                                                                      {{"b", Split::Val}, 2}}));
}

// The val of the shots is the fraction of both, rounded up; the fraction in thousandths makes it exact.
TEST(Catalog, ValThatIsCarvedIsNeverOneMoreThanItsFraction) {
  for (const int thousandths : {50, 100, 150, 200, 250, 300, 350, 400})
    for (int shots = 1; shots <= 30; ++shots) {
      const std::string fraction =
          "0." + std::string(thousandths < 100 ? "0" : "") + std::to_string(thousandths);
      Fixture f("{\"val_fraction\": " + fraction + ", \"shots\": " + std::to_string(shots) + "}");
      f.add_many("a", 400);
      f.catalog->close();
      const int rest = 1000 - thousandths, val = (shots * thousandths + rest - 1) / rest;
      EXPECT_EQ((f.counts()[{"a", Split::Val}]), val) << shots << " shots, " << fraction;
    }
}

TEST(Catalog, MaxPerClassLimitsEverySplit) {
  Fixture f(R"({"val_fraction": 0, "max_per_class": 7})");
  f.add_many("a", 50, Split::Train);
  f.add_many("b", 5, Split::Train);
  for (int i = 0; i < 40; ++i) f.add("t" + std::to_string(i), {"a"}, Split::Test);
  f.catalog->close();
  EXPECT_EQ(f.counts(), (std::map<std::pair<std::string, Split>, int>{
                            {{"a", Split::Train}, 7}, {{"a", Split::Test}, 7}, {{"b", Split::Train}, 5}}));
}

TEST(Catalog, MaxPerClassMayLimitSplitsDifferently) {
  Fixture f(R"({"val_fraction": 0, "max_per_class": {"all": 9, "train": 3}})");
  f.add_many("a", 50, Split::Train);
  for (int i = 0; i < 40; ++i) f.add("t" + std::to_string(i), {"a"}, Split::Test);
  f.catalog->close();
  EXPECT_EQ(f.counts(), (std::map<std::pair<std::string, Split>, int>{{{"a", Split::Train}, 3},
                                                                      {{"a", Split::Test}, 9}}));
}

TEST(Catalog, InputsThatShowNoneOfTheClassesAreNotUnlabelled) {
  Fixture f(R"({"val_fraction": 0})");
  f.add("a", {"a"}, Split::Train);
  f.add("unlabelled", {}, Split::Test);
  f.add_negatives(1, Split::Test);
  f.catalog->close();
  EXPECT_THAT(f.catalog->classes(), ElementsAre("a"));
  EXPECT_FALSE(f.catalog->entry(0).negative);
  EXPECT_FALSE(f.catalog->entry(1).negative);
  EXPECT_TRUE(f.catalog->entry(2).negative);
  EXPECT_THAT(f.catalog->entry(2).labels, IsEmpty());
  // Test is a labelled split, without an image of a class.
  EXPECT_THAT(f.warnings,
              ElementsAre("classes without an image in the test split: a",
                          "classes with fewer than 20 images, whose scores will be unreliable: a (1)"));
}

TEST(Catalog, LimitsCountInputsThatShowNoneOfTheClassesAsAClass) {
  for (const char* json :
       {R"({"val_fraction": 0, "max_per_class": {"train": 7}})", R"({"val_fraction": 0, "shots": 7})"}) {
    Fixture f(json);
    f.add_many("a", 50, Split::Train);
    f.add_negatives(40, Split::Train);
    for (int i = 0; i < 30; ++i) f.add("unlabelled " + std::to_string(i), {}, Split::Train);
    f.catalog->close();
    EXPECT_EQ(f.counts(), (std::map<std::pair<std::string, Split>, int>{{{"a", Split::Train}, 7}})) << json;
    EXPECT_EQ(f.negatives(Split::Train), 7) << json;
    EXPECT_EQ(f.catalog->size(), 7u + 7 + 30) << json;
  }
}

TEST(Catalog, WithSeveralLabelsOneThatHasRoomIsEnough) {
  Fixture f(R"({"val_fraction": 0, "max_per_class": 1})");
  f.add("both", {"a", "b"}, Split::Train);
  f.add("only a", {"a"}, Split::Train);
  f.add("c", {"c"}, Split::Train);
  f.catalog->close();
  // Whichever of the first two came first in the order of the seed, b and c keep their only input.
  const auto keys = f.keys();
  EXPECT_THAT(keys, ::testing::IsSupersetOf({"both", "c"}));
}

}  // namespace
}  // namespace graft
