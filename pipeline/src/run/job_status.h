#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/value.h>

#include "run/work_division.h"
#include "store/job_folder.h"

namespace graft {

/// A job as its store shows it, while its workers go on.
struct JobStatus {
  enum class State {
    Done,        ///< Every slot has been gone through.
    Running,     ///< Some worker lives.
    Incomplete,  ///< Something is left to do, and no worker is running.
  };
  struct Table {
    std::string stage, fingerprint;
    std::uint64_t rows = 0, rejects = 0, shards = 0, logs = 0;  ///< Committed, of whatever run.
    std::uint64_t bytes = 0;
  };
  struct Worker {
    WorkerRecord record;
    WorkerOutlook outlook;
    bool owns = false;       ///< Slots; a worker that was replaced has none any more.
    bool straggler = false;  ///< At its pace it needs more than twice what the others need, or it is stalled.
  };
  std::string name;
  std::filesystem::path folder;
  State state = State::Incomplete;
  std::string merged;       ///< The folder of the run that has used the tables; empty: none yet.
  std::uint64_t total = 0;  ///< Inputs; 0: not known yet.
  std::uint64_t finished = 0,
                rejected = 0;     ///< Inputs that need nothing more, and those of them without a row.
  double fraction_done = 0;       ///< Of all slots, those that somebody has gone through: 0 to 1.
  double rate = 0;                ///< Inputs per second of all workers that live.
  std::optional<double> seconds;  ///< To go; nothing: not known.
  std::vector<Table> tables;
  std::vector<Worker> workers;              ///< By shard, and then by attempt.
  std::optional<std::uint64_t> free_bytes;  ///< On the disk of the store.
};

/// Reads the store, and changes nothing in it but for a file that tells the time and goes at once. Throws
/// Error where there is no job of that name, or its files cannot be read.
GRAFT_API JobStatus job_status(const std::filesystem::path& store, const std::string& name);

GRAFT_API const char* to_string(JobStatus::State state);
GRAFT_API std::string to_text(const JobStatus& status);
GRAFT_API Value to_value(const JobStatus& status);

}  // namespace graft
