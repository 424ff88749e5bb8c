#include "campaign.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <nlohmann/json.hpp>

#include "temp_folder.h"

namespace graft::siege {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

constexpr double kHangs = 120;       // seconds without using the processor
constexpr double kNeverEnds = 1200;  // seconds, whatever it does: the campaign's runs take one
constexpr double kRoundSeconds = 10;
constexpr std::size_t kMostFailures = 40;

const char* name_of(Fate fate) {
  switch (fate) {
    case Fate::None:
      return "undisturbed";
    case Fate::Stopped:
      return "stopped for a while";
    case Fate::Killed:
      return "killed";
    case Fate::KilledInside:
      return "killed at an operation";
    case Fate::Interrupted:
      return "interrupted";
    case Fate::DiskFull:
      return "disk full";
    case Fate::ReadError:
      return "read error";
  }
  return "";
}

const char* name_of(Task::Kind kind) {
  return kind == Task::Kind::Run ? "run" : kind == Task::Kind::Gc ? "gc" : "repair";
}

std::string in_words(const Command& command) {
  std::string out;
  for (const std::string& e : command.environment) out += e + " ";
  out += command.container ? "(in a container) graft" : "graft";
  for (const std::string& a : command.arguments) out += " " + a;
  return out;
}

/// Rows that a run says it has computed, over its tables.
std::uint64_t computed_in(const std::string& said) {
  std::uint64_t computed = 0;
  for (std::size_t at = 0; (at = said.find(" rows (", at)) != std::string::npos; ++at)
    computed += std::strtoull(said.c_str() + at + 7, nullptr, 10);
  return computed;
}

std::uint32_t word_at(const std::string& bytes, std::size_t at) {
  std::uint32_t v = 0;
  if (bytes.size() >= at + sizeof v) std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

}  // namespace

Campaign::Campaign(Options options)
    : options_(std::move(options)),
      store_(options_.folder / "store"),
      outs_(options_.folder / "runs"),
      logs_(options_.folder / "processes"),
      evidence_(options_.folder / "evidence"),
      random_(options_.seed) {
  fs::create_directories(options_.folder);
}

bool Campaign::run() {
  std::string why;
  containers_ = can_make_containers(why);
  if (!containers_) std::cout << "containers are left out: " << why << std::endl;
  prepare();
  const auto over = [&](std::size_t round) {
    if (failures_.size() > 0 && figures_["failures"] >= kMostFailures) return true;
    if (options_.minutes <= 0) return round >= options_.rounds;
    return Clock::now() - began_ >= std::chrono::duration<double>(options_.minutes * 60);
  };
  for (std::size_t r = 0; !over(r); ++r) {
    round(r % 2 == 0);
    check_at_rest();
    ++figures_["rounds"];
  }
  return failures_.empty();
}

std::vector<std::string> Campaign::run_arguments(const Workload& workload, const fs::path& out,
                                                 const fs::path& store) const {
  return {"run", workload.config, "--out", out, "--store", store};
}

Ending Campaign::undisturbed(std::vector<std::string> arguments) {
  const fs::path output = logs_ / std::to_string(++processes_);
  Process process({std::move(arguments), {}, false, output});
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    if (auto ending = process.poll()) {
      if (ending->exit_code == 0 && ending->signal == 0) fs::remove_all(output);
      return *ending;
    }
    if (process.idle().count() > kHangs) {
      fail("hang", "undisturbed: " + in_words(process.command()) + "\n" + process.state(), output);
      return {-1, SIGKILL, "", "hangs"};
    }
  }
}

/// What undisturbed runs leave, on a store of their own.
void Campaign::prepare() {
  fs::create_directories(options_.folder / "inputs");
  workloads_ = make_workloads(options_.folder / "inputs");
  const fs::path store = options_.folder / "undisturbed/store";
  for (Workload& w : workloads_) {
    const fs::path out = options_.folder / "undisturbed" / w.name;
    const Clock::time_point start = Clock::now();
    const Ending ending = undisturbed(run_arguments(w, out, store));
    if (ending.exit_code != 0 || ending.signal != 0)
      throw std::runtime_error("the undisturbed run of " + w.name + " ended with " + ending.text() + "\n" +
                               ending.err);
    w.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    w.outcome = outcome_of(out);
    const json table = json::parse(test::slurp(out / "manifest.json")).at("tables").front();
    w.table = table.at("fingerprint");
    w.rows = json::parse(test::slurp(out / "results.json")).at("tables").front().at("rows");
    const fs::path file = options_.folder / "undisturbed" / (w.name + ".npy");
    const Ending exported =
        undisturbed({"store", "export", w.table, file, "--run", w.name, "--store", store});
    w.exported = test::slurp(file);
    if (exported.exit_code != 0 || w.exported.empty())
      throw std::runtime_error("cannot export the table of " + w.name + ": " + exported.err);
    run_seconds_ = std::max(run_seconds_, w.seconds);
  }
}

