// Files of a store that change behind its back: bits flipped, cut short, something appended, replaced by a
// folder. Either every row is right, or the file is named.

#include <set>

#include <graft/random.h>

#include "graft_run.h"
#include "store/manifest.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kHeaderBytes = 128, kRecordBytes = 40 + 512;  // of a log of rows of 512 bytes

/// Damages a file; says how.
std::string damage(const fs::path& file, Random& random) {
  const std::uint64_t size = fs::file_size(file);
  std::string content = slurp(file);
  std::string how;
  switch (random.below(6)) {
    case 0:
    case 1: {
      const std::uint64_t bit = random.below(size * 8);
      content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << (bit % 8)));
      how = "bit " + std::to_string(bit) + " flipped";
      break;
    }
    case 2:
      content.resize(random.below(size));
      how = "cut to " + std::to_string(content.size()) + " bytes";
      break;
    case 3:
      content.clear();
      how = "emptied";
      break;
    case 4:
      for (std::uint64_t n = 1 + random.below(5000); n > 0; --n)
        content += static_cast<char>(random.below(256));
      how = std::to_string(content.size() - size) + " bytes appended";
      break;
    default:
      fs::remove(file);
      fs::create_directory(file);
      return "replaced by a folder";
  }
  std::ofstream(file, std::ios::binary) << content;
  return how;
}

class DamageTest : public StoreFaults {
 protected:
  static constexpr std::uint64_t kKilledRows = 384;  // committed when the worker of killed_store() dies

  fs::path table_of(const fs::path& store) const { return store / "tables" / stored_fingerprint().hex(); }
  /// A store with all rows in three shards.
  fs::path whole_store() {
    fs::path store = folder_ / "whole";
    const WorkerResult r = run_fill(store, fill_);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return store;
  }
  /// A store with a shard, and a log that a killed worker has left.
  fs::path killed_store() {
    fs::path store = folder_ / "killed";
    for (int at = 70;; ++at) {
      fs::remove_all(store);
      const WorkerResult r =
          run_fill(store, fill_, faults(store, {"GRAFT_FAULT_KILL=" + std::to_string(at) + ":before"}));
      if (!r.killed()) throw std::logic_error("the worker is never at so many rows");
      if (r.committed == kKilledRows && !files_in(table_of(store) / "logs", ".rows").empty()) return store;
    }
  }
  fs::path copy(const fs::path& store, const std::string& name) {
    fs::path to = folder_ / name;
    fs::remove_all(to);
    fs::copy(store, to, fs::copy_options::recursive);
    return to;
  }
  ProgramResult check(const fs::path& store) const {
    const TempFolder output;
    return wait_for(output, start(GRAFT_STORE_WORKER, output, {"check", store, std::to_string(fill_.rows)}));
  }
  /// Whatever was done to a file of a complete table: who goes on and who reads gets the right rows, or an
  /// error that names the file.
  void expect_right_or_named(const fs::path& store, const fs::path& file) {
    const WorkerResult rest = run_fill(store, fill_);
    const ProgramResult read = check(store);
    for (const ProgramResult& r : {static_cast<const ProgramResult&>(rest), read}) {
      EXPECT_THAT(r.exit_code, AnyOf(0, 1)) << r.err;
      if (r.exit_code == 0) continue;
      EXPECT_THAT(r.err, HasSubstr(file.string()));
      EXPECT_THAT(r.err, HasSubstr("graft store verify --repair --store " + store.string()));
    }
    if (read.exit_code == 0) {
      EXPECT_EQ(read.out, undisturbed(fill_.rows) + "\n");
    }
  }
  static int trials(int quick) { return quick * fault_trials() / 60; }

  const Fill fill_{};
};

