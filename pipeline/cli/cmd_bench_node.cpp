#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include <signal.h>

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/text.h>

#include "awaited_program.h"
#include "base/attempt.h"
#include "base/files.h"
#include "base/machine.h"
#include "cluster_plan.h"
#include "config_command.h"
#include "launch_options.h"
#include "local_tasks.h"
#include "output.h"
#include "run/signals.h"
#include "slurm_jobs.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMpiPackage = "openmpi-bin";

bool says_more(const Global& global) {
  return !global.quiet && !global.json;
}

/// The tasks will write there. Throws Error.
void check_store(const fs::path& store) {
  constexpr const char* kCure = "choose another folder with --store";
  make_folders(store, kCure);
  const fs::path probe = store / (new_attempt() + ".probe");
  try {
    write_file_atomically(probe, "");
  } catch (const Error& e) {
    throw Error(fmt::format("{}; {}", e.what(), kCure));
  }
  std::error_code ignored;
  fs::remove(probe, ignored);
}

int measure(const Global& global, const std::string& path, const Machine& machine) {
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  const LaunchSpec spec = launch_spec(global, *plan);
  if (!global.launch.here && says_more(global)) print_error("measuring on {}\n", machine.text());
  if (machine.processors < spec.cpus)
    print_error(
        "warning: a task is to have {}, of which {} has {} for this process: it is estimated for these\n",
        plural(static_cast<std::size_t>(spec.cpus), "processor"), machine.name, machine.processors);
  check_store(global.store);
  const auto [report, estimate] = plan_for_cluster(
      *plan, registry, global, {global.launch.engine, spec.tasks, spec.cpus}, Sampling::Thorough);
  Value document = report.json;
  const bool measured = estimate.wall_seconds.has_value();
  const std::string error =
      measured ? "" : fmt::format("no estimate from {}: {}", machine.name, estimate.work.why_not);
  if (!measured) {
    document["error"] = error;
    document["exit_code"] = kFailed;
  }
  print_document(document);
  if (!global.json) say("{}", report.text);
  if (measured) return kOk;
  print_error("error: {}\n", error);
  return kFailed;
}

/// In this process. Errors name the machine where it is not the one that the user sits at.
int measure_here(Global global, const std::string& path) {
  if (!is_set(global, "run.threads"))
    global.overrides.push_back(fmt::format("run.threads={}", cpus_of(global.launch)));
  const Machine machine = this_machine();
  if (!global.launch.here) return measure(global, path, machine);
  if (says_more(global)) print_error("measuring on {}\n", machine.text());
  try {
    return measure(global, path, machine);
  } catch (const Error& e) {
    throw Error(fmt::format("on {}: {}", machine.name, e.what()));
  }
}

/// Local, pinned as the first task of launch is.
int measure_pinned(const Global& global, const std::string& path) {
  pin_to(processors_of_first_task(cpus_of(global.launch)));
  return measure_here(global, path);
}

/// The document that the job has printed, among what the cluster's own scripts may have.
Value document_in(const std::string& out) {
  const std::size_t begin = out.starts_with('{') ? 0 : out.find("\n{");
  const std::size_t end = out.rfind('}');
  try {
    if (begin != std::string::npos && end != std::string::npos && begin < end)
      return Value::from_json(out.substr(begin, end + 1 - begin));
  } catch (const Error&) {  // it is none
  }
  return Value::map();
}

/// The end of a job, and with --json what it has printed. `error`: empty if it has measured.
int finish(const Global& global, const AwaitedEnd& end, Value more, const std::string& error) {
  const int exit_code = error.empty() || end.exit_code != 0 ? end.exit_code : kFailed;
  if (global.json) {
    Value document = document_in(end.out);
    for (const auto& [name, value] : more.as_map()) document[name] = value;
    if (!error.empty()) {
      document["error"] = document.find("error") != nullptr
                              ? fmt::format("{}: {}", error, document.find("error")->as_string())
                              : error;
      document["exit_code"] = exit_code;
    }
    print_document(document);
  }
  if (!error.empty()) print_error("error: {}\n", error);
  return exit_code;
}

int interrupted(const Signals& signals, const std::string& what) {
  Value document = Value::map();
  document["error"] = "interrupted; " + what;
  document["exit_code"] = signals.exit_code();
  print_document(document);
  print_error("interrupted; {}\n", what);
  return signals.exit_code();
}