void Campaign::round(bool keep) {
  keep_ = keep;
  complete_.clear();
  if (keep) {  // from nothing: otherwise nothing would be computed
    fs::remove_all(store_);
    fs::remove_all(outs_);
    shards_.clear();
  }
  std::vector<Slot> slots;
  for (std::size_t i = 0; i < workloads_.size() + 2; ++i) slots.push_back({Task::Kind::Run, i, {}, {}});
  for (std::size_t i = 0; i < 2; ++i) slots.push_back({Task::Kind::Gc, i, {}, {}});
  slots.push_back({Task::Kind::Repair, 0, {}, {}});
  const Clock::time_point start = Clock::now();
  const std::size_t before = ended_runs_;
  const auto over = [&] {
    if (options_.minutes <= 0) return ended_runs_ - before >= options_.runs;
    return std::chrono::duration<double>(Clock::now() - start).count() > kRoundSeconds;
  };
  for (bool busy = true; busy; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    busy = false;
    for (Slot& slot : slots) {
      if (slot.task && !advance(*slot.task)) {
        slot.task.reset();
        slot.not_before = Clock::now() + std::chrono::milliseconds(below(300));
      }
      if (!slot.task && !over() && Clock::now() >= slot.not_before) slot.task = make_task(slot);
      busy = busy || slot.task;
    }
  }
}

std::unique_ptr<Task> Campaign::make_task(const Slot& slot) {
  auto task = std::make_unique<Task>();
  task->kind = slot.kind;
  std::vector<std::string> arguments;
  switch (slot.kind) {
    case Task::Kind::Run: {
      // One of each; then one more of any at the same folder, and one of any at a folder that all share.
      const std::size_t n = workloads_.size();
      task->workload = &workloads_[slot.number < n ? slot.number : below(n)];
      task->out = outs_ / (slot.number == n + 1 ? "shared" : task->workload->name);
      task->was_complete = keep_ && complete_.contains(task->workload->name);
      arguments = run_arguments(*task->workload, task->out, store_);
      break;
    }
    case Task::Kind::Gc: {
      const std::vector<std::vector<std::string>> keeping = {{}, {"--unreferenced"}, {"--unreferenced"}};
      const std::vector<std::vector<std::string>> removing = {{"--unreferenced"},
                                                              {"--max-size", "0KiB"},
                                                              {"--max-size", "400KiB"},
                                                              {"--older-than", "0h"},
                                                              {"--older-than", "0h", "--unreferenced"}};
      const auto& options = keep_ ? keeping : removing;
      arguments = options[below(options.size())];
      arguments.insert(arguments.begin(), {"store", "gc", "--store", store_});
      break;
    }
    case Task::Kind::Repair:
      arguments = {"store", "verify", "--repair", "--json", "--store", store_};
      break;
  }
  choose_fate(*task);
  start(*task, std::move(arguments));
  return task;
}

void Campaign::choose_fate(Task& task) {
  const std::size_t draw = below(100);
  task.signal_after = uniform(1.3 * (task.kind == Task::Kind::Run ? run_seconds_ : 0.3));
  task.stopped_for = 0.1 + uniform(1.5);
  if (draw < 10) {
    task.fate = Fate::Killed;
    task.signal = SIGKILL;
  } else if (draw < 18) {
    task.fate = Fate::KilledInside;
  } else if (draw < 26) {
    task.fate = Fate::Interrupted;
    task.signal = chance(50) ? SIGTERM : SIGINT;
  } else if (draw < 38) {
    task.fate = Fate::Stopped;
    task.signal = SIGSTOP;
  } else if (draw < 48) {
    task.fate = Fate::DiskFull;
  } else if (draw < 58 && task.kind == Task::Kind::Repair) {
    task.fate = Fate::ReadError;
  }
}

