#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <graft/value.h>

#include "base/files.h"
#include "store/slots.h"

namespace graft {

/// What a worker of a job says of itself: `workers/<attempt>.json`, replaced every few seconds.
struct WorkerRecord {
  std::string attempt;
  WorkShard shard;          ///< That it was started for.
  std::string state;        ///< "running", "done", "failed", "interrupted".
  std::string host, place;  ///< `place`: what the launcher calls it, "slurm 17_3 on n2"; may be empty.
  std::string cpu_isa;      ///< Which kernels it uses: "avx512".
  std::int64_t pid = 0;
  std::string error;  ///< Of a failed one.
  SlotSet done;       ///< Slots that it owns and has gone through to the end.
  SlotSet open;       ///< Those that it owns and is not through with.
  /// Inputs that are finished, and those of them that were rejected, by slot, in the order of the slots in
  /// `done | open`: when some of these go to others, what is left is still counted right.
  std::vector<std::uint32_t> finished, rejected;
  std::uint64_t open_listed = 0;  ///< Inputs of the open slots that are listed.
  bool all_listed = false;        ///< All inputs of the open slots are listed.
  std::uint64_t total = 0;        ///< Inputs of the whole job; 0: not known yet.
  double rate = 0;                ///< Inputs per second, lately.
  double seconds = 0;             ///< Since it was started.
  // Filled in by the reader:
  bool alive = false;
  double silent = 0;  ///< Seconds since its last sign of life, by the clock of the file system.
};

/// A job: several workers that fill the tables of one config in one store. They share this folder and nothing
/// else:
///
///   <store>/jobs/<name>/job.json                 what all of them must agree on
///   <store>/jobs/<name>/claims/00000001          which worker has taken which slots; the last one counts
///   <store>/jobs/<name>/workers/<attempt>.json   what each says of itself
///   <store>/jobs/<name>/workers/<attempt>.lease  empty; its worker holds flock on it
///   <store>/jobs/<name>/logs/                    what workers have printed
///   <store>/jobs/<name>/merged.json              the complete run that has used the tables
///
/// A claim gets its number by a link that never replaces, so that all workers see the same order. Nothing
/// here decides which rows count: the tables do, and a row that two workers compute is kept once. Whoever is
/// wrongly held for dead costs time, never rows.
class GRAFT_API JobFolder {
 public:
  /// Where the job of that name is; it need not be there.
  JobFolder(const std::filesystem::path& store, const std::string& name);

  const std::filesystem::path& path() const { return path_; }
  bool exists() const;
  /// job.json. Throws Error.
  Value description() const;
  /// The fingerprints of the tables that the job fills, by their stages. Throws Error.
  std::map<std::string, std::string> tables() const;

  /// Makes the job, or joins the one that is there and agrees with `description`. Gives nothing, and changes
  /// nothing, where it does not agree and has not been merged; the caller says why. A worker makes its lease
  /// and its first record in `enter`: until that is done, nobody begins the job again. Throws Error.
  bool join(const Value& description, const std::function<void()>& enter = {}) const;
  /// Begins the job again: its claims and records go, rows in the tables stay. Throws Error, and changes
  /// nothing, while one of its workers is running.
  void restart(const Value& description) const;
  /// False, and nothing has changed, where the job is another one by now. Throws Error.
  bool mark_merged(const Value& description, const std::filesystem::path& run) const;
  /// The folder of the complete run that has used the tables since the last worker began; empty: none.
  std::string merged() const;
  /// Removes a job that is merged; false, and nothing has changed, where it is not, one of its workers is
  /// running, or `is_wanted`, asked when nobody can join it, says no. Throws Error.
  bool remove_merged(const std::function<bool()>& is_wanted) const;

  struct Claim {
    std::uint64_t number = 0;
    std::string worker;
    SlotSet slots;
  };
  /// Claims after that number, in order and without a gap: one whose predecessor cannot be seen yet is not
  /// among them. Throws Error.
  std::vector<Claim> claims_after(std::uint64_t number) const;
  /// Adds a claim under that number: false, and nothing has changed, when it is taken. Throws Error.
  bool add_claim(std::uint64_t number, const std::string& worker, const SlotSet& slots) const;

  /// Every worker of the job, by attempt; records that are damaged are left out.
  std::map<std::string, WorkerRecord> workers() const;

  /// Names of the jobs of a store.
  static std::vector<std::string> names_in(const std::filesystem::path& store);
  /// Folders of jobs that processes were removing when they were killed: nobody needs them.
  static std::vector<std::filesystem::path> dropped_in(const std::filesystem::path& store);

 private:
  // All under the lock of the job.
  void begin(const Value& description) const;
  void drop() const;
  std::string living_worker() const;

  std::filesystem::path path_;
};

/// Who owns which slot now.
class GRAFT_API SlotOwners {
 public:
  /// Reads the claims that are new.
  void update(const JobFolder& job);
  std::uint64_t last_claim() const { return last_; }
  SlotSet owned_by(const std::string& worker) const;
  /// Slots that some worker has claimed.
  SlotSet claimed() const;
  /// Empty: nobody.
  const std::string& owner(std::size_t slot) const;

 private:
  std::uint64_t last_ = 0;
  std::vector<std::string> workers_{""};
  std::vector<std::uint32_t> owner_ = std::vector<std::uint32_t>(kSlots, 0);
};

/// A worker's own part of the job folder: its lease, for as long as this lives, and its record.
class GRAFT_API WorkerLease {
 public:
  WorkerLease(const JobFolder& job, const std::string& attempt);
  /// Replaces the record. Throws Error.
  void write(const WorkerRecord& record) const;

 private:
  std::filesystem::path record_;
  FileHandle lock_;
};

}  // namespace graft
