// graft store: what people look after their features with.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include <graft/hash.h>

#include "program.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kStoreConfig = R"(name: small
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 16, train: 60, val: 20, test: 40}}
  pixels: {plugin: resize, from: images, with: {resize: 16, crop: 16}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)";

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { config_ = folder_.write("config.yaml", kStoreConfig); }
  json run(std::vector<std::string> more = {}, const std::string& out = "out") {
    std::vector<std::string> arguments{"run", config_, "--quiet", "--out", folder_ / out, "--store", store()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_program(arguments, folder_.path());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(slurp(folder_ / out / "results.json"));
  }
  /// Runs another config, on what was exported, with a store of its own.
  json run_on_export(const std::string& config) {
    const auto path = folder_.write("again.yaml", config);
    const ProgramResult result = run_program(
        {"run", path, "--quiet", "--out", folder_ / "again", "--store", folder_ / "store2"}, folder_.path());
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(slurp(folder_ / "again/results.json"));
  }
  ProgramResult store(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "store");
    arguments.insert(arguments.end(), {"--store", store()});
    return run_program(arguments, folder_.path());
  }
  std::string store() const { return folder_ / "store"; }
  std::vector<fs::path> files(const std::string& extension) const {
    std::vector<fs::path> out;
    for (const auto& e : fs::recursive_directory_iterator(store()))
      if (e.is_regular_file() && e.path().extension() == extension) out.push_back(e.path());
    std::sort(out.begin(), out.end());
    return out;
  }
  TempFolder folder_;
  std::string config_;
};

TEST_F(StoreTest, AnEmptyOneSaysSo) {
  EXPECT_EQ(store({"ls"}).out, store() + " has no table yet\n");
  EXPECT_EQ(store({"verify"}).out, store() + " has no table yet\n");
  EXPECT_EQ(store({"gc"}).exit_code, 0);
}

TEST_F(StoreTest, WrongWordsAreNamed) {
  EXPECT_THAT(store({}).err, HasSubstr("COMMAND is missing (commands: ls, verify, compact, gc, export)"));
  EXPECT_THAT(store({"verfy"}).err,
              HasSubstr("no command 'store verfy'; did you mean 'verify'? (commands: "));
  EXPECT_THAT(store({"ls", "--repair"}).err, HasSubstr("--repair is an option of graft store verify"));
  EXPECT_THAT(store({"gc", "--older-than", "3y"}).err,
              HasSubstr("--older-than: expected a time such as 12h, 30d or 8w, got '3y'"));
  EXPECT_THAT(
      store({"gc", "--max-size", "17000000TiB"}).err,
      HasSubstr("--max-size: expected a size such as 512MiB or 2GiB, got '17000000TiB', which is more than "
                "can be counted (8 EiB)"));
  EXPECT_EQ(store({"gc", "--max-size", "17000000TiB"}).exit_code, 2);
  EXPECT_THAT(store({"export", "none"}).err,
              HasSubstr("export takes TABLE and FILE.h5, FILE.npy or FILE.csv, got 1 argument"));
  EXPECT_THAT(store({"export", "none", "x.h5"}).err, HasSubstr("no table 'none' in "));
  EXPECT_EQ(store({"export", "none", "x.h5"}).exit_code, 2);
}

TEST_F(StoreTest, ListsTablesInWordsAndAsJson) {
  run();
  const std::string text = store({"ls"}).out;
  EXPECT_THAT(text, HasSubstr("small/rows  120   0        u8[16,16,3]  1       0"));
  EXPECT_THAT(text, HasSubstr("> pixel_table 1.0.0"));
  const json tables = json::parse(store({"ls", "--json"}).out);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0]["rows"], 120);
  EXPECT_EQ(tables[0]["uses"][0]["ok"], 120);
  EXPECT_EQ(tables[0]["uses"][0]["folder"], (folder_ / "out").string());
}

