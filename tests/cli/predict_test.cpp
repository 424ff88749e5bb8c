// Models that a run has left, applied to files.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/stored_zip.h"
#include "npy.h"
#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PredictTest : public StripesTest {
 protected:
  static ProgramResult predict(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "predict");
    return run_program(arguments, folder_->path());
  }
};

TEST_F(PredictTest, ScoresHaveTheBitsOfTheRun) {
  for (const std::string& learner : kStripesLearners) {
    const auto wanted = test_scores(*folder_, learner);
    ASSERT_EQ(wanted.size(), 10u);
    const ProgramResult r = predict({"run/models/" + learner, "photos/test"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const auto lines = csv_fields(r.out);
    ASSERT_EQ(lines.size(), 11u) << r.out;
    EXPECT_EQ(lines[0], (std::vector<std::string>{"key", "predicted", "across", "along", "rejected"}));
    for (std::size_t i = 1; i < lines.size(); ++i)
      EXPECT_EQ((std::vector<std::string>{lines[i][1], lines[i][2], lines[i][3]}), wanted.at(lines[i][0]))
          << learner << " " << lines[i][0];
    EXPECT_THAT(r.err, EndsWith("10 of 10 inputs predicted by '" + learner + "' of " +
                                folder_->path().string() + "/run\n"));
  }
}

TEST_F(PredictTest, OfARunTheBestOnValIsTaken) {
  const json learners = json::parse(slurp(*folder_ / "run/results.json"))["learners"];
  double best = 0;
  for (const auto& [name, l] : learners.items()) best = std::max(best, l["val"]["accuracy"].get<double>());
  const ProgramResult r = predict({"run/", "photos/test/along/1.ppm"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const std::string name = r.err.substr(r.err.find('\'') + 1, r.err.rfind('\'') - r.err.find('\'') - 1);
  EXPECT_EQ(learners[name]["val"]["accuracy"].get<double>(), best) << r.err;
}

TEST_F(PredictTest, AnInputWithoutScoresIsALineInItsPlace) {
  folder_->write("odd/text.jpg", "no image");
  const ProgramResult r = predict(
      {"run", "--learner", "probe", "odd/missing.ppm", "photos/test/along/0.ppm", "odd/text.jpg", "--quiet"});
  EXPECT_EQ(r.exit_code, 3);
  const auto lines = csv_fields(r.out);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[1], (std::vector<std::string>{"odd/missing.ppm", "", "", "",
                                                "missing: cannot open the file: No such file or directory"}));
  EXPECT_EQ(lines[2][0], "photos/test/along/0.ppm");
  EXPECT_EQ(lines[2][4], "");
  EXPECT_EQ(lines[3][0], "odd/text.jpg");
  EXPECT_THAT(r.out, HasSubstr("not-an-image: "));
  EXPECT_EQ(r.err, "");
}

TEST_F(PredictTest, WritesWhatIsAskedFor) {
  const std::string image = "photos/test/along/0.ppm";
  const auto whole = csv_fields(predict({"run", "--learner", "probe", image, "--quiet"}).out);
  const double across = std::stod(whole.at(1).at(2)), along = std::stod(whole[1][3]);
  ASSERT_GT(along, across);

  const auto top = csv_fields(predict({"run", "--learner", "probe", image, "--top", "1", "--quiet"}).out);
  EXPECT_EQ(top.at(0), (std::vector<std::string>{"key", "predicted", "class1", "score1", "rejected"}));
  EXPECT_EQ(top.at(1), (std::vector<std::string>{image, "along", "along", whole[1][3], ""}));

  const auto none =
      csv_fields(predict({"run", "--learner", "probe", image, "--threshold", "1", "--quiet"}).out);
  EXPECT_EQ(none.at(1).at(1), "");

  const ProgramResult lines =
      predict({"run", "--learner", "probe", image, "odd/missing.ppm", "--json", "--quiet"});
  EXPECT_EQ(lines.exit_code, 3);
  std::istringstream in(lines.out);
  std::string first, second, third;
  std::getline(in, first);
  std::getline(in, second);
  EXPECT_FALSE(std::getline(in, third)) << third;
  const json scored = json::parse(first), rejected = json::parse(second);
  EXPECT_EQ(scored["key"], image);
  EXPECT_EQ(scored["predicted"], json::array({"along"}));
  EXPECT_EQ(scored["scores"]["along"].get<float>(), static_cast<float>(along));
  EXPECT_EQ(rejected["rejected"]["code"], "missing");

  const ProgramResult file = predict({"run", "--learner", "probe", image, "--out", "out.csv", "--quiet"});
  EXPECT_EQ(file.out, "");
  EXPECT_EQ(csv_fields(slurp(*folder_ / "out.csv")), whole);
}

TEST_F(PredictTest, FeaturesAreKeptWhereThereIsAStoreForThem) {
  const ProgramResult first = predict({"run", "--learner", "knn", "photos/test", "--store", "kept"});
  const ProgramResult second = predict({"run", "--learner", "knn", "photos/test", "--store", "kept"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.out, first.out);
  EXPECT_TRUE(std::filesystem::exists(*folder_ / "kept/tables"));
  // The rows are those of the run.
  const ProgramResult store = run_program({"store", "ls", "--store", "kept", "--json"}, folder_->path());
  const ProgramResult own = run_program({"store", "ls", "--json"}, folder_->path());
  for (const json& table : json::parse(store.out)) {
    const std::string fingerprint = table["fingerprint"];
    EXPECT_THAT(own.out, HasSubstr(fingerprint));
  }
}

TEST_F(PredictTest, NamesTheTrainingImagesThatAreMostAlike) {
  // The run lists them for test, every view by itself.
  std::map<std::string, std::vector<std::string>> wanted;
  for (const auto& fields : csv_fields(slurp(*folder_ / "run/neighbours/knn.csv")))
    if (fields.at(1) == "0" && fields[2] == "test") {
      std::vector<std::string>& near = wanted["photos/" + fields[0]];
      if (std::find(near.begin(), near.end(), fields[4]) == near.end())
        near.insert(near.end(), {fields[4], fields[5]});
    }
  const ProgramResult r =
      predict({"run", "--learner", "knn", "photos/test", "odd/missing.ppm", "--quiet", "--neighbors", "2"});
  EXPECT_EQ(r.exit_code, 3) << r.err;
  const auto lines = csv_fields(r.out);
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_EQ(lines[0], (std::vector<std::string>{"key", "predicted", "across", "along", "neighbor1",
                                                "similarity1", "neighbor2", "similarity2", "rejected"}));
  for (std::size_t i = 1; i <= 10; ++i) {
    const std::vector<std::string>& near = wanted.at(lines[i][0]);
    EXPECT_EQ(lines[i][4], near.at(0));
    EXPECT_EQ(lines[i][5], near.at(1));
    EXPECT_EQ(lines[i].size(), 9u);
  }
  EXPECT_EQ(lines[11].size(), 9u);
  const json line = json::parse(
      predict({"run", "--learner", "knn", "photos/test/along/0.ppm", "--quiet", "--neighbors", "1", "--json"})
          .out);
  EXPECT_EQ(line["neighbors"][0]["key"], wanted.at("photos/test/along/0.ppm").at(0));
  EXPECT_THAT(
      predict({"run", "--learner", "mlp", "photos/test", "--neighbors", "1"}).err,
      StartsWith("error: 'mlp' keeps no training images to compare with: add a learner that does, such "
                 "as knn, on the same table to the config, and run it again; the rows are reused\n"));
}

TEST_F(PredictTest, AnotherLearnerOfTheSameTableNamesTheTrainingImages) {
  const auto lines_of = [&](const std::string& learner) {
    const ProgramResult r =
        predict({"run", "--learner", learner, "photos/test", "--quiet", "--neighbors", "2"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return csv_fields(r.out);
  };
  const auto plain = csv_fields(predict({"run", "--learner", "probe", "photos/test", "--quiet"}).out);
  // `both` and `knn` are the learners of the table that keep their rows; the first by name is taken.
  const auto wanted = lines_of("both"), probe = lines_of("probe"), calibrated = lines_of("sure");
  const auto of_knn = lines_of("knn");
  ASSERT_EQ(probe.size(), 11u);
  for (std::size_t i = 1; i < probe.size(); ++i) {
    for (std::size_t c = 0; c < 4; ++c) EXPECT_EQ(probe[i][c], plain[i][c]);
    for (std::size_t c = 4; c < 8; ++c) {
      EXPECT_EQ(probe[i][c], wanted[i][c]);
      EXPECT_EQ(calibrated[i][c], of_knn[i][c]);
    }
  }
}

TEST_F(PredictTest, ArchivesStandForTheirImages) {
  const std::string test = "photos/test/";
  std::string zip;
  std::vector<ZipMember> members;
  for (const std::string name : {"across/0.ppm", "along/1.ppm", "notes.txt"}) {
    const std::string content = name == "notes.txt" ? "no image" : slurp(*folder_ / (test + name));
    members.push_back({name, content.size(), zip_crc(0, content.data(), content.size())});
    zip += zip_header(members.back()) + content;
  }
  folder_->write("some.zip", zip + zip_end(members, ""));
  const std::string root = folder_->path().string();
  ASSERT_EQ(
      std::system(("tar -C " + root + "/photos/test -czf " + root + "/all.tar.gz across along").c_str()), 0);
  folder_->write("list.txt", "photos/test/along/2.ppm\nsome.zip\n");
  folder_->write("cut.zip", zip.substr(0, 300));

  std::map<std::string, std::vector<std::string>> wanted;  // by the name below the folder of test
  for (const auto& fields : csv_fields(predict({"run", "--learner", "probe", test, "--quiet"}).out))
    if (fields[0].starts_with(test))
      wanted[fields[0].substr(test.size())] = {fields.begin() + 1, fields.end()};
  ASSERT_EQ(wanted.size(), 10u);
  const ProgramResult r = predict({"run", "--learner", "probe", "some.zip", test + "along/0.ppm", "list.txt",
                                   "cut.zip", "all.tar.gz", "*.zip"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_THAT(r.err, HasSubstr("3 archive members without the extension of an image skipped, for example "
                               "some.zip/notes.txt (rename it to use it)"));
  const auto lines = csv_fields(r.out);
  ASSERT_EQ(lines.size(), 1u + 2 + 1 + 3 + 1 + 10 + 3) << r.out;
  const auto expect = [&](std::size_t line, const std::string& key, const std::string& image) {
    EXPECT_EQ(lines[line][0], key);
    EXPECT_EQ((std::vector<std::string>{lines[line].begin() + 1, lines[line].end()}), wanted.at(image))
        << key;
  };
  expect(1, "some.zip/across/0.ppm", "across/0.ppm");
  expect(2, "some.zip/along/1.ppm", "along/1.ppm");
  expect(3, "photos/test/along/0.ppm", "along/0.ppm");
  expect(4, "photos/test/along/2.ppm", "along/2.ppm");
  expect(5, "some.zip/across/0.ppm#2", "across/0.ppm");
  expect(6, "some.zip/along/1.ppm#2", "along/1.ppm");
  EXPECT_EQ(lines[7][0], "cut.zip");
  EXPECT_THAT(r.out, HasSubstr("\ncut.zip,,,,\"corrupt: cut.zip is a zip file that was cut short: "));
  for (std::size_t i = 8; i < 18; ++i)
    expect(i, lines[i][0], lines[i][0].substr(std::string("all.tar.gz/").size()));
  EXPECT_EQ(lines[18][0], "cut.zip#2");
  expect(19, "some.zip/across/0.ppm#3", "across/0.ppm");

  const auto with_threads = [](const char* n) {
    return predict({"run", "--learner", "probe", "all.tar.gz", "some.zip", "--quiet", "--set",
                    "run.threads=" + std::string(n)})
        .out;
  };
  EXPECT_EQ(with_threads("1"), with_threads("8"));
}

TEST_F(PredictTest, MembersOfOneNameHaveThePredictionsOfTheirOwnContents) {
  std::string zip;
  std::vector<ZipMember> members;
  for (const std::string image : {"across/0.ppm", "along/1.ppm"}) {
    const std::string content = slurp(*folder_ / ("photos/test/" + image));
    members.push_back({"same.ppm", content.size(), zip_crc(0, content.data(), content.size())});
    zip += zip_header(members.back()) + content;
  }
  folder_->write("same.zip", zip + zip_end(members, ""));
  const auto one = csv_fields(
                 predict({"run", "--learner", "probe", "photos/test/across/0.ppm", "--quiet"}).out),
             other =
                 csv_fields(predict({"run", "--learner", "probe", "photos/test/along/1.ppm", "--quiet"}).out),
             both = csv_fields(predict({"run", "--learner", "probe", "same.zip", "--quiet"}).out);
  ASSERT_EQ(both.size(), 3u);
  EXPECT_EQ(both[2][0], "same.zip/same.ppm#2");
  for (std::size_t field = 1; field < both[1].size(); ++field) {
    EXPECT_EQ(both[1][field], one.at(1).at(field));
    EXPECT_EQ(both[2][field], other.at(1).at(field));
  }
  EXPECT_NE(both[1][2], both[2][2]);
}

TEST_F(PredictTest, CtrlCLeavesTheLinesOfWhatWasFinished) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const TempFolder output;
  const int before = ::dup(STDIN_FILENO);
  ::dup2(ends[0], STDIN_FILENO);
  const pid_t pid = start_program(output, {"predict", "run", "-"}, folder_->path());
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  ::close(ends[0]);
  // More than a portion; the list does not end, so that the program waits for more.
  constexpr int kInputs = 66'000;
  std::string list;
  for (int i = 0; i < kInputs; ++i) list += "gone/" + std::to_string(i) + ".jpg\n";
  for (std::size_t at = 0; at < list.size();) {
    const ssize_t n = ::write(ends[1], list.data() + at, list.size() - at);
    ASSERT_GT(n, 0);
    at += static_cast<std::size_t>(n);
  }
  // Inputs are scored 8,192 at a time: with one of the last of the portion in sight, all of it is scored.
  while (slurp(output / "stdout").find("\ngone/60000.jpg,") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_EQ(::kill(pid, SIGINT), 0);
  const ProgramResult r = wait_for(output, pid);
  ::close(ends[1]);
  EXPECT_EQ(r.exit_code, 130) << r.err;
  const auto lines = csv_fields(r.out);
  ASSERT_GT(lines.size(), 1u << 16);
  for (std::size_t i = 1; i < lines.size(); ++i)
    ASSERT_EQ(lines[i][0], "gone/" + std::to_string(i - 1) + ".jpg");
  EXPECT_THAT(r.err, HasSubstr("interrupted: " + std::to_string(lines.size() - 1) +
                               " inputs predicted, in their order; the others are not\n"));
}

TEST_F(PredictTest, AsManyNeighboursAreNamedAsAreAskedFor) {
  // Each training image has five rows, and the run lists the nearest 5 or 10 rows.
  for (const char* learner : {"knn", "both"}) {
    const ProgramResult r = predict(
        {"run", "--learner", learner, "photos/test/along/0.ppm", "--quiet", "--neighbors", "30", "--json"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const json near = json::parse(r.out)["neighbors"];
    ASSERT_EQ(near.size(), 30u) << learner;
    std::set<std::string> keys;
    for (std::size_t n = 0; n < near.size(); ++n) {
      keys.insert(near[n]["key"].get<std::string>());
      EXPECT_LE(near[n]["similarity"], near[n == 0 ? 0 : n - 1]["similarity"]);
    }
    EXPECT_EQ(keys.size(), 30u) << learner;
    // All that there are.
    EXPECT_EQ(json::parse(predict({"run", "--learner", learner, "photos/test/along/0.ppm", "--quiet",
                                   "--neighbors", "1000", "--json"})
                              .out)["neighbors"]
                  .size(),
              36u);
  }
}

TEST_F(PredictTest, NamesOfFilesMayBeAnyBytes) {
  const std::string plain = "photos/test/along/0.ppm";
  for (const std::string& name : {std::string("caf\xe9.ppm"), std::string("a${HOME} $${x}.ppm")}) {
    folder_->write("odd/" + name, slurp(*folder_ / plain));
    const ProgramResult r = predict({"run", "--learner", "probe", plain, "odd/" + name, "--quiet"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const auto lines = csv_fields(r.out);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[2][0], "odd/" + name);
    EXPECT_EQ(lines[2][2], lines[1][2]);
  }
}

TEST_F(PredictTest, NoImageIsListedAsItsOwnNeighbour) {
  for (const char* learner : {"knn", "both"}) {
    std::size_t of_val = 0;
    for (const auto& fields :
         csv_fields(slurp(*folder_ / "run/neighbours" / (std::string(learner) + ".csv")))) {
      of_val += fields.at(2) == "val" ? 1 : 0;
      EXPECT_NE(fields.at(0), fields.at(4)) << learner;
    }
    EXPECT_GT(of_val, 0u);
  }
}

TEST_F(PredictTest, OfTheRunsImagesOnlyThoseOfTestHaveItsScores) {
  // predictions/ID.csv has, for val, the scores of the model before it was fitted again.
  std::map<std::string, std::string> of_run;
  for (const auto& fields : csv_fields(slurp(*folder_ / "run/predictions/probe.csv")))
    of_run["photos/" + fields.at(0)] = fields.at(4);
  std::size_t same = 0, other = 0;
  for (const char* split : {"test", "val"})
    for (const auto& fields :
         csv_fields(predict({"run", "--learner", "probe", "photos/" + std::string(split), "--quiet"}).out)) {
      if (fields.at(0) == "key") continue;
      const bool is_same = of_run.at(fields.at(0)) == fields.at(2);
      EXPECT_TRUE(is_same || std::string(split) == "val") << fields.at(0);
      ++(is_same ? same : other);
    }
  EXPECT_EQ(same + other, 22u);
  EXPECT_GT(other, 0u);
  const std::string help = predict({"--help"}).out;
  EXPECT_THAT(help, HasSubstr("--out FILE"));
  std::string words;
  for (const char c : help) words += c == '\n' ? ' ' : c;
  EXPECT_THAT(words, HasSubstr("The model was fitted on train and val in the end: it looks better on their "
                               "images than it is"));
}

TEST_F(PredictTest, FeaturesAreWrittenWhereTheyAreAskedFor) {
  const ProgramResult plain = predict({"run", "--learner", "probe", "photos/test", "--quiet"});
  const ProgramResult r =
      predict({"run", "--learner", "probe", "photos/test", "--quiet", "--features", "features.npy"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, plain.out);
  // Those of the run are as many floats for each of its 46 images of five crops.
  ASSERT_EQ(run_program({"store", "export", "stripes/table", "all.npy"}, folder_->path()).exit_code, 0);
  const std::string some = slurp(*folder_ / "features.npy"), all = slurp(*folder_ / "all.npy");
  EXPECT_THAT(some, StartsWith("\x93NUMPY"));
  EXPECT_THAT(some, HasSubstr("'shape': (50, "));
  EXPECT_EQ((some.size() - 128) * 46, (all.size() - 128) * 10);

  EXPECT_THAT(predict({"run", "photos/test", "--features", "features.npy"}).err,
              StartsWith("error: features.npy exists: remove it, or choose another file\n"));
  EXPECT_THAT(predict({"run", "photos/test", "--features", "x.txt"}).err,
              StartsWith("error: --features: expected FILE.h5, FILE.npy or FILE.csv, got 'x.txt'\n"));
}

TEST_F(PredictTest, APlaceWithoutRoomForAnOutputIsNamedWithItsCure) {
  const std::string cure =
      "error: cannot create a file in no/such: No such file or directory; make the folder no/such first, or "
      "choose another place\n";
  for (const char* option : {"--out", "--features"}) {
    const ProgramResult r =
        predict({"run", "photos/test", "--learner", "probe", "--quiet", option, "no/such/a.csv"});
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_EQ(r.err, cure) << option;
  }
  std::filesystem::create_symlink("nowhere/a.h5", *folder_ / "link.h5");
  const ProgramResult r = predict({"run", "photos/test", "--features", "link.h5"});
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err, "error: link.h5 exists: remove it, or choose another file\n");
}

TEST_F(PredictTest, WithoutScoresOfTheRunAModelMustBeChosen) {
  std::filesystem::copy(*folder_ / "run", *folder_ / "scoreless", std::filesystem::copy_options::recursive);
  const std::string cure =
      "; it has the scores that a model is chosen by: bring it back as the run has written it, or choose one "
      "with --learner (";
  folder_->write("scoreless/results.json", "{");
  EXPECT_THAT(predict({"scoreless", "photos/test"}).err,
              StartsWith("error: scoreless/results.json: not valid JSON at byte 2" + cure));
  std::filesystem::remove(*folder_ / "scoreless/results.json");
  EXPECT_THAT(predict({"scoreless", "photos/test"}).err,
              StartsWith("error: cannot open scoreless/results.json: No such file or directory" + cure));
  EXPECT_EQ(predict({"scoreless", "--learner", "probe", "--quiet", "photos/test"}).exit_code, 0);
}

TEST_F(PredictTest, OutputsTakeTheirPlaceAmongTheInputsAndNotThatOfThem) {
  std::filesystem::create_directories(*folder_ / "mixed");
  for (const char* name : {"0.ppm", "1.ppm"})
    std::filesystem::copy_file(*folder_ / "photos/test/along" / name, *folder_ / "mixed" / name);
  const ProgramResult r = predict(
      {"run", "--learner", "probe", "mixed", "--out", "mixed/scores.csv", "--features", "mixed/vectors.npy"});
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, HasSubstr("2 of 2 inputs predicted"));
  EXPECT_EQ(csv_fields(slurp(*folder_ / "mixed/scores.csv")).size(), 3u);

  const std::string image = slurp(*folder_ / "mixed/0.ppm");
  EXPECT_EQ(predict({"run", "mixed/0.ppm", "--out", "mixed/0.ppm"}).err,
            "error: mixed/0.ppm exists and is not a file of predictions; choose another name\n");
  EXPECT_EQ(slurp(*folder_ / "mixed/0.ppm"), image);
  EXPECT_EQ(predict({"run", "mixed/0.ppm", "--out", "run/results.json"}).exit_code, 1);
  EXPECT_EQ(predict({"run", "mixed/0.ppm", "--quiet", "--out", "mixed/scores.csv"}).exit_code, 0);
  EXPECT_THAT(
      predict({"run", "mixed/0.ppm", "--out", "./new.csv", "--features", "new.csv"}).err,
      StartsWith("error: --out and --features name the same file: the predictions and the vectors need "
                 "one each\n"));
}

TEST_F(PredictTest, InNpyEveryInputHasItsViews) {
  const ProgramResult r = predict({"run", "--learner", "probe", "photos/test/along/0.ppm", "odd/missing.ppm",
                                   "photos/test/along/1.ppm", "--features", "gaps.npy"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_THAT(r.err, HasSubstr("warning: gaps.npy: 5 rows without features are NaN, so that there is a row "
                               "for every input\n"));
  std::vector<bool> wanted(15, false);
  std::fill_n(wanted.begin() + 5, 5, true);
  EXPECT_EQ(rows_with_nan(slurp(*folder_ / "gaps.npy"), 15), wanted);

  const ProgramResult none =
      predict({"run", "--learner", "probe", "odd/missing.ppm", "--features", "none.npy"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.out, HasSubstr("\nodd/missing.ppm,,,,"));
  EXPECT_THAT(none.err, HasSubstr("warning: none.npy was not written: no input has features\n"));
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "none.npy"));
}

TEST_F(PredictTest, OneSetNamesTheNewPlaceOfANetwork) {
  const TempFolder moved;
  write_photographs(moved);
  const auto network = moved / "net.safetensors", now = moved / "weights/moved.safetensors";
  std::filesystem::copy_file(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors", network);
  // The network of `pixels` is that of the backbone downstream.
  moved.write("config.yaml", R"(name: moved
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images}
  features: {plugin: backbone, from: pixels, with: {model: net.safetensors}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
)");
  const ProgramResult run = run_program({"run", "config.yaml", "--out", "run", "--quiet"}, moved.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const ProgramResult before = run_program({"predict", "run", "photos/test"}, moved.path());
  ASSERT_EQ(before.exit_code, 0) << before.err;
  std::filesystem::create_directories(moved / "weights");
  std::filesystem::rename(network, now);
  const ProgramResult gone = run_program({"predict", "run", "photos/test"}, moved.path());
  EXPECT_EQ(gone.exit_code, 1);
  EXPECT_THAT(gone.err, HasSubstr("name its place with --set "));
  for (const char* parameter : {"features.model", "pixels.network"}) {
    const ProgramResult r =
        run_program({"predict", "run", "photos/test", "--set", parameter + std::string("=") + now.string()},
                    moved.path());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(r.out, before.out);
  }
}

TEST_F(PredictTest, OtherFeaturesThanThoseOfTrainingAreAnError) {
  std::filesystem::copy(*folder_ / "run", *folder_ / "changed", std::filesystem::copy_options::recursive);
  std::string config = slurp(*folder_ / "changed/config.yaml");
  const std::size_t at = config.find("resize: [14]");
  ASSERT_NE(at, std::string::npos) << config;
  config.replace(at, 12, "resize: [16]");
  folder_->write("changed/config.yaml", config);
  const ProgramResult r = predict({"changed", "--learner", "probe", "photos/test"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_THAT(r.err,
              StartsWith("error: the features of 'probe' are no longer those that the model was trained on: "
                         "pixels.resize"));
  EXPECT_THAT(r.err, HasSubstr("; train it again, or bring back what was changed\n"));
}

TEST_F(PredictTest, WhatIsNoModelIsAnError) {
  EXPECT_THAT(predict({"nowhere", "x.jpg"}).err,
              StartsWith("error: nowhere is not there: expected the folder of a run"));
  EXPECT_THAT(predict({"photos", "x.jpg"}).err,
              StartsWith("error: photos holds no models: expected the folder of a "
                         "complete run with learners\n"));
  EXPECT_THAT(
      predict({"run", "x.jpg", "--learner", "prob"}).err,
      StartsWith(
          "error: --learner prob: no such model in run; did you mean 'probe'? (models: both, knn, mlp, "
          "nearest, probe, sure, surer)\n"));
  const ProgramResult none = predict({"run"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, StartsWith("error: INPUT is missing"));
}

TEST(Predict, TrainedNetworksGiveTheBitsOfTheRunFromTheRunAndFromAFile) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  const TempFolder folder, colleague;
  write_photographs(folder);
  std::filesystem::copy_file(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors",
                             folder / "net.safetensors");
  folder.write("config.yaml", R"(name: trained
run: {threads: 2}
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 16, crop: 16}}
  rows: {plugin: pixel_table, from: pixels}
  tuned: {plugin: finetune, from: rows, with: {model: net.safetensors, unfreeze: {last: 1}, epochs: 2}}
  probed: {plugin: finetune, from: rows, with: {model: net.safetensors, unfreeze: head, init: probe, epochs: 1}}
  sure: {plugin: temperature, from: tuned}
  scratch: {plugin: pretrain, from: rows, with: {architecture: resnet8, width: 4, epochs: 2}}
  report: {plugin: evaluate, from: [tuned, probed, sure, scratch]}
)");
  const ProgramResult run = run_program({"run", "config.yaml", "--out", "run", "--quiet"}, folder.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  std::filesystem::copy(folder / "photos", colleague / "photos", std::filesystem::copy_options::recursive);
  for (const std::string learner : {"tuned", "probed", "sure", "scratch"}) {
    const auto wanted = test_scores(folder, learner);
    const ProgramResult packed =
        run_program({"model", "pack", "run", "--learner", learner, "--out", colleague / "m.graft", "--quiet"},
                    folder.path());
    ASSERT_EQ(packed.exit_code, 0) << packed.err;
    for (const ProgramResult& r :
         {run_program({"predict", "run", "--learner", learner, "photos/test", "--quiet"}, folder.path()),
          run_program({"predict", "m.graft", "photos/test", "--quiet"}, colleague.path())}) {
      ASSERT_EQ(r.exit_code, 0) << r.err;
      const auto lines = csv_fields(r.out);
      ASSERT_EQ(lines.size(), 11u);
      for (std::size_t i = 1; i < lines.size(); ++i)
        EXPECT_EQ((std::vector<std::string>{lines[i][1], lines[i][2], lines[i][3]}), wanted.at(lines[i][0]))
            << learner << " " << lines[i][0];
    }
  }
}

TEST(Predict, OfASourceOfImagesFilesAreDecodedAsTheyAre) {
  const TempFolder folder;
  folder.write("config.yaml", R"(name: drawn
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 10}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows}
  report: {plugin: evaluate, from: probe}
)");
  ASSERT_EQ(run_program({"run", "config.yaml", "--out", "run", "--quiet"}, folder.path()).exit_code, 0);
  folder.write("fits.ppm", "P6 24 24 255\n" + std::string(24 * 24 * 3, 'x'));
  folder.write("other.ppm", "P6 20 24 255\n" + std::string(20 * 24 * 3, 'x'));
  const ProgramResult r = run_program({"predict", "run", "fits.ppm"}, folder.path());
  EXPECT_EQ(r.exit_code, 0) << r.err;
  const ProgramResult other = run_program({"predict", "run", "other.ppm"}, folder.path());
  EXPECT_NE(other.exit_code, 0) << other.out;
}

}  // namespace
}  // namespace graft::test
