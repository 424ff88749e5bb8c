#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
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
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StageHarness;

class ImageList : public ::testing::Test {
 protected:
  StageHarness open(const std::string& list, const std::string& more = "",
                    const std::string& name = "l.csv") {
    file_ = folder_.write(name, list).string();
    return StageHarness("image_list", "{file: \"" + file_ + "\"" + (more.empty() ? "" : ", " + more) + "}");
  }
  /// Every entry as "key split label,label"; NONE: it shows none of the classes.
  std::vector<std::string> lines(StageHarness& stage) {
    std::vector<std::string> out;
    for (const Entry& e : stage.list()) {
      std::string line = e.key + " " + to_string(e.split);
      for (std::size_t i = 0; i < e.labels.size(); ++i)
        line += (i == 0 ? " " : ",") + stage.as<Source>().classes()[static_cast<std::size_t>(e.labels[i])];
      out.push_back(e.negative ? line + " NONE" : line);
    }
    return out;
  }
  std::vector<std::string> lines(const std::string& list, const std::string& more = "",
                                 const std::string& name = "l.csv") {
    auto stage = open(list, more, name);
    return lines(stage);
  }
  /// What is wrong, with the list's path as FILE.
  std::string fault(const std::string& list, const std::string& more = "",
                    const std::string& name = "l.csv") {
    try {
      open(list, more, name);
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(file_)) != std::string::npos;)
        text.replace(at, file_.size(), "FILE");
      return text;
    }
  }

  TempFolder folder_;
  std::string file_;
};

constexpr const char* kAllTrain = "val_fraction: 0, test_fraction: 0";

TEST_F(ImageList, ReadsPathsLabelsAndSplits) {
  folder_.write("a.jpg", "12345");
  auto stage =
      open("label,path,split\nant,a.jpg,TRAIN\nbee,sub/b.jpg,Validation\n,c.jpg,test\nant,d.jpg,valid\n");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("ant", "bee"));
  EXPECT_EQ(stage.as<Source>().count(), 4u);
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "a.jpg");
  EXPECT_EQ(std::get<FileRef>(entries[0].payload).size, 5u);
  EXPECT_EQ(std::get<Bytes>(stage.load(entries[0])).size, 5u);
  EXPECT_EQ(entries[1].split, Split::Val);
  EXPECT_THAT(entries[1].labels, ElementsAre(1));
  EXPECT_THAT(entries[2].labels, IsEmpty());
  try {
    stage.load(entries[1]);
    FAIL();
  } catch (const Reject& e) {
    EXPECT_EQ(e.code(), "missing");
  }
}

TEST_F(ImageList, LabelsThatHoldAnotherSeparatorAreNoticed) {
  const std::string file = (folder_.path() / "l.csv").string();
  const auto warning = [&](const std::string& first, const std::string& second) {
    auto stage = open("path,labels\na.jpg,\"" + first + "\"\nb.jpg,\"" + second + "\"\n", "labels: labels");
    for (const std::string& text : stage.warnings())
      if (text.find("each is taken as one class") != std::string::npos) return text;
    return std::string("none");
  };
  EXPECT_EQ(
      warning("ant;big", "bee"),
      "no field of the column 'labels' in " + file +
          " holds label_separator '|', and 1 holds ';', for example ant;big: each is taken as one class; "
          "write label_separator: \";\" if it separates classes");
  EXPECT_EQ(warning("['ant', 'big']", "['bee']"),
            "2 fields of the column 'labels' in " + file +
                " are lists in brackets, for example ['ant', 'big']: each is taken as one class; write the "
                "classes alone, with '|' between them");
  EXPECT_EQ(warning("ant|big;old", "bee"), "none");
  EXPECT_EQ(warning("ant", "bee"), "none");
}

TEST_F(ImageList, Rfc4180) {
  EXPECT_THAT(
      lines("\xef\xbb\xbfpath,label\r\n\"a,b.jpg\",\"say \"\"hi\"\"\"\r\n\r\n\n\"two\nlines.jpg\",x\r\n"
            "q\"uote.jpg,\xff\r\nlast.jpg,\"\"",
            kAllTrain),
      ElementsAre("a,b.jpg train say \"hi\"", "two\nlines.jpg train x", "q\"uote.jpg train \xff",
                  "last.jpg train"));
}