TEST_F(StoreTest, TablesThatAFormerVersionMayHaveMadeWrongAreNamed) {
  run();
  EXPECT_THAT(store({"ls"}).out, ::testing::Not(HasSubstr("may be wrong")));
  EXPECT_EQ(json::parse(store({"ls", "--json"}).out)[0]["may_be_wrong"], json::array());
  // The same plugin in a later version, which declares an error of the earlier ones.
  const fs::path plugins = fs::path(GRAFT_PROGRAM).parent_path() / "graft-plugins";
  fs::create_directory(folder_ / "later");
  fs::copy_file(plugins / "pixel_table.so", folder_ / "later/pixel_table.so");
  json schema = json::parse(slurp(plugins / "pixel_table.json"));
  const auto ls = [&](const std::string& before, const char* option) {
    schema["known_faults"] = {{{"before", before}, {"text", "rows of odd images were turned"}}};
    // Sealed, as the build of that version does: a file that is not is compared with its library.
    schema["seal"] = std::string(32, '0');
    std::string text = schema.dump(2);
    const std::string seal = digest(text).hex();
    text.replace(text.find("\"seal\": \"") + 9, seal.size(), seal);
    folder_.write("later/pixel_table.json", text);
    std::vector<std::string> arguments{"ls", "--plugin-dir", folder_ / "later"};
    if (*option != 0) arguments.emplace_back(option);
    return store(arguments).out;
  };
  EXPECT_THAT(
      ls("1.10.0", ""),
      HasSubstr("\n  may be wrong (pixel_table 1.0.0, corrected in 1.10.0: rows of odd images were turned); "
                "not used; once its runs have been repeated, graft store gc --unreferenced removes it\n"));
  EXPECT_EQ(json::parse(ls("1.0.1", "--json"))[0]["may_be_wrong"],
            json::array({"pixel_table 1.0.0, corrected in 1.0.1: rows of odd images were turned"}));
  EXPECT_THAT(ls("1.0.0", ""), ::testing::Not(HasSubstr("may be wrong")));
  ls("2.0.0", "");
  const ProgramResult exported =
      store({"export", "rows", folder_ / "rows.npy", "--plugin-dir", folder_ / "later"});
  EXPECT_EQ(exported.exit_code, 0);
  EXPECT_THAT(exported.err, HasSubstr(" may be wrong (pixel_table 1.0.0, corrected in 2.0.0: "));
}

TEST_F(StoreTest, VerifyProvesThatInputsAndOutcomesAddUp) {
  run();
  const ProgramResult sound = store({"verify"});
  EXPECT_EQ(sound.exit_code, 0);
  EXPECT_THAT(sound.out,
              HasSubstr("small/rows: 120 rows, 0 rejects in 1 shard and 0 logs; 120 ok + 0 rejected of "
                        "120 inputs: sound\n"));
}

TEST_F(StoreTest, VerifyFindsEveryOfTwoHundredFlippedBits) {
  run();
  const fs::path shard = files(".h5").at(0);
  const std::uint64_t bits = fs::file_size(shard) * 8;
  std::mt19937_64 random(11);
  int found = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const std::uint64_t bit = random() % bits;
    flip_bit(shard, bit);
    const ProgramResult result = store({"verify"});
    found += result.exit_code == 1 && result.out.find("  " + shard.string() +
                                                      ": is damaged: its SHA-256 is not the one "
                                                      "in the manifest\n") != std::string::npos;
    flip_bit(shard, bit);
  }
  EXPECT_EQ(found, 200);
  EXPECT_EQ(store({"verify"}).exit_code, 0);
}