TEST_F(DamageTest, OfShardsAndEntriesOfTheManifestIsNamed) {
  const fs::path whole = whole_store();
  for (const char* kind : {"shards", "manifest"})
    for (int trial = 0; trial < trials(60) && !HasFailure(); ++trial) {
      const std::uint64_t seed = static_cast<std::uint64_t>(trial) + (kind[0] == 's' ? 2000 : 4000);
      Random random(seed);
      const fs::path store = copy(whole, "s");
      std::vector<fs::path> files;
      for (const auto& entry : fs::directory_iterator(table_of(store) / kind)) files.push_back(entry.path());
      std::sort(files.begin(), files.end());
      ASSERT_EQ(files.size(), 3u);
      const fs::path file = files[random.below(files.size())];
      const std::string how = damage(file, random);
      SCOPED_TRACE("seed " + std::to_string(seed) + ": " + file.string() + ": " + how);
      expect_right_or_named(store, file);
    }
}

TEST_F(DamageTest, OfEveryKindIsNamedByTheProgram) {
  const GraftRun program;
  const fs::path whole = folder_ / "s0";
  ASSERT_EQ(program.run(folder_ / "whole", whole).exit_code, 0);
  const auto expected = GraftRun::outcome(folder_ / "whole");
  for (std::uint64_t seed = 0; seed < static_cast<std::uint64_t>(trials(20)) && !HasFailure(); ++seed) {
    Random random(seed);
    const fs::path store = copy(whole, "s"), out = folder_ / "r";
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(store))
      if (entry.path().parent_path().filename() == (seed % 2 == 0 ? "shards" : "manifest"))
        files.push_back(entry.path());
    ASSERT_EQ(files.size(), 1u);
    const std::string how = damage(files[0], random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + files[0].string() + ": " + how);
    const ProgramResult r = program.run(out, store);
    if (r.exit_code == 0) {
      EXPECT_EQ(GraftRun::different(out, expected), "");
    } else {
      EXPECT_EQ(r.exit_code, 1);
      EXPECT_THAT(r.err, HasSubstr(files[0].string()));
      EXPECT_THAT(r.err, HasSubstr("graft store verify --repair --store " + store.string()));
    }
    fs::remove_all(out);
  }
}

TEST_F(DamageTest, OfALogCostsTheDamagedRecordsOnly) {
  const fs::path killed = killed_store();
  const std::uint64_t sealed = fill_.per_shard;
  const std::string name = files_in(table_of(killed) / "logs", ".rows").at(0).filename().string();
  const std::string intact = slurp(table_of(killed) / "logs" / name);
  const std::uint64_t records = (intact.size() - kHeaderBytes) / kRecordBytes;
  ASSERT_EQ(records, kKilledRows - sealed);
  for (int trial = 0; trial < trials(60) && !HasFailure(); ++trial) {
    const std::uint64_t seed = static_cast<std::uint64_t>(trial) + 6000;
    Random random(seed);
    const fs::path store = copy(killed, "s"), log = table_of(store) / "logs" / name;
    const std::string how = damage(log, random);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + log.string() + ": " + how);
    // How many records are still as they were.
    std::uint64_t good = 0;
    if (fs::is_regular_file(log)) {
      const std::string now = slurp(log);
      if (now.compare(0, kHeaderBytes, intact, 0, kHeaderBytes) == 0)
        for (std::uint64_t r = 0; r < records; ++r) {
          const std::uint64_t at = kHeaderBytes + r * kRecordBytes;
          good +=
              now.size() >= at + kRecordBytes && now.compare(at, kRecordBytes, intact, at, kRecordBytes) == 0;
        }
    }
    const WorkerResult rest = run_fill(store, fill_);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(rest.pushed, static_cast<std::int64_t>(fill_.rows - sealed - good)) << rest.err;
    const TableCheck check = check_table(store, fill_.rows, fill_.rows);
    EXPECT_EQ(check.fault, "");
    EXPECT_EQ(check.digest, undisturbed(fill_.rows));
    // A record or a header that is wrong is told of; a tail cut short is what a kill leaves.
    if (how.find("flipped") != std::string::npos || how == "replaced by a folder") {
      EXPECT_THAT(rest.err, HasSubstr(log.string()));
    }
  }
}

}  // namespace
}  // namespace graft::test