TEST_F(ImageList, TsvAndNamedColumns) {
  EXPECT_THAT(lines("file\tspecies\tset\tnr\na,b.jpg\tant\ttrain\t007\n",
                    "path: file, label: species, split: set, id: nr, val_fraction: 0", "l.TSV"),
              ElementsAre("007 train ant"));
  EXPECT_THAT(lines("path\na.jpg\n", "format: csv, val_fraction: 0, test_fraction: 0", "list"),
              ElementsAre("a.jpg train"));
}

TEST_F(ImageList, AnySeparatorThatTheHeaderShows) {
  for (const char* separator : {";", "\t", "|", ","}) {
    const std::string s = separator;
    EXPECT_THAT(lines("path" + s + "label" + s + "split\na.jpg" + s + "ant" + s + "train\n\"b" + s +
                      ".jpg\"" + s + "bee" + s + "test\n"),
                ElementsAre("a.jpg train ant", "b" + s + ".jpg test bee"))
        << separator;
  }
  // One column alone has no separator, and a semicolon in a name is none.
  EXPECT_THAT(lines("path\na;b.jpg\n", kAllTrain), ElementsAre("a;b.jpg train"));
}

TEST_F(ImageList, LinesMayEndWithACarriageReturnAlone) {
  EXPECT_THAT(lines("path,label\ra.jpg,ant\r\"b\rc.jpg\",bee\r", kAllTrain),
              ElementsAre("a.jpg train ant", "b\rc.jpg train bee"));
}

TEST_F(ImageList, BlanksAroundAFieldAreCutOffThoseInQuotesAreKept) {
  EXPECT_THAT(lines("path, label, split\na.jpg, ant , TRAIN \n\" b.jpg\", bee, Valid\n"),
              ElementsAre("a.jpg train ant", " b.jpg val bee"));
}

TEST_F(ImageList, NdjsonIsJsonLines) {
  EXPECT_THAT(lines("{\"path\": \"a.jpg\", \"label\": \"ant\"}\n", kAllTrain, "l.ndjson"),
              ElementsAre("a.jpg train ant"));
}

TEST_F(ImageList, AColumnThatLooksLikeSplitsIsNotPassedOverSilently) {
  const auto warning = [&](const std::string& column, const char* cure) {
    return "no column 'split' in " + file_ + " (did you mean '" + column + "'?): splits come from a hash; " +
           cure;
  };
  for (const char* column : {"Split", "SPLIT", "subset", "fold", "partition", "is_valid"}) {
    auto stage = open(std::string("path,label,") + column + "\na.jpg,ant,1\nb.jpg,bee,0\n");
    EXPECT_THAT(stage.warnings(),
                Contains(warning(column, "write train, val or test into a column, and name it with split")))
        << column;
  }
  // By what it holds.
  auto stage = open("path,label,part\na.jpg,ant,train\nb.jpg,bee,test\n");
  EXPECT_THAT(stage.warnings(), Contains(warning("part", "name its column with split")));
  EXPECT_THAT(open("path,label,camera\na.jpg,ant,left\nb.jpg,bee,right\n").warnings(),
              ::testing::Not(Contains(HasSubstr("no column 'split'"))));
}

TEST_F(ImageList, LinesOfBlanksAreNoImages) {
  EXPECT_THAT(lines("path,label,split\na.jpg,ant,train\n  \t\nb.jpg,bee,test\n \n"),
              ElementsAre("a.jpg train ant", "b.jpg test bee"));
  EXPECT_EQ(fault("path,label\n"), "expected lines of images below the header of FILE, got none");
}

TEST_F(ImageList, AColumnOfGroupsThatIsNotUsedIsNamed) {
  const std::string warning = "the column 'group' of " + (folder_ / "l.csv").string() +
                              " is not used: images of one group may be in several splits; write a column "
                              "split, or give the parameter group, a pattern of the paths";
  EXPECT_THAT(open("path,label,group\na.jpg,ant,1\n").warnings(), Contains(warning));
  EXPECT_THAT(open("path,label,group,split\na.jpg,ant,1,test\n").warnings(),
              ::testing::Not(Contains(warning)));
}

