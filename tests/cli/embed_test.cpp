// Features of files by a network alone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "npy.h"
#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kNetwork = GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors";

class EmbedTest : public ::testing::Test {
 protected:
  EmbedTest() {
    for (int i = 0; i < 3; ++i)
      folder_.write("photos/" + std::to_string(i) + ".ppm",
                    "P6 40 36 255\n" + std::string(40 * 36 * 3, static_cast<char>('a' + 20 * i)));
  }
  ProgramResult embed(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "embed");
    return run_program(arguments, folder_.path());
  }
  TempFolder folder_;
};

TEST_F(EmbedTest, WritesTheFeaturesThatAConfigGives) {
  const ProgramResult r = embed({"photos", "--model", kNetwork, "--out", "a.npy"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, "a.npy: 3 rows of 3 inputs\n");

  // The config that it amounts to, run and exported by hand.
  const ProgramResult config = embed({"photos", "--model", kNetwork, "--print-config"});
  ASSERT_EQ(config.exit_code, 0) << config.err;
  folder_.write("config.yaml", config.out);
  ASSERT_EQ(run_program({"run", "config.yaml", "--quiet"}, folder_.path()).exit_code, 0);
  ASSERT_EQ(run_program({"store", "export", "embed/table", "b.npy"}, folder_.path()).exit_code, 0);
  EXPECT_EQ(slurp(folder_ / "a.npy"), slurp(folder_ / "b.npy"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / ".graft/tables/none"));
  EXPECT_EQ(embed({"photos", "--model", kNetwork, "--out", "kept.npy", "--store", "kept"}).out,
            "kept.npy: 3 rows of 3 inputs; they are kept in kept\n");
}

TEST_F(EmbedTest, VariablesInArgumentsAreNone) {
  folder_.write("${HOME}/net.safetensors", slurp(kNetwork));
  folder_.write("photos/${HOME}.ppm", slurp(folder_ / "photos/1.ppm"));
  const std::vector<std::string> arguments{"photos/${HOME}.ppm", "--model", "${HOME}/net.safetensors"};
  std::vector<std::string> print = arguments, write = arguments;
  print.emplace_back("--print-config");
  write.insert(write.end(), {"--out", "a.npy"});
  const ProgramResult r = embed(write);
  ASSERT_EQ(r.exit_code, 0) << r.err;
  folder_.write("config.yaml", embed(print).out);
  const ProgramResult run = run_program({"run", "config.yaml", "--quiet"}, folder_.path());
  EXPECT_EQ(run.exit_code, 0) << run.err;
}

TEST_F(EmbedTest, EveryKindOfFileHasTheSameNumbers) {
  folder_.write("photos/1,5.ppm", slurp(folder_ / "photos/1.ppm"));
  for (const char* file : {"a.npy", "a.csv", "a.h5"})
    ASSERT_EQ(embed({"photos", "--model", kNetwork, "--out", file, "--quiet"}).exit_code, 0);
  const auto lines = csv_fields(slurp(folder_ / "a.csv"));
  const std::string npy = slurp(folder_ / "a.npy");
  const std::size_t dim = lines.at(0).size() - 4;
  ASSERT_EQ(npy.size(), 128 + 4 * dim * sizeof(float));
  EXPECT_EQ(std::vector<std::string>(lines[0].begin(), lines[0].begin() + 5),
            (std::vector<std::string>{"key", "split", "label", "view", "f0"}));
  ASSERT_EQ(lines.size(), 5u);
  std::vector<float> values(4 * dim);
  std::memcpy(values.data(), npy.data() + 128, values.size() * sizeof(float));
  EXPECT_THAT(slurp(folder_ / "a.csv"), HasSubstr("\n\"photos/1,5.ppm\",test,,0,"));
  std::size_t at = 0;
  for (std::size_t i = 1; i < lines.size(); ++i)
    for (std::size_t f = lines[i].size() - dim; f < lines[i].size(); ++f)
      EXPECT_EQ(std::stof(lines[i][f]), values.at(at++));
  // The HDF5 file has them without a gap and without a filter.
  EXPECT_THAT(slurp(folder_ / "a.h5"), HasSubstr(npy.substr(128)));

  const ProgramResult parquet = embed({"photos", "--model", kNetwork, "--out", "a.parquet"});
  EXPECT_EQ(parquet.exit_code, 2);
  EXPECT_THAT(
      parquet.err,
      StartsWith("error: --out: expected FILE.h5, FILE.npy or FILE.csv, got 'a.parquet'; Parquet needs "
                 "Apache Arrow, which graft is built without: write FILE.csv, and in Python "
                 "pandas.read_csv('FILE.csv').to_parquet('FILE.parquet')\n"));
}

TEST_F(EmbedTest, TellsWhatWasRejected) {
  folder_.write("photos/text.jpg", "no image");
  const ProgramResult r = embed({"photos", "--model", kNetwork, "--out", "a.h5"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_EQ(r.out, "a.h5: 3 rows of 4 inputs\n");
  EXPECT_THAT(r.err, HasSubstr("rejected: 1 not-an-image, for example photos/text.jpg: "));
  const ProgramResult again = embed({"photos", "--model", kNetwork, "--out", "b.h5", "--json", "--quiet"});
  const json document = json::parse(again.out);
  EXPECT_EQ(document["rows"], 3);
  EXPECT_EQ(document["rejected"], 1);
  EXPECT_EQ(document["reject_reasons"][0]["code"], "not-an-image");
}

TEST_F(EmbedTest, InNpyEveryInputHasARow) {
  folder_.write("photos/1.ppm", "no image");
  const ProgramResult r = embed({"photos", "--model", kNetwork, "--out", "a.npy"});
  EXPECT_EQ(r.exit_code, 3);
  EXPECT_EQ(r.out, "a.npy: 3 rows of 3 inputs\n");
  EXPECT_THAT(
      r.err,
      HasSubstr("warning: a.npy: 1 row without features is NaN, so that there is a row for every input\n"));
  EXPECT_THAT(rows_with_nan(slurp(folder_ / "a.npy"), 3), ElementsAre(false, true, false));
}

TEST_F(EmbedTest, NamesInputsAsTheyWereGiven) {
  const ProgramResult r = embed({"nothere", "--model", kNetwork, "--out", "a.npy"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("rejected: 1 missing, for example nothere: "));
  EXPECT_THAT(r.err, EndsWith("error: a.npy was not written: no input has features\n"));
  EXPECT_THAT(r.err, Not(HasSubstr("/tmp/graft-embed")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.npy"));
}

TEST_F(EmbedTest, ABlockOfTheNetworkCanBeTapped) {
  const ProgramResult r = embed({"photos", "--model", kNetwork, "--tap", "layer1", "--out", "a.npy"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.out, "a.npy: 3 rows of 3 inputs\n");
}

TEST_F(EmbedTest, SaysWhatIsWrong) {
  EXPECT_THAT(embed({"photos", "--out", "a.h5"}).err,
              StartsWith("error: --model is missing: a file of weights"));
  EXPECT_THAT(embed({"photos", "--model", kNetwork}).err,
              StartsWith("error: --out: expected FILE.h5, FILE.npy or FILE.csv, got ''\n"));
  folder_.write("a.h5", "");
  EXPECT_EQ(embed({"photos", "--model", kNetwork, "--out", "a.h5"}).err,
            "error: a.h5 exists: remove it, or choose another file\n");
  for (const std::string gone : {"gone.pth", "resnet50"}) {
    const ProgramResult r = embed({"photos", "--model", gone, "--out", "b.h5"});
    EXPECT_EQ(r.exit_code, 2);
    EXPECT_THAT(r.err, StartsWith("error: --model: no such file or folder: " + gone +
                                  "; graft model fetch NAME gets published weights and prints the path of "
                                  "their file (graft model list shows the names)\n"));
  }
  // What is wrong in the config that it amounts to names no file that nobody has written.
  const ProgramResult wrong =
      embed({"photos", "--model", kNetwork, "--out", "b.h5", "--tap", "nosuch", "--set", "pixels.crop=-1"});
  EXPECT_EQ(wrong.exit_code, 2) << wrong.err;
  EXPECT_THAT(wrong.err, Not(HasSubstr("/tmp/graft-embed")));
}

}  // namespace
}  // namespace graft::test
