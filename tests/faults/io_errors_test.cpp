// A system that refuses, fails for a while or for good, cuts reads and writes short, has no locks or is full.

#include <sys/mount.h>

#include <cerrno>
#include <chrono>

#include "graft_run.h"
#include "private_mounts.h"
#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

/// Never a crash: an exit code of its own.
void expect_clean_exit(const ProgramResult& r) {
  EXPECT_THAT(r.exit_code, AnyOf(0, 1)) << r.err;
  if (r.exit_code == 1) {
    EXPECT_NE(r.err, "");
  }
}

class IoErrorsTest : public StoreFaults {
 protected:
  /// Every `stride`-th operation of a class fails in a worker, once or from then on, or is the last and only
  /// half done.
  void fail_at_each(const std::string& kind, std::size_t count, std::size_t stride, int error) {
    for (const std::string how : {"once", "always", "half"})
      for (std::size_t n = 1; n <= count && !HasFailure() && (how != "half" || kind == "write");
           n += stride) {
        const std::string fault = kind + ":" + std::to_string(n) + ":" + std::to_string(error) + ":" + how;
        SCOPED_TRACE(fault);
        const fs::path store = folder_ / fault;
        const WorkerResult r = run_fill(store, fill_, faults(store, {"GRAFT_FAULT_ERROR=" + fault}));
        expect_clean_exit(r);
        if (r.exit_code == 1) {
          EXPECT_THAT(r.err, HasSubstr(store.string()));
        }
        expect_kept(store, fill_, r.committed);
        expect_completes(store, fill_);
        fs::remove_all(store);
      }
  }
  std::size_t count(const std::vector<Recorded>& operations, Operation operation) const {
    return static_cast<std::size_t>(
        std::count_if(operations.begin(), operations.end(),
                      [&](const Recorded& o) { return o.header.operation == operation; }));
  }
  /// A stride that leaves about `points` of `count`.
  static std::size_t stride(std::size_t count, std::size_t points) {
    return long_trials() ? 1 : std::max<std::size_t>(1, count / points);
  }

  const Fill fill_{};
};

TEST_F(IoErrorsTest, AFailureOfAnyWriteSyncOrNameLosesNothing) {
  const auto operations = record_fill(folder_ / "whole", fill_);
  const std::pair<const char*, Operation> kinds[] = {
      {"write", Operation::Write},      {"sync", Operation::Sync},     {"link", Operation::Link},
      {"create", Operation::Create},    {"unlink", Operation::Unlink}, {"rename", Operation::Rename},
      {"folder", Operation::MakeFolder}};
  for (const auto& [name, operation] : kinds) {
    const std::size_t n = count(operations, operation);
    ASSERT_GT(n, 0u) << name;
    for (const int error : {ENOSPC, EIO}) fail_at_each(name, n, stride(n, 10), error);
  }
}

TEST_F(IoErrorsTest, AFailureOfAnyReadLosesNothing) {
  // Reads are those of a seal, which reads back what it has written, and of the next run.
  for (const char* how : {"once", "always"})
    for (int n = 1; n <= 60 && !HasFailure(); n += long_trials() ? 1 : 4) {
      const std::string fault = "read:" + std::to_string(n) + ":" + std::to_string(EIO) + ":" + how;
      SCOPED_TRACE(fault);
      const fs::path store = folder_ / fault;
      const WorkerResult killed = run_fill(store, fill_, faults(store, {"GRAFT_FAULT_KILL=90:before"}));
      ASSERT_TRUE(killed.killed());
      const WorkerResult r = run_fill(store, fill_, faults(store, {"GRAFT_FAULT_ERROR=" + fault}));
      expect_clean_exit(r);
      expect_kept(store, fill_, std::max(killed.committed, r.committed));
      expect_completes(store, fill_);
      // Who reads what is complete gets it right, or is told what could not be read.
      const TempFolder output;
      const ProgramResult check =
          wait_for(output, start(GRAFT_STORE_WORKER, output, {"check", store, std::to_string(fill_.rows)}, {},
                                 faults(store, {"GRAFT_FAULT_ERROR=" + fault})));
      if (check.exit_code == 0) {
        EXPECT_EQ(check.out, undisturbed(fill_.rows) + "\n");
      } else {
        EXPECT_EQ(check.exit_code, 1);
        EXPECT_THAT(check.err, HasSubstr("Input/output error"));
        EXPECT_THAT(check.err, HasSubstr(store.string()));
      }
      fs::remove_all(store);
    }
}

