// `graft store verify` finds every bit that flipped in a shard; with --repair exactly the bad shards go.

#include <graft/random.h>

#include "store/manifest.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class VerifyTest : public StoreFaults {
 protected:
  struct SealedShard {
    fs::path path;
    std::int64_t outcomes;  // rows and rejects
  };

  void SetUp() override {
    const WorkerResult r = run_fill(store_, fill_);
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const fs::path table = store_ / "tables" / stored_fingerprint().hex();
    for (const auto& [number, path] : manifest_entries(table)) {
      const auto entry = read_manifest_entry(path);
      shards_.push_back({table / "shards" / entry->file,
                         static_cast<std::int64_t>(entry->row_ids.size() + entry->reject_ids.size())});
    }
    ASSERT_EQ(shards_.size(), 6u);
  }
  ProgramResult verify(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"store", "verify", "--store", store_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }
  /// Which shards the output names as bad, in the order of the manifest.
  std::vector<bool> named(const std::string& output) const {
    std::vector<bool> out;
    for (const SealedShard& s : shards_)
      out.push_back(output.find("  " + s.path.string() + ": ") != std::string::npos);
    return out;
  }

  const Fill fill_{.rows = 600, .per_shard = 100};
  const fs::path store_ = folder_ / "s";
  std::vector<SealedShard> shards_;
};

TEST_F(VerifyTest, FindsEveryBitThatFlips) {
  const ProgramResult sound = verify();
  EXPECT_EQ(sound.exit_code, 0) << sound.out << sound.err;
  int found = 0;
  for (std::uint64_t seed = 0; seed < 200 && !HasFailure(); ++seed) {
    Random random(seed);
    const std::size_t bad = random.below(shards_.size());
    const std::uint64_t bit = random.below(fs::file_size(shards_[bad].path) * 8);
    SCOPED_TRACE("seed " + std::to_string(seed) + ": bit " + std::to_string(bit) + " of " +
                 shards_[bad].path.string());
    flip_bit(shards_[bad].path, bit);
    const ProgramResult r = verify();
    EXPECT_EQ(r.exit_code, 1) << r.err;
    std::vector<bool> expected(shards_.size(), false);
    expected[bad] = true;
    EXPECT_EQ(named(r.out), expected) << r.out;
    EXPECT_THAT(r.out, HasSubstr("SHA-256"));
    EXPECT_THAT(r.out, HasSubstr("graft store verify --repair --store " + store_.string()));
    found += r.exit_code == 1;
    flip_bit(shards_[bad].path, bit);
  }
  EXPECT_EQ(found, 200);
  EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(VerifyTest, RepairDropsExactlyTheBadShards) {
  const fs::path sound = folder_ / "sound";
  fs::copy(store_, sound, fs::copy_options::recursive);
  for (std::uint64_t seed = 0; seed < 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    fs::remove_all(store_);
    fs::copy(sound, store_, fs::copy_options::recursive);
    Random random(seed);
    std::vector<bool> expected(shards_.size(), false);
    std::int64_t lost = 0;
    for (std::size_t n = 1 + random.below(3); n > 0; --n) {
      const std::size_t bad = random.below(shards_.size());
      if (expected[bad]) continue;
      expected[bad] = true;
      lost += shards_[bad].outcomes;
      flip_bit(shards_[bad].path, random.below(fs::file_size(shards_[bad].path) * 8));
    }
    const ProgramResult r = verify({"--repair"});
    EXPECT_EQ(r.exit_code, 0) << r.out << r.err;
    EXPECT_EQ(named(r.out), expected) << r.out;
    for (std::size_t i = 0; i < shards_.size(); ++i)
      EXPECT_EQ(fs::exists(shards_[i].path), !expected[i]) << shards_[i].path;
    const ProgramResult after = verify();
    EXPECT_EQ(after.exit_code, 0) << after.out << after.err;
    EXPECT_EQ(expect_completes(store_, fill_), lost);
    EXPECT_EQ(verify().exit_code, 0);
  }
}

}  // namespace
}  // namespace graft::test