void Campaign::start(Task& task, std::vector<std::string> arguments) {
  Command command{std::move(arguments), {}, containers_ && chance(25), {}};
  command.output = logs_ / std::to_string(++processes_);
  const auto inject = [&](const fs::path& folder, const std::string& fault) {
    command.environment = {std::string("LD_PRELOAD=") + GRAFT_FAULT_INJECTOR,
                           "GRAFT_FAULT_FOLDER=" + folder.string(), fault,
                           "ASAN_OPTIONS=verify_asan_link_order=0"};
  };
  const fs::path where = task.kind == Task::Kind::Run && chance(30) ? outs_ : store_;
  static const char* const kMoments[] = {"before", "torn", "after"};
  static const char* const kClasses[] = {"create", "write", "write", "sync", "folder", "rename", "link"};
  static const char* const kWays[] = {"once", "always", "half"};
  if (task.fate == Fate::KilledInside) {
    command.container = false;  // the first process of a container cannot kill itself
    inject(where,
           "GRAFT_FAULT_KILL=" + std::to_string(1 + below(chance(50) ? 20 : 120)) + ":" + kMoments[below(3)]);
  } else if (task.fate == Fate::DiskFull) {
    inject(where, std::string("GRAFT_FAULT_ERROR=") + kClasses[below(7)] + ":" +
                      std::to_string(1 + below(chance(60) ? 6 : 60)) + ":" + std::to_string(ENOSPC) + ":" +
                      kWays[below(3)]);
  } else if (task.fate == Fate::ReadError) {
    inject(store_, "GRAFT_FAULT_ERROR=read:" + std::to_string(1 + below(200)) + ":" + std::to_string(EIO) +
                       (chance(70) ? ":once" : ":always"));
  }
  if (command.container) ++figures_["in containers"];
  ++figures_[task.kind == Task::Kind::Run  ? "runs started"
             : task.kind == Task::Kind::Gc ? "gc passes"
                                           : "repair passes"];
  task.process = std::make_unique<Process>(std::move(command));
}

/// False when the task has ended and is judged.
bool Campaign::advance(Task& task) {
  if (const auto ending = task.process->poll()) {
    judge(task, *ending);
    return false;
  }
  const double age = task.process->age().count();
  if (!task.signalled && task.signal != 0 && age >= task.signal_after) {
    task.process->send(task.signal);
    task.signalled = true;
    task.stopped = task.signal == SIGSTOP;
    if (task.stopped) ++figures_["stopped"];
  }
  if (task.stopped && age >= task.signal_after + task.stopped_for) {
    task.process->send(SIGCONT);
    task.stopped = false;
  }
  if (task.process->idle().count() > kHangs || age > kNeverEnds) {
    fail("hang", in_words(task.process->command()) + "\n" + task.process->state(),
         task.process->command().output);
    task.process.reset();
    if (task.kind == Task::Kind::Run) ++ended_runs_;
    return false;
  }
  return true;
}

