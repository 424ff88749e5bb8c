#include "run/job_status.h"

#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>
#include <graft/text.h>

#include "run/progress.h"
#include "store/table_check.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using WorkerState = WorkerOutlook::State;

/// The tables that the job fills.
std::vector<JobStatus::Table> tables_of(const fs::path& store, const JobFolder& job) {
  std::vector<JobStatus::Table> out;
  for (const auto& [stage, fingerprint] : job.tables()) {
    JobStatus::Table table;
    table.stage = stage;
    table.fingerprint = fingerprint;
    const fs::path folder = store / "tables" / table.fingerprint;
    std::error_code error;
    if (fs::is_directory(folder, error)) {
      const TableSummary s = summarise_table(folder);
      table.rows = s.rows;
      table.rejects = s.rejects;
      table.shards = s.shards;
      table.logs = s.logs;
      table.bytes = s.bytes;
    }
    out.push_back(std::move(table));
  }
  return out;
}

void find_stragglers(JobStatus& status) {
  std::vector<double> times;
  for (const JobStatus::Worker& w : status.workers)
    if (w.outlook.seconds) times.push_back(*w.outlook.seconds);
  double median = 0;
  if (!times.empty()) {
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                     times.end());
    median = times[times.size() / 2];
  }
  constexpr double kSoon = 10;  // seconds: not worth a word
  for (JobStatus::Worker& w : status.workers)
    w.straggler = w.outlook.state == WorkerState::Stalled ||
                  (w.outlook.seconds && *w.outlook.seconds > std::max(2 * median, kSoon));
}

std::string state_of(const JobStatus::Worker& w) {
  if (!w.owns && !w.record.alive)
    return w.record.state == "running" ? "killed; its work was taken over"
                                       : w.record.state + "; its work was taken over";
  switch (w.outlook.state) {
    case WorkerState::Done:
      return w.record.alive ? "done, looks for work" : "done";
    case WorkerState::Gone:
      return w.record.state == "running" ? "killed" : w.record.state;
    case WorkerState::Stalled:
      return fmt::format("stalled for {}", duration_in_words(w.record.silent));
    case WorkerState::Running:
      return w.straggler ? "slow" : "running";
  }
  return {};
}

/// Rows of different kernels differ in the last digits.
std::string different_kernels(const JobStatus& status) {
  std::set<std::string> kinds;
  for (const JobStatus::Worker& w : status.workers)
    if (w.owns) kinds.insert(w.record.cpu_isa);
  if (kinds.size() < 2) return {};
  return fmt::format(
      "the workers' processors differ ({}), so their rows may differ from those of a single run in the last "
      "digits; GRAFT_MAX_CPU_ISA gives all of them the kernels of the smallest",
      fmt::join(kinds, ", "));
}

}  // namespace

const char* to_string(JobStatus::State state) {
  switch (state) {
    case JobStatus::State::Done:
      return "done";
    case JobStatus::State::Running:
      return "running";
    case JobStatus::State::Incomplete:
      return "incomplete";
  }
  return "";
}

JobStatus job_status(const fs::path& store, const std::string& name) {
  const JobFolder job(store, name);
  if (!job.exists())
    throw Error(fmt::format("{} has no job '{}'{}", store.string(), name, [&] {
      const std::vector<std::string> names = JobFolder::names_in(store);
      return names.empty() ? "; graft launch, or graft run --shard, begins one"
                           : "; its jobs: " + joined(names);
    }()));
  JobStatus status;
  status.name = name;
  status.folder = job.path();
  status.merged = job.merged();
  SlotOwners owners;
  owners.update(job);
  SlotSet done;
  bool alive = false;
  double remaining = 0;
  std::optional<double> longest = 0;
  for (auto& [attempt, record] : job.workers()) {
    JobStatus::Worker worker;
    worker.outlook = outlook(record, owners);
    const SlotSet owned = owners.owned_by(attempt);
    worker.owns = owned.any();
    done |= owned & record.done;
    status.total = std::max(status.total, record.total);
    status.finished += worker.outlook.finished;
    status.rejected += worker.outlook.rejected;
    remaining += worker.outlook.remaining;
    if (record.alive) {
      alive = true;
      status.rate += record.rate;
      if (worker.outlook.state == WorkerState::Running)
        longest = longest && worker.outlook.seconds
                      ? std::optional(std::max(*longest, *worker.outlook.seconds))
                      : std::nullopt;
    }
    worker.record = std::move(record);
    status.workers.push_back(std::move(worker));
  }
  std::stable_sort(status.workers.begin(), status.workers.end(), [](const auto& a, const auto& b) {
    return std::tie(a.record.shard.count, a.record.shard.index) <
           std::tie(b.record.shard.count, b.record.shard.index);
  });
  status.fraction_done = static_cast<double>(done.count()) / static_cast<double>(kSlots);
  status.state = done.all() ? JobStatus::State::Done
                 : alive    ? JobStatus::State::Running
                            : JobStatus::State::Incomplete;
  if (status.state == JobStatus::State::Done) status.seconds = 0;
  // The slowest decides, unless others come to its help.
  if (status.state == JobStatus::State::Running && status.rate > 0)
    status.seconds =
        std::max(longest.value_or(0), status.total > status.finished
                                          ? static_cast<double>(status.total - status.finished) / status.rate
                                          : remaining / status.rate);
  find_stragglers(status);
  status.tables = tables_of(store, job);
  std::error_code error;
  if (const fs::space_info space = fs::space(store, error); !error) status.free_bytes = space.available;
  return status;
}

