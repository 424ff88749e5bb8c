#include "run/shard_run.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <graft/cpu_isa.h>
#include <graft/error.h>
#include <graft/printable.h>
#include <graft/text.h>

#include "base/attempt.h"
#include "base/files.h"
#include "base/stopped_within.h"
#include "graph/workers.h"
#include "plugin/plugin_call.h"
#include "run/job.h"
#include "run/limits.h"
#include "run/progress.h"
#include "run/run_log.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "run/watchdog.h"
#include "run/work_division.h"

namespace graft {
namespace {

using ShardClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kSignOfLife{2};
/// To take less work than this from somebody costs more than it saves.
constexpr double kWorthTaking = 15;
/// Before a claim is tried again, or looked for again.
constexpr std::chrono::milliseconds kBetweenClaims{100};
constexpr std::chrono::seconds kClaimSeen{60};

double seconds_from(ShardClock::time_point start) {
  return std::chrono::duration<double>(ShardClock::now() - start).count();
}

/// What the launcher calls this process.
std::string place_of_process() {
  const auto variable = [](const char* name) -> std::string {
    const char* text = std::getenv(name);
    return text == nullptr ? "" : text;
  };
  if (const std::string job = variable("SLURM_ARRAY_JOB_ID"); !job.empty())
    return fmt::format("slurm {}_{} on {}", job, variable("SLURM_ARRAY_TASK_ID"),
                       variable("SLURMD_NODENAME"));
  if (const std::string job = variable("SLURM_JOB_ID"); !job.empty())
    return fmt::format("slurm {} on {}", job, variable("SLURMD_NODENAME"));
  if (const std::string pod = variable("HOSTNAME"); !variable("JOB_COMPLETION_INDEX").empty())
    return "pod " + pod;
  return {};
}

/// What a worker shows of itself as soon as it belongs to a job.
struct NewMember {
  explicit NewMember(const WorkShard& shard) {
    record.attempt = new_attempt();
    record.shard = shard;
    record.state = "running";
    utsname host{};
    ::uname(&host);
    record.host = host.nodename;
    record.place = place_of_process();
    record.cpu_isa = to_string(cpu_isa());
    record.pid = ::getpid();
  }
  void enter(const JobFolder& job) {
    lease.emplace(job, record.attempt);
    lease->write(record);
  }
  WorkerRecord record;
  std::optional<WorkerLease> lease;
};

/// This process in its job: what it owns, and its signs of life, from a thread of its own.
class Membership {
 public:
  Membership(const JobFolder& job, NewMember entry, std::size_t sources, const std::atomic<bool>& interrupted)
      : job_(job),
        attempt_(entry.record.attempt),
        lease_(std::move(entry.lease.value())),
        sources_(sources),
        interrupted_(interrupted),
        record_(std::move(entry.record)) {
    claim_first();
    work_.begin(owned());
    thread_ = std::jthread([this](const std::stop_token& stop) { report(stop); });
  }
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  SlotWork& work() { return work_; }
  const std::string& attempt() const { return attempt_; }

  /// Every slot that it still works on is done.
  void finish_slots() {
    const std::lock_guard lock(mutex_);
    follow_claims();
    record_.done |= work_.slots();
    write();
  }

  /// Slots of others that it works on from now on; false: nobody needs help, or the run was interrupted.
  bool take_slots(std::string& from) {
    for (; !interrupted_; std::this_thread::sleep_for(kBetweenClaims)) {
      const std::lock_guard lock(mutex_);
      follow_claims();
      const SlotSet slots = slots_to_take(job_.workers(), owners_, attempt_, kWorthTaking);
      if (slots.none()) return false;
      const std::string owner = owners_.owner(slots._Find_first());
      if (!job_.add_claim(owners_.last_claim() + 1, attempt_, slots)) continue;  // somebody was faster
      follow_claims();
      const auto workers = job_.workers();
      if (const auto worker = workers.find(owner); worker != workers.end())
        from = fmt::format("shard {} on {}", worker->second.shard.text(), worker->second.host);
      // They may be gone through already, by a worker before: not so now.
      record_.done &= ~slots;
      work_.begin(slots & owned());
      write();
      return true;
    }
    return false;
  }

  /// Its last sign of life.
  void leave(const char* state, const std::string& error = {}) noexcept try {
    const std::lock_guard lock(mutex_);
    record_.state = state;
    record_.error = error;
    write();
  } catch (const std::exception&) {  // the disk may be what has failed
  }