void Campaign::judge(const Task& task, const Ending& ending) {
  const Command& command = task.process->command();
  const bool well = ending.signal == 0 && ending.exit_code == 0;
  const bool failed = ending.signal == 0 && ending.exit_code == 1;
  const auto says = [&](const char* text) {
    return ending.err.find(text) != std::string::npos || ending.out.find(text) != std::string::npos;
  };
  bool allowed = well;
  switch (task.fate) {
    case Fate::None:
    case Fate::Stopped:
      break;
    case Fate::Killed:
    case Fate::KilledInside:
      allowed = well || ending.signal == SIGKILL;
      figures_["killed"] += ending.signal == SIGKILL ? 1 : 0;
      break;
    case Fate::Interrupted:
      // What has no handler, or not yet, is ended by the signal itself.
      allowed = well || ending.signal == task.signal ||
                (ending.exit_code == 128 + task.signal && says("resume with: "));
      figures_["interrupted"] += well ? 0 : 1;
      break;
    case Fate::DiskFull:
      allowed = well || (failed && says("No space left on device"));
      figures_["disk full"] += well ? 0 : 1;
      break;
    case Fate::ReadError:
      allowed = well || (failed && says("Input/output error"));
      figures_["read errors"] += well ? 0 : 1;
      break;
  }
  const std::size_t before = figures_["failures"];
  if (!allowed)
    fail("ending",
         std::string(name_of(task.kind)) + " (" + name_of(task.fate) + ") ended with " + ending.text() +
             ": " + in_words(command) + "\n" + ending.out + ending.err,
         command.output);
  if (task.kind == Task::Kind::Run) {
    ++ended_runs_;
    judge_run(task, ending);
  }
  if (task.kind == Task::Kind::Repair) {
    const json document = json::parse(ending.out, nullptr, false);
    for (const json& table : document.is_object() ? document.value("tables", json::array()) : json::array()) {
      for (const json& fault : table["faults"])
        if (task.fate != Fate::ReadError)
          fail("false alarm", in_words(command) + "\n" + fault.dump(), command.output);
      for (const std::string line : table["repairs"])
        if (line.starts_with("dropped") || line.starts_with("removed"))
          fail("false repair", in_words(command) + "\n" + line, command.output);
    }
    check_shards();
  }
  if (figures_["failures"] == before) fs::remove_all(command.output);
}

void Campaign::judge_run(const Task& task, const Ending& ending) {
  const Workload& w = *task.workload;
  check_folder(task);
  if (ending.signal != 0 || ending.exit_code != 0) return;
  ++figures_["runs completed"];
  figures_["rows checked"] += w.rows;
  const std::uint64_t computed = computed_in(ending.err);
  figures_["rows computed"] += computed;
  if (task.was_complete && computed > 0)
    fail("lost rows",
         "a complete run of " + w.name + " had all rows in the store, and this one computed " +
             std::to_string(computed) + ": " + in_words(task.process->command()) + "\n" + ending.err,
         task.process->command().output);
  if (task.fate == Fate::None) run_seconds_ = task.process->age().count();
  if (keep_ && (task.fate == Fate::None || task.fate == Fate::Stopped) && task.out.filename() != "shared")
    complete_.insert(w.name);
}

/// The folder of a run holds one complete run of a config that goes there, or nothing.
void Campaign::check_folder(const Task& task) {
  const Outcome got = outcome_of(task.out);
  if (got.empty()) return;
  const Workload* made = task.workload;
  if (task.out.filename() == "shared") {
    const json results = json::parse(got.at("results.json"), nullptr, false);
    for (const Workload& w : workloads_)
      if (results.is_object() && results.value("name", "") == w.name) made = &w;
  }
  if (const std::string names = difference(got, made->outcome); !names.empty()) {
    const fs::path copy = evidence_ / ("mixture-" + std::to_string(processes_));
    std::error_code ignored;
    fs::create_directories(copy.parent_path());
    fs::copy(task.out, copy, fs::copy_options::recursive, ignored);
    fail("mixture",
         task.out.string() + " is not what an undisturbed run of " + made->name + " leaves:" + names +
             "\nafter: " + in_words(task.process->command()),
         task.process->command().output);
  }
  ++figures_["folders checked"];
}

/// A shard that counts is there and stays as it is; nothing in a campaign damages one, so that none is
/// dropped.
void Campaign::check_shards() {
  std::error_code error;
  for (const auto& table : fs::directory_iterator(store_ / "tables", error)) {
    std::error_code gone;
    for (const auto& entry : fs::directory_iterator(table.path() / "manifest", gone)) {
      const std::string bytes = test::slurp(entry.path());
      if (bytes.starts_with("GRAFT: this shard was dropped")) {
        if (dropped_.insert(entry.path().string()).second)
          fail("false repair", entry.path().string() + " names a shard that was dropped");
        continue;
      }
      if (!bytes.starts_with("GRAFTMAN") || bytes.size() < 192 + word_at(bytes, 184)) continue;
      const fs::path shard = table.path() / "shards" / bytes.substr(192, word_at(bytes, 184));
      const std::string content = test::slurp(shard);
      if (content.empty()) {
        if (!fs::exists(shard, gone) && test::slurp(entry.path()) == bytes)
          fail("lost rows", shard.string() + " is missing, and its manifest entry is there");
        continue;
      }
      const std::string digest = std::to_string(std::hash<std::string>{}(content));
      if (const auto [at, fresh] = shards_.emplace(shard.string(), digest); !fresh && at->second != digest)
        fail("lost rows", shard.string() + " has changed");
    }
  }
}