std::string to_text(const JobStatus& s) {
  std::string out = fmt::format("{}: {}{}", s.name, to_string(s.state),
                                s.state == JobStatus::State::Incomplete ? ", and no worker is running" : "");
  if (s.total > 0)
    out += fmt::format("; {} of {} finished, {} rejected, {} remaining", s.finished, plural(s.total, "input"),
                       s.rejected, s.total - std::min(s.total, s.finished));
  else
    out += fmt::format("; {} finished, {} rejected", plural(s.finished, "input"), s.rejected);
  if (s.state == JobStatus::State::Running)
    out += fmt::format("; {:.1f}/s{}", s.rate,
                       s.seconds ? fmt::format(", about {} left", duration_in_words(*s.seconds)) : "");
  out += "\n";
  if (!s.merged.empty()) out += fmt::format("merged: {}\n", printable(s.merged));
  std::vector<std::vector<std::string>> tables{
      {"table", "rows", "rejects", "shards", "logs", "size", "fingerprint"}};
  for (const JobStatus::Table& t : s.tables)
    tables.push_back({t.stage, std::to_string(t.rows), std::to_string(t.rejects), std::to_string(t.shards),
                      std::to_string(t.logs), human_bytes(t.bytes), t.fingerprint.substr(0, 12)});
  out += text_table(std::move(tables), Align::Left, 2);
  std::vector<std::vector<std::string>> workers{{"shard", "state", "finished", "rejected", "per s", "left",
                                                 "last sign of life", "host", "process", "place"}};
  for (const JobStatus::Worker& w : s.workers)
    workers.push_back(
        {w.record.shard.text(), state_of(w), std::to_string(w.outlook.finished),
         std::to_string(w.outlook.rejected), w.record.alive ? fmt::format("{:.1f}", w.record.rate) : "-",
         w.outlook.seconds && w.outlook.state == WorkerState::Running ? duration_in_words(*w.outlook.seconds)
                                                                      : "-",
         duration_in_words(w.record.silent) + " ago", printable(w.record.host), std::to_string(w.record.pid),
         w.record.place.empty() ? "-" : printable(w.record.place)});
  if (workers.size() > 1) out += text_table(std::move(workers), Align::Left, 2);
  for (const JobStatus::Worker& w : s.workers)
    if (!w.record.error.empty())
      out +=
          fmt::format("shard {} failed: {}\n", w.record.shard.text(), printable_lines(w.record.error, "  "));
  if (const std::string kernels = different_kernels(s); !kernels.empty()) out += "warning: " + kernels + "\n";
  if (s.free_bytes) out += fmt::format("disk: {} free\n", human_bytes(*s.free_bytes));
  if (s.state == JobStatus::State::Done && s.merged.empty())
    out += "next: graft run CONFIG --merge trains and evaluates on the rows\n";
  if (s.state == JobStatus::State::Incomplete)
    out += "next: graft launch CONFIG, or graft run CONFIG --shard I/N, computes what is missing\n";
  return out;
}

Value to_value(const JobStatus& s) {
  Value out = Value::Map{{"name", s.name},
                         {"state", to_string(s.state)},
                         {"folder", s.folder.string()},
                         {"merged", s.merged.empty() ? Value() : Value(s.merged)}};
  out["inputs"]["total"] = s.total > 0 ? Value(s.total) : Value();
  out["inputs"]["finished"] = Value(s.finished);
  out["inputs"]["rejected"] = Value(s.rejected);
  out["inputs"]["remaining"] = s.total > 0 ? Value(s.total - std::min(s.total, s.finished)) : Value();
  out["fraction_done"] = Value(s.fraction_done);
  out["per_second"] = Value(s.rate);
  out["seconds_left"] = s.seconds ? Value(*s.seconds) : Value();
  out["free_bytes"] = s.free_bytes ? Value(*s.free_bytes) : Value();
  out["tables"] = Value::map();
  for (const JobStatus::Table& t : s.tables) {
    Value& table = out["tables"][t.stage];
    table["fingerprint"] = t.fingerprint;
    table["rows"] = Value(t.rows);
    table["rejects"] = Value(t.rejects);
    table["shards"] = Value(t.shards);
    table["logs"] = Value(t.logs);
    table["bytes"] = Value(t.bytes);
  }
  out["workers"] = Value::list();
  for (const JobStatus::Worker& w : s.workers) {
    Value worker = Value::Map{{"attempt", w.record.attempt},
                              {"shard", w.record.shard.text()},
                              {"state", w.record.state},
                              {"alive", w.record.alive},
                              {"owns_inputs", w.owns},
                              {"straggler", w.straggler},
                              {"finished", Value(w.outlook.finished)},
                              {"rejected", Value(w.outlook.rejected)},
                              {"per_second", Value(w.record.rate)},
                              {"seconds", Value(w.record.seconds)},
                              {"seconds_left", w.outlook.seconds ? Value(*w.outlook.seconds) : Value()},
                              {"seconds_silent", Value(w.record.silent)},
                              {"host", w.record.host},
                              {"cpu_isa", w.record.cpu_isa},
                              {"process", Value(w.record.pid)},
                              {"place", w.record.place}};
    if (!w.record.error.empty()) worker["error"] = w.record.error;
    out["workers"].push(std::move(worker));
  }
  return out;
}

}  // namespace graft