 private:
  SlotSet owned() const { return owners_.owned_by(attempt_); }

  void claim_first() {
    owners_.update(job_);
    const SlotSet slots = slots_to_begin_with(record_.shard, job_.workers(), owners_);
    if (slots.none()) return;
    std::uint64_t number = owners_.last_claim() + 1;
    while (!job_.add_claim(number, attempt_, slots)) ++number;
    // Those of others before it may reach this machine late.
    const ShardClock::time_point end = ShardClock::now() + kClaimSeen;
    for (;; std::this_thread::sleep_for(kBetweenClaims)) {
      owners_.update(job_);
      if (owners_.last_claim() >= number || interrupted_) return;
      if (ShardClock::now() > end)
        throw Error(
            fmt::format("{}: claim {} is missing, though there is claim {}; graft launch --restart "
                        "begins the job again",
                        job_.path().string(), owners_.last_claim() + 1, number));
    }
  }

  void follow_claims() {
    const std::uint64_t before = owners_.last_claim();
    owners_.update(job_);
    if (owners_.last_claim() != before) work_.keep_only(owned());
  }

  void write() {
    const SlotSet mine = owned();
    record_.done &= mine;
    record_.open = mine & ~record_.done;
    work_.count(record_);
    const std::uint64_t finished =
        std::accumulate(record_.finished.begin(), record_.finished.end(), std::uint64_t{0});
    record_.all_listed = work_.all_listed(sources_);
    record_.total = work_.total();
    record_.seconds = seconds_from(start_);
    // The pace of the last minute or so; a count falls when slots go to somebody else.
    const double since = record_.seconds - rated_at_;
    if (since >= 1) {
      const double done = finished > rated_count_ ? static_cast<double>(finished - rated_count_) : 0;
      const double weight = rated_at_ == 0 ? 1 : std::min(1.0, since / 20);
      record_.rate += weight * (done / since - record_.rate);
      rated_at_ = record_.seconds;
      rated_count_ = finished;
    }
    lease_.write(record_);
  }

  void report(const std::stop_token& stop) {
    while (!stopped_within(kSignOfLife, stop)) try {
        const std::lock_guard lock(mutex_);
        follow_claims();
        write();
      } catch (const std::exception&) {  // the store will say so where it matters: when rows are committed
      }
  }

  const JobFolder& job_;
  const std::string attempt_;
  WorkerLease lease_;
  const std::size_t sources_;
  const std::atomic<bool>& interrupted_;
  SlotWork work_;
  const ShardClock::time_point start_ = ShardClock::now();
  std::mutex mutex_;  // of what follows
  SlotOwners owners_;
  WorkerRecord record_;
  double rated_at_ = 0;
  std::uint64_t rated_count_ = 0;
  std::jthread thread_;
};

class ShardRun {
 public:
  ShardRun(const Plan& plan, Registry& registry, const RunOptions& options, const WorkShard& shard,
           Signals& signals)
      : plan_(plan),
        registry_(registry),
        options_(options),
        shard_(shard),
        signals_(signals),
        entry_(shard),
        job_([&] {
          make_folders(options.store, "choose another folder with --store");
          DigestMemo memo(options.store / "digests.memo");
          return join_job(plan, options.store, memo, [&](const JobFolder& job) { entry_.enter(job); });
        }()),
        member_(job_, std::move(entry_), plan.stages_of(StageKind::Source).size(), signals.interrupted()),
        log_(job_.path() / "logs" / (member_.attempt() + ".txt"), options.style.level),
        workers_(plan.run.threads) {}

  RunOutcome go() {
    try {
      return work();
    } catch (const std::exception& e) {
      member_.leave("failed", e.what());
      log_.add("error: " + printable_lines(e.what(), "  ") + "\n");
      throw;
    }
  }