/// Nothing runs and nothing disturbs: everything must be there, and equal to what it was before the campaign.
void Campaign::check_at_rest() {
  const std::uint64_t before = figures_["failures"];
  for (const Workload& w : workloads_) {
    Task task;
    task.workload = &w;
    task.out = outs_ / w.name;
    const Ending ending = undisturbed(run_arguments(w, task.out, store_));
    if (ending.exit_code != 0 || ending.signal != 0) {
      fail("ending", "at rest, the run of " + w.name + " ended with " + ending.text() + "\n" + ending.err);
      continue;
    }
    const std::uint64_t computed = computed_in(ending.err);
    if (complete_.contains(w.name) && computed > 0)
      fail("lost rows", "at rest, " + w.name + ", all of whose rows were in the store, computed " +
                            std::to_string(computed) + "\n" + ending.err);
    if (const std::string names = difference(outcome_of(task.out), w.outcome); !names.empty())
      fail("mixture", "at rest, " + task.out.string() + " differs:" + names);
    const fs::path file = options_.folder / "exported.npy";
    fs::remove(file);
    const Ending exported =
        undisturbed({"store", "export", w.table, file, "--run", w.name, "--store", store_});
    if (test::slurp(file) != w.exported)
      fail("lost rows",
           "at rest, the exported rows of " + w.name + " differ: " + exported.text() + "\n" + exported.err);
    figures_["rows checked"] += 2 * w.rows;
  }
  const Ending verified = undisturbed({"store", "verify", "--store", store_});
  if (verified.exit_code != 0) fail("false alarm", "at rest, verify: " + verified.out + verified.err);
  const Ending collected = undisturbed({"store", "gc", "--store", store_});
  if (collected.exit_code != 0) fail("ending", "at rest, gc: " + collected.out + collected.err);
  check_shards();
  for (const Workload& w : workloads_)
    for (const auto& entry : fs::directory_iterator(outs_))
      if (entry.path().filename().string().starts_with("." + w.name + "."))
        fail("leftover", "at rest, " + entry.path().string() + " is left");
  if (figures_["failures"] > before)
    fs::copy(store_, evidence_ / ("store-" + std::to_string(figures_["rounds"])),
             fs::copy_options::recursive);
}

void Campaign::fail(const char* what, const std::string& text, const fs::path& evidence) {
  ++failures_[what];
  ++figures_["failures"];
  fs::create_directories(evidence_);
  const std::string name = std::to_string(figures_["failures"]) + "-" + what + ".txt";
  std::ofstream(evidence_ / name) << text << "\n";
  if (!evidence.empty()) std::ofstream(evidence_ / name, std::ios::app) << "output: " << evidence << "\n";
  std::cout << "FAILED (" << what << "): " << text.substr(0, 1500) << std::endl;
  if (figures_["failures"] > kMostFailures) throw std::runtime_error("more failures than are of use");
}

void Campaign::print_figures() const {
  std::printf("\n");
  const auto line = [](const char* name, std::uint64_t value) {
    std::printf("%-18s %12llu\n", name, static_cast<unsigned long long>(value));
  };
  const auto print = [&](const std::map<std::string, std::uint64_t>& from, const char* name) {
    const auto at = from.find(name);
    line(name, at == from.end() ? 0 : at->second);
  };
  for (const char* name : {"rounds", "runs started", "runs completed", "killed", "interrupted", "stopped",
                           "disk full", "read errors", "in containers", "gc passes", "repair passes",
                           "folders checked", "rows computed", "rows checked"})
    print(figures_, name);
  std::printf("\nfailures\n");
  for (const char* name :
       {"lost rows", "false repair", "false alarm", "mixture", "ending", "hang", "leftover"})
    print(failures_, name);
  std::printf("\nseed %llu, %.1f minutes\n", static_cast<unsigned long long>(options_.seed),
              std::chrono::duration<double>(Clock::now() - began_).count() / 60);
  std::fflush(stdout);
}

}  // namespace graft::siege
