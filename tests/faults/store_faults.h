#pragma once

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"
#include "recorded_operation.h"
#include "stored_rows.h"

namespace graft::test {

/// Trials that a test over random faults makes: GRAFT_FAULT_TRIALS kills, 60 by default; other tests in
/// proportion.
inline int fault_trials() {
  const char* text = std::getenv("GRAFT_FAULT_TRIALS");
  return text == nullptr ? 60 : std::max(1, std::atoi(text));
}
inline bool long_trials() {
  return fault_trials() > 60;
}

/// Size of a table and how store_worker writes it.
struct Fill {
  std::uint64_t rows = 600, per_shard = 200, per_commit = 32;
  std::uint64_t seed = 0;  ///< Not 0: with pauses.
};

/// What a worker has told before it ended.
struct WorkerResult : ProgramResult {
  std::uint64_t committed = 0;  ///< Rows 0 to this were promised.
  std::int64_t pushed = -1;     ///< How many rows were missing; -1: it did not get to the end.
  bool killed() const { return exit_code == 128 + SIGKILL; }
};

/// Tests with a store of their own, and workers on it.
class StoreFaults : public ::testing::Test {
 protected:
  using Environment = std::vector<std::string>;

  explicit StoreFaults(const std::filesystem::path& parent = memory()) : folder_(parent) {}

  /// Where syncs cost nothing: what the system has been told survives a kill there, too.
  static std::filesystem::path memory() {
    const std::filesystem::path shared = "/dev/shm";
    return std::filesystem::exists(shared) ? shared : std::filesystem::temp_directory_path();
  }

  /// Environment under which the files of `folder` meet a fault: "GRAFT_FAULT_KILL=7:torn".
  static Environment faults(const std::filesystem::path& folder, const Environment& more) {
    Environment out{std::string("LD_PRELOAD=") + GRAFT_FAULT_INJECTOR,
                    "GRAFT_FAULT_FOLDER=" + folder.string(), "ASAN_OPTIONS=verify_asan_link_order=0"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  static pid_t start_fill(const TempFolder& output, const std::filesystem::path& store, const Fill& fill,
                          const Environment& environment = {}) {
    return start(GRAFT_STORE_WORKER, output,
                 {"fill", store, std::to_string(fill.rows), std::to_string(fill.per_shard),
                  std::to_string(fill.per_commit), std::to_string(fill.seed)},
                 {}, environment);
  }
  static WorkerResult wait_for_worker(const TempFolder& output, pid_t pid) {
    WorkerResult result;
    static_cast<ProgramResult&>(result) = wait_for(output, pid);
    std::istringstream lines(result.out);
    for (std::string word, line; lines >> word;) {
      std::uint64_t n = 0;
      if (word == "committed" && lines >> n) result.committed = std::max(result.committed, n);
      if (word == "pushed" && lines >> n) result.pushed = static_cast<std::int64_t>(n);
    }
    return result;
  }
  static WorkerResult run_fill(const std::filesystem::path& store, const Fill& fill,
                               const Environment& environment = {}) {
    const TempFolder output;
    return wait_for_worker(output, start_fill(output, store, fill, environment));
  }

  /// The oracle at any time: what was promised is there and right.
  static void expect_kept(const std::filesystem::path& store, const Fill& fill, std::uint64_t committed) {
    EXPECT_EQ(check_table(store, fill.rows, committed).fault, "");
  }
  /// The oracle at the end: goes on without faults; then the table is that of a run that nothing disturbed.
  /// Gives the number of rows that were computed again.
  static std::int64_t expect_completes(const std::filesystem::path& store, const Fill& fill) {
    const WorkerResult rest = run_fill(store, fill);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
    const TableCheck check = check_finished_table(store, fill.rows);
    EXPECT_EQ(check.fault, "");
    EXPECT_EQ(check.digest, undisturbed(fill.rows));
    return rest.pushed;
  }
  /// Digest of the table of a run that nothing disturbed.
  static std::string undisturbed(std::uint64_t rows) {
    static std::uint64_t known = 0;
    static std::string digest;
    if (known != rows) {
      const TempFolder folder;
      const WorkerResult whole = run_fill(folder.path(), {.rows = rows});
      EXPECT_EQ(whole.exit_code, 0) << whole.err;
      EXPECT_EQ(whole.pushed, static_cast<std::int64_t>(rows));
      const TableCheck check = check_finished_table(folder.path(), rows);
      EXPECT_EQ(check.fault, "");
      digest = check.digest;
      known = rows;
    }
    return digest;
  }

  /// All operations of a worker that nothing disturbs, in order.
  struct Recorded {
    RecordedOperation header;
    std::string path, other, data;
  };
  static std::vector<Recorded> record_fill(const std::filesystem::path& store, const Fill& fill) {
    const TempFolder log;
    const WorkerResult r = run_fill(
        store, fill, faults(store.parent_path(), {"GRAFT_FAULT_RECORD=" + (log / "record").string()}));
    EXPECT_EQ(r.exit_code, 0) << r.err;
    std::ifstream in(log / "record", std::ios::binary);
    std::vector<Recorded> out;
    const auto text = [&](std::uint64_t bytes) {
      std::string s(bytes, '\0');
      in.read(s.data(), static_cast<std::streamsize>(bytes));
      return s;
    };
    for (RecordedOperation h; in.read(reinterpret_cast<char*>(&h), sizeof h);) {
      Recorded one{h, text(h.path_bytes), text(h.other_bytes), text(h.data_bytes)};
      out.push_back(std::move(one));
    }
    return out;
  }

  TempFolder folder_;
};

}  // namespace graft::test