TEST_F(IoErrorsTest, TheProgramNeitherCrashesNorLosesARow) {
  const GraftRun program;
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s0").exit_code, 0);
  const auto expected = GraftRun::outcome(folder_ / "whole");
  for (const char* kind : {"write", "sync", "link", "create", "read"})
    for (int n = 1; n <= 16 && !HasFailure(); n += long_trials() ? 1 : 5) {
      const std::string fault =
          kind + (":" + std::to_string(n)) + ":" + std::to_string(kind[0] == 'r' ? EIO : ENOSPC) + ":always";
      SCOPED_TRACE(fault);
      const fs::path store = folder_ / fault, out = folder_ / "r";
      const ProgramResult r = program.run(out, store, faults(store, {"GRAFT_FAULT_ERROR=" + fault}));
      expect_clean_exit(r);
      if (r.exit_code == 1) {
        EXPECT_THAT(r.err, HasSubstr(store.string()));
      }
      const ProgramResult rest = program.run(out, store);
      EXPECT_EQ(rest.exit_code, 0) << rest.err;
      EXPECT_EQ(GraftRun::different(out, expected), "");
      fs::remove_all(store);
      fs::remove_all(out);
    }
}

TEST_F(IoErrorsTest, ShortAndInterruptedCallsChangeNothing) {
  const fs::path store = folder_ / "s";
  const WorkerResult killed =
      run_fill(store, fill_, faults(store, {"GRAFT_FAULT_KILL=60:torn", "GRAFT_FAULT_MILD=1"}));
  ASSERT_TRUE(killed.killed()) << killed.err;
  const WorkerResult r = run_fill(store, fill_, faults(store, {"GRAFT_FAULT_MILD=1"}));
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.committed, fill_.rows);
  EXPECT_EQ(expect_completes(store, fill_), 0);

  const GraftRun program;
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s0").exit_code, 0);
  const ProgramResult run =
      program.run(folder_ / "r", folder_ / "s1", faults(folder_ / "s1", {"GRAFT_FAULT_MILD=1"}));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(GraftRun::different(folder_ / "r", GraftRun::outcome(folder_ / "whole")), "");
}

TEST_F(IoErrorsTest, FileSystemsWithoutLocksWorkAsUsual) {
  const GraftRun program;
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s0").exit_code, 0);
  constexpr int kNotSupported = 524;  // ENOTSUPP, which NFS lets through
  for (const int error : {ENOLCK, EOPNOTSUPP, kNotSupported}) {
    SCOPED_TRACE(error);
    const std::string lock = "GRAFT_FAULT_FLOCK=" + std::to_string(error);
    const fs::path store = folder_ / lock, killed_store = folder_ / (lock + "-killed");
    const WorkerResult whole = run_fill(store, fill_, faults(store, {lock}));
    EXPECT_EQ(whole.exit_code, 0) << whole.err;
    EXPECT_EQ(expect_completes(store, fill_), 0);

    for (const char* kill : {"GRAFT_FAULT_KILL=40:before", "GRAFT_FAULT_KILL=90:after"}) {
      const WorkerResult killed = run_fill(killed_store, fill_, faults(killed_store, {lock, kill}));
      EXPECT_TRUE(killed.killed());
      expect_kept(killed_store, fill_, killed.committed);
    }
    // Without locks, a writer that says nothing for an hour counts as gone: its log is sealed then.
    const auto hour_ago = fs::file_time_type::clock::now() - std::chrono::minutes(61);
    for (const auto& e : fs::recursive_directory_iterator(killed_store))
      fs::last_write_time(e.path(), hour_ago);
    const WorkerResult rest = run_fill(killed_store, fill_, faults(killed_store, {lock}));
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_LT(rest.pushed, static_cast<std::int64_t>(fill_.rows));
    EXPECT_EQ(expect_completes(killed_store, fill_), 0);

    const fs::path run_store = folder_ / (lock + "-run");
    const ProgramResult run = program.run(folder_ / "r", run_store, faults(run_store, {lock}));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(GraftRun::different(folder_ / "r", GraftRun::outcome(folder_ / "whole")), "");
  }
}

