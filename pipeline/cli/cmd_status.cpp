#include <chrono>
#include <filesystem>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "config_command.h"
#include "output.h"
#include "run/job_status.h"
#include "run/signals.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kWatchInterval{2};

/// The name of a job, of a config file, or of the run in a folder; nothing after errors in the config.
std::optional<std::string> job_name(const Global& global, const std::string& word) {
  const fs::path path(word);
  if (path.extension() != ".yaml" && path.extension() != ".yml")
    return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, word, registry);
  if (!plan) return {};
  return plan->name;
}

int list_jobs(const fs::path& store, const std::vector<std::string>& names) {
  Value document = Value::list();
  std::vector<std::vector<std::string>> rows{
      {"job", "state", "finished", "rejected", "inputs", "workers", "merged"}};
  for (const std::string& name : names) {
    const JobStatus s = job_status(store, name);
    document.push(to_value(s));
    std::size_t alive = 0;
    for (const JobStatus::Worker& w : s.workers) alive += w.record.alive ? 1 : 0;
    rows.push_back({name, to_string(s.state), std::to_string(s.finished), std::to_string(s.rejected),
                    s.total > 0 ? std::to_string(s.total) : "?",
                    fmt::format("{} of {}", alive, s.workers.size()),
                    s.merged.empty() ? "-" : printable(s.merged)});
  }
  print_document(document);
  if (names.empty())
    say("{} has no job; graft launch, or graft run --shard, begins one\n", printable(store.string()));
  else
    say("{}", text_table(std::move(rows), Align::Left, 2));
  return kOk;
}

int exit_code_of(JobStatus::State state) {
  return state == JobStatus::State::Done ? kOk : state == JobStatus::State::Running ? kRunning : kIncomplete;
}

}  // namespace

int status(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) throw UsageError{fmt::format("one JOB expected, got {}", arguments.size())};
  if (global.status.watch && global.json) throw UsageError{"--watch and --json: expected one of them"};
  std::string name;
  if (arguments.empty()) {
    const std::vector<std::string> names = JobFolder::names_in(global.store);
    if (names.size() != 1) {
      if (global.status.watch)
        throw UsageError{
            fmt::format("--watch: expected a JOB; the store has {}", plural(names.size(), "job"))};
      return list_jobs(global.store, names);
    }
    name = names[0];
  } else {
    const auto named = job_name(global, arguments[0]);
    if (!named) return kUsage;
    name = *named;
  }
  const Signals signals;
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  for (;;) {
    const JobStatus found = job_status(global.store, name);
    if (global.json) print_document(to_value(found));
    if (!global.json) {
      if (global.status.watch && terminal) std::fputs("\x1b[H\x1b[2J", stdout);
      say("{}", to_text(found));
      std::fflush(stdout);
    }
    if (!global.status.watch || found.state != JobStatus::State::Running) return exit_code_of(found.state);
    const auto until = std::chrono::steady_clock::now() + kWatchInterval;
    while (std::chrono::steady_clock::now() < until) {
      if (signals.interrupted()) return signals.exit_code();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

}  // namespace graft::cli
