#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "process.h"
#include "workload.h"

namespace graft::siege {

struct Options {
  double minutes = 0;      ///< Length of the campaign; 0: by rounds.
  std::size_t rounds = 2;  ///< Where `minutes` is 0.
  std::size_t runs = 14;   ///< Runs that end in a round, where `minutes` is 0; otherwise rounds take 10 s.
  std::uint64_t seed = 0;
  std::filesystem::path folder;  ///< Everything of the campaign; must not exist yet.
};

/// What is to happen to a process.
enum class Fate { None, Stopped, Killed, KilledInside, Interrupted, DiskFull, ReadError };

/// A process of the campaign.
struct Task {
  enum class Kind { Run, Gc, Repair };
  Kind kind = Kind::Run;
  const Workload* workload = nullptr;  ///< Of a run.
  std::filesystem::path out;
  bool was_complete = false;  ///< All its rows were in the store, and nothing may have removed them since.
  Fate fate = Fate::None;
  int signal = 0;
  double signal_after = 0, stopped_for = 0;  ///< Seconds.
  bool signalled = false, stopped = false;
  std::unique_ptr<Process> process;
};

/// Many processes of different configs on one store, with `gc` and `verify --repair` beside them, all of
/// which are killed, stopped and refused room on the disk. In rounds: in some, nothing may remove a table
/// that a complete run has used; in the others, everything may be removed at any time. After each round,
/// undisturbed runs must find what must be there, and leave what they left before the campaign.
///
/// Which processes are started, and what happens to them, follows from the seed; how they meet does not.
class Campaign {
 public:
  explicit Campaign(Options options);
  /// False when something was found. Throws std::exception where the campaign itself cannot go on.
  bool run();
  void print_figures() const;

 private:
  struct Slot {
    Task::Kind kind;
    std::size_t number;
    std::unique_ptr<Task> task;
    Clock::time_point not_before{};
  };

  void prepare();
  void round(bool keep);
  void check_at_rest();
  std::unique_ptr<Task> make_task(const Slot& slot);
  void choose_fate(Task& task);
  void start(Task& task, std::vector<std::string> arguments);
  bool advance(Task& task);
  void judge(const Task& task, const Ending& ending);
  void judge_run(const Task& task, const Ending& ending);
  void check_folder(const Task& task);
  void check_shards();
  Ending undisturbed(std::vector<std::string> arguments);
  std::vector<std::string> run_arguments(const Workload& workload, const std::filesystem::path& out,
                                         const std::filesystem::path& store) const;
  void fail(const char* what, const std::string& text, const std::filesystem::path& evidence = {});
  bool chance(unsigned percent) { return below(100) < percent; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  double uniform(double most) { return most * static_cast<double>(below(1 << 20)) / (1 << 20); }

  const Options options_;
  const std::filesystem::path store_, outs_, logs_, evidence_;
  std::mt19937_64 random_;
  std::vector<Workload> workloads_;
  bool containers_ = false, keep_ = false;
  double run_seconds_ = 1;                     // of the last undisturbed run among all the others
  std::set<std::string> complete_;             // workloads whose rows must be in the store
  std::map<std::string, std::string> shards_;  // contents' digests of shards, by path
  std::set<std::string> dropped_;              // entries of shards that a repair has dropped
  std::size_t processes_ = 0, ended_runs_ = 0;
  std::map<std::string, std::uint64_t> figures_, failures_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace graft::siege