TEST_F(ImageList, SeveralLabelsInAField) {
  EXPECT_THAT(
      lines("path,tags\na.jpg,x|y|x\nb.jpg,|\nc.jpg,y\n", "labels: tags, val_fraction: 0, test_fraction: 0"),
      ElementsAre("a.jpg train x,y", "b.jpg train", "c.jpg train y"));
  EXPECT_THAT(lines("path,tags\na.jpg,x; y\n",
                    "labels: tags, label_separator: \"; \", val_fraction: 0, test_fraction: 0"),
              ElementsAre("a.jpg train x,y"));
}

TEST_F(ImageList, JsonLines) {
  EXPECT_THAT(lines("\xef\xbb\xbf{\"path\": \"a.jpg\", \"label\": 3, \"split\": \"train\"}\r\n\n"
                    "{\"label\": [10, 3], \"path\": \"b\\u00e9.jpg\", \"split\": null}\n"
                    "{\"path\": \"c.jpg\", \"box\": [[1, 2.5]]}",
                    kAllTrain, "l.jsonl"),
              ElementsAre("a.jpg train 3", "b\xc3\xa9.jpg train 10,3", "c.jpg train"));
}

TEST_F(ImageList, IdsAndLabelsBeyondSixtyFourBitsStayApart) {
  EXPECT_THAT(lines("{\"path\": \"a.jpg\", \"nr\": 18446744073709551615, \"label\": 9223372036854775808}\n"
                    "{\"path\": \"b.jpg\", \"nr\": 18446744073709551616, \"label\": 9223372036854775809}\n",
                    "id: nr, val_fraction: 0, test_fraction: 0", "l.jsonl"),
              ElementsAre("18446744073709551615 train 9223372036854775808",
                          "18446744073709551616 train 9223372036854775809"));
}

TEST_F(ImageList, AColumnWithoutLabelsIsWorthAWord) {
  auto stage = open("path,class\na.jpg,x\n", kAllTrain);
  EXPECT_THAT(stage.warnings(), ElementsAre("no column 'label' in " + file_ +
                                            " (columns: path, class): the images have no class; name its "
                                            "column with label"));
  EXPECT_THAT(open("path,split\na.jpg,train\n", kAllTrain).warnings(), IsEmpty());
}

TEST_F(ImageList, APathThatStandsTwiceIsTwoInputsOfOneSplit) {
  std::string list = "path,label\n";
  for (int i = 0; i < 100; ++i) list += std::to_string(i % 50) + ".jpg,x\n";
  list += "7.jpg,x\n";
  auto stage = open(list);
  EXPECT_THAT(stage.warnings(),
              Contains("51 lines of " + file_ +
                       " with a path that an earlier line has, for example 0.jpg in line 52: "
                       "kept as inputs of their own, with keys such as PATH#2"));
  std::map<std::string, Split> splits;
  for (const Entry& e : stage.list()) splits[e.key] = e.split;
  ASSERT_EQ(splits.size(), 101u);
  for (int i = 0; i < 50; ++i) {
    const std::string path = std::to_string(i) + ".jpg";
    EXPECT_EQ(splits.at(path), splits.at(path + "#2"));
  }
  EXPECT_EQ(splits.at("7.jpg"), splits.at("7.jpg#3"));
}

TEST_F(ImageList, PathsMayNotLeaveTheRoot) {
  folder_.write("secret.jpg", "secret");
  folder_.write("root/a.jpg", "fine");
  const std::string root = (folder_ / "root").string();
  const auto load = [&](const std::string& more) {
    auto stage = open("path\na.jpg\n../secret.jpg\n/etc/passwd\n", "root: \"" + root + "\"" + more);
    std::vector<std::string> out;
    for (const Entry& e : stage.list()) try {
        out.push_back(std::to_string(std::get<Bytes>(stage.load(e)).size));
      } catch (const Reject& reject) {
        out.push_back(reject.code());
      }
    return out;
  };
  EXPECT_THAT(load(""), ElementsAre("4", "outside-root", "outside-root"));
  EXPECT_EQ(load(", allow_outside: true")[1], "6");
}