TEST_F(StoreTest, RepairDropsExactlyTheBadShardAndTheNextRunComputesItAgain) {
  run({"--set", "images.train=30"});
  const json whole = run();
  ASSERT_EQ(whole["tables"]["rows"]["reused"], 90);
  const auto predictions = slurp(folder_ / "out/predictions/knn.csv");
  auto shards = files(".h5");
  ASSERT_EQ(shards.size(), 2u);
  // The second shard has the 30 rows that the first run did not need.
  if (fs::file_size(shards[0]) < fs::file_size(shards[1])) std::swap(shards[0], shards[1]);
  const std::string good = slurp(shards[0]);
  flip_bit(shards[1], 8 * 5000 + 3);

  const ProgramResult bad = store({"verify"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(
      bad.out,
      AllOf(HasSubstr(": 1 fault\n"), HasSubstr(shards[1].string()),
            HasSubstr("1 fault; to drop exactly what is damaged: graft store verify --repair --store " +
                      store())));
  const ProgramResult repaired = store({"verify", "--repair"});
  EXPECT_EQ(repaired.exit_code, 0);
  EXPECT_THAT(repaired.out, HasSubstr("dropped " + shards[1].string()));
  EXPECT_EQ(slurp(shards[0]), good);
  const ProgramResult incomplete = store({"verify"});
  EXPECT_EQ(incomplete.exit_code, 1);
  EXPECT_THAT(incomplete.out,
              HasSubstr("of the 120 inputs of small/rows, 30 have neither a row nor a reject"));

  const json again = run();
  EXPECT_EQ(again["tables"]["rows"], (json{{"rows", 120}, {"computed", 30}, {"reused", 90}}));
  EXPECT_EQ(slurp(folder_ / "out/predictions/knn.csv"), predictions);
  EXPECT_EQ(store({"verify"}).exit_code, 0);
}

TEST_F(StoreTest, ADamagedEntryOfTheManifestIsFoundAndRepaired) {
  run();
  const fs::path entry = files(".h5").at(0).parent_path().parent_path() / "manifest/00000001";
  flip_bit(entry, 8 * 300);
  const ProgramResult stopped =
      run_program({"run", config_, "--out", folder_ / "out", "--store", store()}, folder_.path());
  EXPECT_EQ(stopped.exit_code, 1);
  EXPECT_THAT(stopped.err, AllOf(HasSubstr(entry.string() +
                                           ": the entry of the manifest is damaged (its checksum is wrong)"),
                                 HasSubstr("graft store verify --repair --store " + store())));
  EXPECT_THAT(store({"verify"}).out, HasSubstr(entry.string() + ": is damaged"));
  EXPECT_EQ(store({"verify", "--repair"}).exit_code, 0);
  EXPECT_EQ(run()["tables"]["rows"]["computed"], 120);
  EXPECT_EQ(files(".h5").size(), 1u) << "the shard that nothing names is gone";
}

TEST_F(StoreTest, ALogThatCannotBeReadIsToldAndTheRunGoesOn) {
  run();
  const fs::path logs = files(".h5").at(0).parent_path().parent_path() / "logs";
  std::ofstream(logs / "elsewhere.1.1.00000000.rows") << "no log";
  const std::string told = "rows: " + (logs / "elsewhere.1.1.00000000.rows").string() +
                           ": not a row log: it ends within its header; its rows are computed again\n";
  const ProgramResult again =
      run_program({"run", config_, "--out", folder_ / "out", "--store", store()}, folder_.path());
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("warning: " + told));
  EXPECT_THAT(slurp(folder_ / "out/manifest.json"), HasSubstr("it ends within its header"));
  EXPECT_THAT(run_program({"plan", config_, "--store", store()}, folder_.path()).out,
              HasSubstr("warning: " + told));
  EXPECT_EQ(store({"verify", "--repair"}).exit_code, 0);
  EXPECT_TRUE(fs::is_empty(logs));
}

TEST_F(StoreTest, GcTakesWhatItIsToldAndNoMore) {
  run();
  run({"--set", "pixels.crop=12"}, "other");
  ASSERT_EQ(files(".h5").size(), 2u);
  EXPECT_THAT(store({"gc"}).out,
              HasSubstr("0 B freed; tables go by --older-than, --max-size or --unreferenced"));
  EXPECT_THAT(store({"gc", "--older-than", "1h"}).out, StartsWith("0 B freed"));
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, StartsWith("0 B freed"));
  // The folder of the first run now holds another one, which keeps the first beside it.
  run({"--set", "pixels.crop=8"}, "out");
  EXPECT_THAT(store({"gc", "--unreferenced"}).out, StartsWith("0 B freed"));
  fs::remove_all(folder_ / "out.1");
  EXPECT_THAT(store({"gc", "--unreferenced", "--dry-run"}).out,
              AllOf(HasSubstr("would remove "), HasSubstr(": no run's folder names it any more"),
                    HasSubstr("would be freed")));
  EXPECT_EQ(files(".h5").size(), 3u);
  store({"gc", "--unreferenced"});
  EXPECT_EQ(files(".h5").size(), 2u);
  EXPECT_EQ(run({"--set", "pixels.crop=12"}, "other")["tables"]["rows"]["computed"], 0);
  EXPECT_EQ(run()["tables"]["rows"]["computed"], 120);
  store({"gc", "--max-size", "0KiB"});
  EXPECT_EQ(files(".h5").size(), 0u);
  EXPECT_THAT(store({"ls"}).out, HasSubstr("has no table yet"));
}