TEST_F(IoErrorsTest, AFullDiskIsNamedAndTheNextRunGoesOn) {
  if (!enter_private_mounts()) GTEST_SKIP() << kNoMounts;
  const Fill big{.rows = 12000, .per_shard = 2000, .per_commit = 100};
  const Mount disk("tmpfs", folder_ / "disk", "tmpfs", 0, "size=6m");
  const fs::path store = folder_ / "disk/s";
  const WorkerResult full = run_fill(store, big);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr(store.string()));
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_THAT(full.err, ContainsRegex("[0-9.]+ [KM]?i?B (to write|still to be written)"));
  EXPECT_GT(full.committed, 0u);
  expect_kept(store, big, full.committed);
  // Still full: says so again and loses nothing.
  const WorkerResult again = run_fill(store, big);
  EXPECT_EQ(again.exit_code, 1);
  expect_kept(store, big, std::max(full.committed, again.committed));
  disk.change(0, "size=64m");
  expect_completes(store, big);
}

TEST_F(IoErrorsTest, TheProgramOnAFullDiskIsAsClear) {
  if (!enter_private_mounts()) GTEST_SKIP() << kNoMounts;
  const GraftRun program;
  ASSERT_EQ(program.run(folder_ / "whole", folder_ / "s0").exit_code, 0);
  // Full while rows are logged, and while the log is sealed.
  for (const char* size : {"size=1m", "size=2m", "size=3m"}) {
    SCOPED_TRACE(size);
    const Mount disk("tmpfs", folder_ / "disk", "tmpfs", 0, size);
    const fs::path store = folder_ / "disk/s";
    const ProgramResult full = program.run(folder_ / "r", store);
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.err, HasSubstr(store.string()));
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
    EXPECT_THAT(full.err, ContainsRegex("[0-9.]+ [KM]?i?B (to write|still to be written)"));
    disk.change(0, "size=64m");
    const ProgramResult rest = program.run(folder_ / "r", store);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_LT(GraftRun::computed(folder_ / "r"), GraftRun::kRows);
    EXPECT_EQ(GraftRun::different(folder_ / "r", GraftRun::outcome(folder_ / "whole")), "");
  }
}

TEST_F(IoErrorsTest, AReadOnlyStoreServesWhatItHas) {
  if (!enter_private_mounts()) GTEST_SKIP() << kNoMounts;
  const GraftRun program;
  const fs::path store = folder_ / "s";
  ASSERT_EQ(program.run(folder_ / "whole", store).exit_code, 0);
  fs::create_directories(folder_ / "empty");
  const auto read_only = [&](const fs::path& folder) {
    auto mount = std::make_unique<Mount>(folder.c_str(), folder, nullptr, MS_BIND, nullptr);
    mount->change(MS_BIND | MS_RDONLY, nullptr);
    return mount;
  };
  {
    const auto mount = read_only(store);
    const ProgramResult r = program.run(folder_ / "r", store);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_EQ(GraftRun::computed(folder_ / "r"), 0u);
    EXPECT_EQ(GraftRun::different(folder_ / "r", GraftRun::outcome(folder_ / "whole")), "");
    // Rows of another type are missing.
    const ProgramResult other = program.run(folder_ / "r2", store, {}, {"--set", "rows.dtype=f16"});
    EXPECT_EQ(other.exit_code, 1);
    EXPECT_THAT(other.err, HasSubstr("the store cannot be written to: "));
    EXPECT_THAT(other.err, HasSubstr("Read-only file system"));
    EXPECT_THAT(other.err, HasSubstr("choose another one with --store"));
  }
  // Logs that a killed run has left serve, too, although nobody may seal them.
  const Fill all{.rows = 100, .per_shard = 100, .per_commit = 10};
  const fs::path logs = folder_ / "logs";
  ASSERT_TRUE(run_fill(logs, all, faults(logs, {"GRAFT_FAULT_KILL=30:before"})).killed());
  const auto mount = read_only(logs);
  const WorkerResult r = run_fill(logs, all);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("Read-only file system"));
  EXPECT_THAT(check_table(logs, all.rows, 20).fault, "");
}

}  // namespace
}  // namespace graft::test