TEST_F(ImageList, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(fault(""), "expected a header with the names of the columns in FILE, got an empty file");
  EXPECT_EQ(
      fault("\n\nPath,label\na.jpg,x\n"),
      "FILE:3: expected a header with a column 'path', got the columns Path, label (did you mean 'Path'?); "
      "name the column with path");
  EXPECT_EQ(
      fault("path,clas\na.jpg,x\n", "label: class"),
      "FILE:1: expected a header with a column 'class', got the columns path, clas (did you mean 'clas'?); "
      "name the column with label");
  EXPECT_EQ(fault("path,path\na,b\n"), "FILE:1: the column 'path' stands twice in the header");
  EXPECT_EQ(
      fault("path,label\na.jpg,x\n\nb.jpg\n"),
      "FILE:4: expected 2 fields, as the header has, got 1; put fields that hold the separator into quotes");
  EXPECT_EQ(fault("path,label\n\"a\n\",x\nb.jpg,\"open\n\n"),
            "FILE:4: a quoted field begins here and does not end; close it with '\"'");
  EXPECT_EQ(fault("path,label\n\"a.jpg\"x,y\n"),
            "FILE:2: text after the closing quote of a field; write a quote inside a quoted field twice");
  EXPECT_EQ(fault(std::string("path\na\0.jpg\n", 12)),
            "FILE:2: a NUL byte; the list must be text in UTF-8 or another encoding of single bytes");
  EXPECT_EQ(fault("path,label\n" + std::string((1 << 20) + 1, 'a') + ",x\n"),
            "FILE:2: a field of more than 1 MiB begins in this record; is a quote missing?");
  EXPECT_EQ(fault("path,label\n" + std::string(10'000, ',') + "\n"),
            "FILE:2: a record of more than 10000 fields; is a line end missing?");
  EXPECT_EQ(fault("path,label\n,x\n"), "FILE:2: the path is empty");
  EXPECT_EQ(fault("path,split\na.jpg,trian\n"),
            "FILE:2: expected the split train, val or test (valid, validation and dev are val), got 'trian'");
  EXPECT_EQ(fault("path,id\na.jpg,1\nb.jpg,2\nc.jpg,1\n", "id: id"),
            "FILE:4: the id '1' is in line 2 already; give each its own");
  EXPECT_EQ(fault("path,id\na.jpg,\n", "id: id"),
            "FILE:2: the id is empty; give every line one, or none to all");
  EXPECT_EQ(fault("path\na.jpg\n", "label: x, labels: y"),
            "label, labels: expected one of the two, got both");
  EXPECT_EQ(
      fault("path,label\na.jpg,x\n", "empty_labels: none"),
      "empty_labels: expected labels, a column of any number of classes, got none; name the column with "
      "labels, or leave empty_labels out");
  EXPECT_EQ(fault("path,label\na.jpg,x\n", "label: label, empty_labels: unlabelled"),
            "empty_labels: expected labels, a column of any number of classes, got label, a column of one; "
            "name the column with labels, or leave empty_labels out");
  EXPECT_EQ(fault("path,tags\na.jpg,x\n", "labels: tags, empty_labels: negative"),
            "empty_labels: 'negative' is not allowed here (allowed: unlabelled, none)");
  EXPECT_EQ(fault("path\na.jpg\n", "", "l.txt"),
            "format: cannot tell from the name of FILE; write format: csv, tsv or jsonl");
  EXPECT_THAT(fault("path\na.jpg\n", "root: /no-such-folder"), HasSubstr("no such folder: /no-such-folder"));
}

TEST_F(ImageList, AnEmptyFieldIsUnlabelledOrNoneOfTheClasses) {
  const std::string csv = "path,tags\na.jpg,x|y\nb.jpg,\nc.jpg,|\nd.jpg,\" \"\n";
  const std::string with = std::string(kAllTrain) + ", labels: tags";
  EXPECT_THAT(lines(csv, with), ElementsAre("a.jpg train x,y", "b.jpg train", "c.jpg train", "d.jpg train"));
  EXPECT_THAT(lines(csv, with + ", empty_labels: unlabelled"), ::testing::Not(Contains(HasSubstr("NONE"))));
  EXPECT_THAT(lines(csv, with + ", empty_labels: none"),
              ElementsAre("a.jpg train x,y", "b.jpg train NONE", "c.jpg train NONE", "d.jpg train NONE"));
  // Of a single label, an empty field is unlabelled.
  EXPECT_THAT(lines("path,label\na.jpg,\nb.jpg,x\n", kAllTrain), ElementsAre("a.jpg train", "b.jpg train x"));
}

TEST_F(ImageList, AnEmptyListInJsonIsNoneOfTheClasses) {
  const std::string json =
      "{\"path\": \"a.jpg\", \"tags\": [\"x\"]}\n{\"path\": \"b.jpg\", \"tags\": []}\n"
      "{\"path\": \"c.jpg\", \"tags\": null}\n{\"path\": \"d.jpg\"}\n"
      "{\"path\": \"e.jpg\", \"tags\": \"\"}\n{\"path\": \"f.jpg\", \"tags\": [\" \"]}\n";
  const std::string with = std::string(kAllTrain) + ", labels: tags";
  EXPECT_THAT(lines(json, with, "l.jsonl"), ElementsAre("a.jpg train x", "b.jpg train NONE", "c.jpg train",
                                                        "d.jpg train", "e.jpg train", "f.jpg train"));
  EXPECT_THAT(lines(json, with + ", empty_labels: none", "l.jsonl"),
              ElementsAre("a.jpg train x", "b.jpg train NONE", "c.jpg train", "d.jpg train",
                          "e.jpg train NONE", "f.jpg train NONE"));
  EXPECT_THAT(lines("{\"path\": \"a.jpg\", \"label\": []}\n", kAllTrain, "l.jsonl"),
              ElementsAre("a.jpg train"));
}

TEST_F(ImageList, SaysWhatIsWrongInJsonLines) {
  const auto json = [&](const std::string& list, const std::string& more = "") {
    return fault(list, more, "l.jsonl");
  };
  EXPECT_EQ(json("{\"path\": \"a\"}\n{\"path\": \n"),
            "FILE:2: not valid JSON at byte 10; write one JSON object per line");
  EXPECT_EQ(json("[1]\n"), "FILE:1: expected a JSON object, got a list; write one JSON object per line");
  EXPECT_EQ(json("{\"file\": \"a\"}\n"),
            "FILE:1: expected a field 'path', got the fields file; name the field with path");
  EXPECT_EQ(json("{\"path\": 1.5}\n"),
            "FILE:1: 'path': expected a text or a whole number, got a number; write it in quotes");
  EXPECT_EQ(json("{\"path\": \"a\", \"label\": {}}\n"),
            "FILE:1: 'label': expected a text or a whole number, got a map");
  EXPECT_EQ(json("{\"path\": \"a\\u0000b\"}\n"), "FILE:1: the path holds a NUL byte, which no file name can");
  EXPECT_EQ(json("{\"path\": \"a\"}\n", "label: class"), "label: no line of FILE has a field 'class'");
  EXPECT_EQ(json("{\"path\": \"a\"}\n", "id: nr"), "FILE:1: expected a field 'nr' with the id, got none");
  EXPECT_EQ(json("{\"path\": " + std::string(100000, '[') + std::string(100000, ']') + "}\n"),
            "FILE:1: JSON nested more than 200 deep");
  EXPECT_EQ(json("{\"path\": \"a\"}\n{\"path\": \"b\", \"score\": 1e999}\n"),
            "FILE:2: not valid JSON at byte 28: the number 1e999 is too large");
  EXPECT_EQ(json("{\"path\": \"a\", \"path\": \"b\"}\n"),
            "FILE:1: not valid JSON: the name 'path' stands twice in one object");
  EXPECT_EQ(json(std::string((1 << 20) + 1, ' ')),
            "FILE:1: a line of more than 1 MiB; write one object a line");
}

TEST_F(ImageList, TheSecondListingIsTheSame) {
  std::string list = "path,label,split\n";
  for (int i = 0; i < 500; ++i)
    list +=
        std::to_string(i * 7919 % 500) + ".jpg," + std::to_string(i % 3) + "," + (i % 5 ? "" : "test") + "\n";
  const auto once = lines(list), again = lines(list);
  EXPECT_EQ(once, again);
  EXPECT_EQ(once.size(), 500u);
}

}  // namespace
}  // namespace graft