TEST_F(StoreTest, ExportComesBackThroughTableFileToTheSameResults) {
  const json first = run();
  const ProgramResult exported = store({"export", "small/rows", folder_ / "rows.h5"});
  EXPECT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(exported.out, (folder_ / "rows.h5").string() + ": 120 rows of small/rows\n");
  EXPECT_THAT(store({"export", "small/rows", folder_ / "rows.h5"}).err, HasSubstr("exists; remove it first"));
  const json again = run_on_export(R"(name: again
stages:
  images: {plugin: table_file, with: {files: {all: rows.h5}}}
  rows: {plugin: feature_table, from: images}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)");
  EXPECT_EQ(again["learners"]["knn"]["test"], first["learners"]["knn"]["test"]);
  EXPECT_EQ(again["inputs"], first["inputs"]);
}

TEST_F(StoreTest, ExportedViewsComeBackAsInputsInTheSplitOfTheirImage) {
  const std::vector<std::string> five = {"--set", "pixels.crop=8", "--set", "pixels.crops=five"};
  run(five);
  EXPECT_THAT(store({"export", "small/rows", folder_ / "rows.h5"}).out,
              HasSubstr(": 600 rows of small/rows"));
  const json again = run_on_export(R"(name: again
stages:
  images: {plugin: table_file, with: {files: {all: rows.h5}}}
  rows: {plugin: feature_table, from: images}
)");
  EXPECT_EQ(again["inputs"]["total"], 600);
  // source,key,split,...: the views of an input are KEY, KEY#1 to KEY#4.
  std::map<std::string, std::set<std::string>> splits;
  std::set<std::string> numbers;
  std::ifstream lines(folder_ / "again/inputs.csv");
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string source, key, split;
    std::getline(std::getline(std::getline(fields, source, ','), key, ','), split, ',');
    splits[key.substr(0, key.find('#'))].insert(split);
    numbers.insert(key.substr(std::min(key.find('#'), key.size())));
  }
  EXPECT_EQ(splits.size(), 120u);
  for (const auto& [key, of_views] : splits) EXPECT_EQ(of_views.size(), 1u) << key;
  EXPECT_EQ(numbers, (std::set<std::string>{"", "#1", "#2", "#3", "#4"}));
}

TEST_F(StoreTest, ATableOfTwoRunsIsExportedByTheListOfTheOneThatIsNamed) {
  run({"--set", "name=few", "--set", "images.train=30"}, "few");
  run();
  EXPECT_THAT(store({"export", "few/rows", folder_ / "few.npy"}).out, HasSubstr(": 90 rows of few/rows"));
  EXPECT_THAT(store({"export", "small/rows", folder_ / "all.npy"}).out,
              HasSubstr(": 120 rows of small/rows"));
  EXPECT_THAT(store({"export", "rows", folder_ / "by-run.npy", "--run", "few"}).out,
              HasSubstr(": 90 rows of few/rows"));
}

TEST_F(StoreTest, ExportToNumpyIsOneHeaderAndTheValues) {
  run();
  EXPECT_EQ(store({"export", "rows", folder_ / "rows.npy"}).exit_code, 0);
  const std::string npy = slurp(folder_ / "rows.npy");
  ASSERT_THAT(npy, StartsWith(std::string("\x93NUMPY\x01\x00", 8)));
  const std::size_t header =
      10 + static_cast<unsigned char>(npy[8]) + 256u * static_cast<unsigned char>(npy[9]);
  EXPECT_EQ(header % 64, 0u);
  EXPECT_THAT(npy.substr(10, header - 10),
              StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (120, 16, 16, 3,), }"));
  EXPECT_EQ(npy[header - 1], '\n');
  EXPECT_EQ(npy.size(), header + 120 * 16 * 16 * 3 * 4);
  for (std::size_t at = header; at < npy.size(); at += 4) {
    float value = -1;
    std::memcpy(&value, npy.data() + at, 4);
    ASSERT_TRUE(value >= 0 && value <= 255 && value == static_cast<float>(static_cast<int>(value)));
  }
}

}  // namespace
}  // namespace graft::test