/// The job after srun has ended: Slurm may take a while to say how.
std::optional<SlurmJob> ended_slurm_job(const std::string& name) {
  std::optional<SlurmJob> job = find_slurm_job(name);
  for (int i = 0; i < 100 && job && !job->has_ended(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    job = find_slurm_job(name);
  }
  return job;
}

int measure_by_slurm(const Global& global, const LaunchSpec& spec, const std::string& job_name) {
  require_program("srun", kSlurmPackage);
  const Signals signals;
  AwaitedProgram srun{slurm_bench_command(spec, job_name), {}, global.json, {}};
  // Within an allocation, srun would start a step there, whatever the options ask for.
  if (std::getenv("SLURM_JOB_ID") != nullptr)
    srun.hidden = [](std::string_view name) { return name.starts_with("SLURM_") && name != "SLURM_CONF"; };
  std::string cancelled;
  srun.interrupt = [&](pid_t pid) {
    if (const auto job = find_slurm_job(job_name))
      cancelled = cancel_slurm_job(job->id);
    else
      ::kill(pid, SIGTERM);
  };
  const AwaitedEnd end = run_awaited(srun, signals);
  if (signals.interrupted()) {
    // It may have been submitted just before srun ended.
    if (const auto job = find_slurm_job(job_name); cancelled.empty() && job && !job->has_ended())
      cancelled = cancel_slurm_job(job->id);
    return interrupted(signals, cancelled.empty() ? "no job was left" : cancelled);
  }
  const std::optional<SlurmJob> job =
      end.exit_code == 0 ? find_slurm_job(job_name) : ended_slurm_job(job_name);
  Value more = Value::map();
  if (job) more["slurm_job"] = Value::Map{{"id", job->id}, {"node", job->node}, {"state", job->state}};
  if (end.exit_code == 0 && (!job || !job->has_ended() || job->state == "COMPLETED"))
    return finish(global, end, more, "");
  return finish(
      global, end, more,
      job ? what_became_of(*job, end.exit_code)
          : fmt::format("srun failed with exit code {}, and Slurm knows no job of it; its message is above",
                        end.exit_code));
}

int measure_by_mpi(const Global& global, const LaunchSpec& spec) {
  require_program("mpirun", kMpiPackage);
  const Signals signals;
  const AwaitedEnd end = run_awaited({mpi_bench_command(spec), {}, global.json, {}}, signals);
  if (signals.interrupted()) return interrupted(signals, "mpirun has ended");
  return finish(global, end, Value::map(),
                end.exit_code == 0
                    ? ""
                    : fmt::format("mpirun failed with exit code {}; its message is above", end.exit_code));
}

/// The command of the job.
std::vector<std::string> job_words(const Global& global, const std::string& path, const LaunchSpec& spec) {
  std::vector<std::string> words = command_words(global, "bench-node", path, spec);
  words.insert(words.end(), {"--engine", global.launch.engine, "--tasks", std::to_string(spec.tasks),
                             "--cpus", std::to_string(spec.cpus)});
  if (global.plan.price) words.insert(words.end(), {"--price", fmt::format("{}", *global.plan.price)});
  if (global.quiet) words.emplace_back("--quiet");
  if (global.json) words.emplace_back("--json");
  words.emplace_back("--here");
  return words;
}

}  // namespace

int bench_node(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  const Engine engine = engine_of(global.launch);
  check_price(global);
  if (global.launch.here && global.dry_run)
    throw UsageError{"--here: of no use with --dry-run, which starts nothing"};
  if (global.launch.here) return measure_here(global, path);
  if (engine == Engine::Local && !global.dry_run) return measure_pinned(global, path);

  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;
  LaunchSpec spec = launch_spec(global, *plan);
  spec.worker = job_words(global, path, spec);
  // srun takes words where sbatch reads lines.
  std::vector<std::string> options;
  for (const std::string& option : spec.submit_options)
    for (const std::string& word : boost::program_options::split_unix(option)) options.push_back(word);
  spec.submit_options = options;

  std::random_device random;
  const std::string job_name = fmt::format("graft-{}-bench-{:08x}", spec.name, random());
  Value document = Value::map();
  document["engine"] = global.launch.engine;
  document["job"] = spec.name;
  document["tasks"] = spec.tasks;
  document["cpus"] = spec.cpus;
  const auto print_command = [&](const std::vector<std::string>& words) {
    return print_files({{"command", shell_command(words) + "\n"}}, document);
  };
  switch (engine) {
    case Engine::Kubernetes:
      return print_files({kubernetes_bench_file(spec)}, document);
    case Engine::Slurm:
      if (global.dry_run) return print_command(slurm_bench_command(spec, job_name));
      return measure_by_slurm(global, spec, job_name);
    case Engine::Mpi:
      if (global.dry_run) return print_command(mpi_bench_command(spec));
      return measure_by_mpi(global, spec);
    case Engine::Local:
      break;
  }
  std::vector<std::string> words{"taskset", "--cpu-list",
                                 fmt::format("{}", fmt::join(processors_of_first_task(spec.cpus), ","))};
  words.insert(words.end(), spec.worker.begin(), spec.worker.end());
  return print_command(words);
}

}  // namespace graft::cli