 private:
  RunOutcome work() {
    const DrainDeadline deadline(signals_, options_.style.level,
                                 [this] { return abandon("interrupted", {}); });
    const Watchdog watchdog(plan_, meter_, signals_,
                            [this](const std::string& error) { return abandon("failed", error); });
    say(fmt::format("shard {}: computes {:.1f} % of the inputs\n", shard_.text(),
                    100 * member_.work().fraction()));
    pass();
    for (std::string from; !signals_.interrupted() && member_.take_slots(from);) {
      say(fmt::format("shard {}: takes over {:.1f} % of the inputs from {}\n", shard_.text(),
                      100 * member_.work().fraction(), from.empty() ? "a worker that is gone" : from));
      pass();
    }
    RunOutcome outcome;
    outcome.exit_code = signals_.exit_code();
    member_.leave(outcome.exit_code == 0 ? "done" : "interrupted");
    outcome.results["shard"] = shard_.text();
    outcome.results["computed"] = Value(computed_);
    outcome.results["reused"] = Value(reused_);
    outcome.results["rejected"] = Value(rejected_);
    outcome.results["seconds"] = Value(seconds_from(start_));
    outcome.text =
        fmt::format("shard {}: {} computed, {} reused, {} rejected in {:.1f} s\n", shard_.text(),
                    plural(computed_, "row"), reused_, plural(rejected_, "input"), seconds_from(start_));
    if (outcome.exit_code != 0)
      outcome.text += fmt::format("interrupted; what was finished is saved\nresume with: {}\n",
                                  printable(options_.command));
    log_.add(printable_lines(outcome.text));
    return outcome;
  }

  /// Goes through the inputs of the slots that it owns. All that a pass needs is made for it: a source lists
  /// once, and the tables and the memo know by now what others have done.
  void pass() {
    if (member_.work().slots().none()) return;
    DigestMemo memo(options_.store / "digests.memo");
    join_job(plan_, options_.store, memo);  // again: the files that stages read may be other ones by now
    StageFactory factory(
        plan_, registry_, [this](const std::string& text) { warn(text); }, &signals_.interrupted());
    for (const std::size_t source : plan_.stages_of(StageKind::Source)) {
      if (signals_.interrupted()) return;
      StreamRun stream(plan_, source, options_.store, memo, factory, meter_, signals_.interrupted(),
                       MissingRows::Compute, &member_.work());
      for (const RunTable& table : stream.tables())
        for (const std::string& damage : table.store->warnings())
          warn(plan_.stages[table.stage].id + ": " + damage);
      const Current current(*this, stream);
      {
        const Monitor monitor(plan_, stream, meter_, signals_, options_.style);
        stream.run(workers_);
      }
      for (const RunTable& table : stream.tables()) {
        computed_ += table.computed;
        reused_ += table.reused;
      }
      rejected_ += static_cast<std::uint64_t>(
          std::count_if(stream.listing().inputs.begin(), stream.listing().inputs.end(),
                        [](const ListedInput& input) { return input.reject != nullptr; }));
    }
    if (!signals_.interrupted()) member_.finish_slots();
  }

  struct Current {
    Current(ShardRun& run, StreamRun& stream) : run_(run) { run_.set_current(&stream); }
    ~Current() { run_.set_current(nullptr); }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ShardRun& run_;
  };
  void set_current(StreamRun* stream) {
    const std::lock_guard lock(current_mutex_);
    current_ = stream;
  }

  /// From a thread of its own, when the process is about to be ended.
  std::string abandon(const char* state, const std::string& error) {
    const bool saved = [this] {
      const std::lock_guard lock(current_mutex_);
      return current_ == nullptr || current_->commit_now();
    }();
    member_.leave(state, error);
    return fmt::format("{}\nresume with: {}\n",
                       saved ? "what was finished is saved"
                             : "not all that was finished could be saved: the next run computes it again",
                       options_.command);
  }

  void say(const std::string& text) { log_.say(text); }
  void warn(const std::string& text) { log_.warn(text); }

  const Plan& plan_;
  Registry& registry_;
  const RunOptions& options_;
  const WorkShard shard_;
  Signals& signals_;
  NewMember entry_;  // until `member_` has it
  const JobFolder job_;
  Membership member_;
  RunLog log_;
  Workers workers_;
  Meter meter_{plan_.stages.size()};
  const ShardClock::time_point start_ = ShardClock::now();
  std::mutex current_mutex_;
  StreamRun* current_ = nullptr;
  std::uint64_t computed_ = 0, reused_ = 0, rejected_ = 0;
};

}  // namespace

RunOutcome run_shard(const Plan& plan, Registry& registry, const RunOptions& options, const WorkShard& shard,
                     Signals& signals) {
  require_limits(plan, registry);
  return ShardRun(plan, registry, options, shard, signals).go();
}

}  // namespace graft
