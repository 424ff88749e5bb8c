#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/printable.h>
#include <graft/subprocess.h>
#include <graft/text.h>

#include "config/quantity.h"
#include "config_command.h"
#include "local_tasks.h"
#include "output.h"
#include "run/job.h"
#include "run/job_status.h"
#include "run/launch_files.h"
#include "run/progress.h"
#include "run/stream_run.h"
#include "run_command.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

enum class Engine { Local, Slurm, Kubernetes, Mpi };

Engine engine_from(const std::string& name) {
  const auto at = std::find(std::begin(kEngines), std::end(kEngines), name);
  if (at == std::end(kEngines)) {
    const auto near = nearest(name, {std::begin(kEngines), std::end(kEngines)});
    throw UsageError{fmt::format("--engine: '{}' is not allowed here{} (allowed: {})", name,
                                 near ? fmt::format("; did you mean '{}'?", *near) : "",
                                 fmt::join(kEngines, ", "))};
  }
  return static_cast<Engine>(at - std::begin(kEngines));
}

/// Options that mean something to some engines alone: given to another one they are a mistake.
void check_options(const Global::Launch& launch, Engine engine) {
  const auto only = [&](const char* option, bool given, std::initializer_list<Engine> engines) {
    if (!given || std::find(engines.begin(), engines.end(), engine) != engines.end()) return;
    std::vector<std::string> names;
    for (const Engine e : engines) names.emplace_back(kEngines[static_cast<std::size_t>(e)]);
    throw UsageError{fmt::format("--{}: of no use with --engine {} (it is for {})", option, launch.engine,
                                 fmt::join(names, ", "))};
  };
  for (const auto& [name, given] :
       {std::pair("time", !launch.time.empty()), std::pair("partition", !launch.partition.empty()),
        std::pair("account", !launch.account.empty()), std::pair("constraint", !launch.constraint.empty()),
        std::pair("submit-option", !launch.submit_options.empty())})
    only(name, given, {Engine::Slurm});
  only("gpus", launch.gpus != 0, {Engine::Slurm, Engine::Kubernetes});
  only("memory", !launch.memory.empty(), {Engine::Slurm, Engine::Kubernetes});
  only("image", launch.image != "graft", {Engine::Kubernetes});
  only("claim", launch.claim != "graft", {Engine::Kubernetes});
  const auto count = [](const char* option, int n) {
    if (n < 0) throw UsageError{fmt::format("--{}: expected a positive number, got {}", option, n)};
  };
  count("tasks", launch.tasks);
  count("cpus", launch.cpus);
  count("gpus", launch.gpus);
  if (launch.tasks > static_cast<int>(kSlots))
    throw UsageError{fmt::format("--tasks: expected 1 to {}, got {}", kSlots, launch.tasks)};
  if (engine != Engine::Local && launch.tasks == 0)
    throw UsageError{"--tasks is missing: how many processes"};
  // A line of a script, and words of a shell: what is no such word is a mistake.
  for (const std::string* text : {&launch.time, &launch.partition, &launch.account, &launch.constraint})
    if (text->find_first_of(" \t\n'\"\\`$;") != std::string::npos)
      throw UsageError{fmt::format("'{}': expected a word without blanks and quotes", *text)};
  for (const std::string& option : launch.submit_options)
    if (!option.starts_with('-') || option.find('\n') != std::string::npos)
      throw UsageError{
          fmt::format("--submit-option: expected an option of sbatch such as --qos=low, got '{}'", option)};
}

/// `graft run CONFIG` with the options of this command line that concern the run.
std::vector<std::string> run_words(const Global& global, const fs::path& config, int cpus) {
  std::vector<std::string> words{fs::read_symlink("/proc/self/exe").string(), "run", config.string(),
                                 "--store", fs::absolute(global.store).lexically_normal().string()};
  const auto given = [&](std::string_view start) {
    return std::any_of(global.overrides.begin(), global.overrides.end(),
                       [&](const std::string& set) { return set.starts_with(start); });
  };
  if (!given("run.threads=")) words.insert(words.end(), {"--set", fmt::format("run.threads={}", cpus)});
  for (const std::string& set : global.overrides) words.insert(words.end(), {"--set", set});
  for (const std::string& folder : global.plugin_dirs)
    words.insert(words.end(), {"--plugin-dir", fs::absolute(folder).string()});
  if (global.log_level != "info") words.insert(words.end(), {"--log-level", global.log_level});
  return words;
}

std::vector<std::string> merge_words(const Global& global, std::vector<std::string> words) {
  words.emplace_back("--merge");
  if (!global.out.empty())
    words.insert(words.end(), {"--out", fs::absolute(global.out).lexically_normal().string()});
  if (global.quiet) words.emplace_back("--quiet");
  return words;
}

/// Variables that configs are written with.
std::vector<std::pair<std::string, std::string>> graft_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    if (text.starts_with("GRAFT_") && equals != std::string_view::npos && !text.starts_with("GRAFT_TASKS="))
      out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// The shards that lack rows.
std::vector<std::uint32_t> shards_to_run(const Plan& plan, Registry& registry, const Global& global,
                                         int tasks) {
  StageFactory factory(plan, registry, [](const std::string&) {});  // the runs say it
  DigestMemo memo(global.store / "digests.memo");
  Meter meter(plan.stages.size());
  const std::atomic<bool> never{false};
  SlotSet missing;
  for (const std::size_t source : plan.stages_of(StageKind::Source)) {
    StreamRun stream(plan, source, global.store, memo, factory, meter, never, MissingRows::Refuse);
    missing |= stream.find_missing().slots;
  }
  std::vector<std::uint32_t> out;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(tasks); ++i)
    if ((WorkShard{i, static_cast<std::uint32_t>(tasks)}.slots() & missing).any()) out.push_back(i);
  return out;
}

Value document_of(const std::string& engine, const LaunchSpec& spec,
                  const std::vector<std::uint32_t>& indices) {
  Value out = Value::map();
  out["engine"] = engine;
  out["job"] = spec.name;
  out["tasks"] = spec.tasks;
  out["shards"] = index_ranges(indices);
  return out;
}

constexpr const char* kNothingMissing = "every input has its row or its reject: nothing to compute\n";

int print_files(const std::vector<LaunchFile>& files, Value document) {
  document["files"] = Value::map();
  for (const LaunchFile& file : files) {
    document["files"][file.name] = file.content;
    say("# {}\n{}\n", file.name, file.content);
  }
  print_document(document);
  return kOk;
}

fs::path write_files(const LaunchSpec& spec, const char* engine, const std::vector<LaunchFile>& files) {
  fs::path folder = spec.folder / engine;
  make_folders(folder);
  for (const LaunchFile& file : files) write_file_atomically(folder / file.name, file.content);
  return folder;
}

/// The id of the job that sbatch has made: "17" or "17;cluster".
std::string submit(const std::vector<std::string>& words) {
  ProgramEnd end = run_to_end(words);
  while (end.err.ends_with('\n')) end.err.pop_back();
  std::string id = end.out.substr(0, end.out.find_first_of(";\n"));
  if (end.exit_code != 0 || id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
    throw Error(fmt::format("{} failed with exit code {}: {}", shell_command(words), end.exit_code,
                            end.err.empty() ? end.out : end.err));
  return id;
}

/// Takes a job out of the queue; what became of it, in words.
std::string cancel(const std::string& id) {
  try {
    if (run_to_end({"scancel", id}).exit_code == 0) return fmt::format("job {} was cancelled", id);
  } catch (const Error&) {  // it is not there
  }
  return fmt::format("job {} is still in the queue, cancel it with: scancel {}", id, id);
}

int launch_slurm(const LaunchSpec& spec, const std::vector<std::uint32_t>& indices, Value document) {
  const std::vector<LaunchFile> files = slurm_files(spec, indices);
  const fs::path folder = write_files(spec, "slurm", files);
  std::string array;
  if (!indices.empty()) {
    array = submit({"sbatch", "--parsable", (folder / "array.sh").string()});
    say("submitted job {}: shards {} of {}\n", array, index_ranges(indices), spec.tasks);
    document["array_job"] = array;
  } else {
    say("{}", kNothingMissing);
  }
  std::vector<std::string> merge{"sbatch", "--parsable"};
  if (!array.empty()) merge.push_back("--dependency=afterany:" + array);
  merge.push_back((folder / "merge.sh").string());
  std::string id;
  try {
    id = submit(merge);
  } catch (const Error& e) {
    if (array.empty()) throw;
    throw Error(fmt::format("{}; {}", e.what(), cancel(array)));
  }
  document["merge_job"] = id;
  say("submitted job {}, which merges, trains and evaluates when they have ended\n"
      "logs are in {}; graft status {} shows how far they are\n",
      id, printable((spec.folder / "logs").string()), spec.name);
  print_document(document);
  return kOk;
}

/// The workers of others that are at their slots, as "the worker of shard 0/2 on n1 (process 17)".
std::vector<std::string> workers_at_work(const JobStatus& job) {
  std::vector<std::string> out;
  for (const JobStatus::Worker& w : job.workers)
    if (w.outlook.state == WorkerOutlook::State::Running)
      out.push_back(fmt::format("the worker of shard {} on {} (process {})", w.record.shard.text(),
                                w.record.host, w.record.pid));
  return out;
}

/// Waits while workers that others have started are at slots of the job: their rows are missing until then.
/// Whether there were any.
bool wait_for_others(const Global& global, const LaunchSpec& spec, LogLevel level, const Signals& signals,
                     const std::function<void()>& show) {
  std::vector<std::string> known;
  for (bool waited = false;; waited = true) {
    const std::vector<std::string> others = workers_at_work(job_status(global.store, spec.name));
    if (others.empty()) return waited;
    if (others != known && level >= LogLevel::Info)
      print_error("waiting for {}\n", printable(joined(others)));
    known = others;
    for (int i = 0; i < 5 && !signals.interrupted(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      show();
    }
    if (signals.interrupted()) return waited;
  }
}

int launch_local(const Global& global, const LaunchSpec& spec, std::vector<std::uint32_t> indices,
                 Value document, const std::function<std::vector<std::uint32_t>()>& find_missing) {
  const Signals signals;
  const RunOptions style = prepare_to_run(global);
  using Clock = std::chrono::steady_clock;
  Clock::time_point last = Clock::now();
  const auto show = [&] {
    const std::chrono::seconds interval(style.style.terminal ? 2 : 10);
    if (style.style.level < LogLevel::Info || Clock::now() - last < interval) return;
    last = Clock::now();
    try {
      const std::string text = to_text(job_status(global.store, spec.name));
      print_error("{}", text.substr(0, text.find('\n') + 1));
    } catch (const Error& e) {  // the next one may be read; workers report what fails for good
      if (style.style.level >= LogLevel::Debug) print_error("status not known: {}\n", e.what());
    }
  };
  int restarts = 0;
  for (bool again = true; again && !signals.interrupted();) {
    LocalEnd end;
    const std::size_t started = indices.size();
    if (started > 0) {
      if (style.style.level >= LogLevel::Info)
        print_error("starting {}, {} each: shards {} of {}\n", plural(started, "worker"),
                    plural(static_cast<std::size_t>(spec.cpus), "processor"), index_ranges(indices),
                    spec.tasks);
      end =
          run_local_tasks({spec.worker, spec.tasks, indices, spec.cpus, spec.folder / "logs"}, signals, show);
      restarts += end.restarts;
    }
    if (signals.interrupted()) break;
    again = wait_for_others(global, spec, style.style.level, signals, show);
    if (signals.interrupted()) break;
    if (again || !end.failures.empty()) indices = find_missing();
    if (!end.failures.empty()) {
      for (const std::string& failure : end.failures) print_error("warning: {}\n", failure);
      // Others may have done its work.
      if (!indices.empty())
        throw Error(fmt::format("{} of {} failed, and their work is not done: {}", end.failures.size(),
                                plural(started, "worker"), end.failures.front()));
    }
    // Those who were waited for may have ended before their work was done.
    again = again && !indices.empty();
  }
  if (signals.interrupted()) {
    document["exit_code"] = signals.exit_code();
    print_document(document);
    if (!global.json)
      print_error("interrupted; what was finished is saved\nresume with: {}\n", printable(global.program));
    return signals.exit_code();
  }
  std::vector<std::string> merge = spec.merge;
  if (!global.json) {
    // It takes this process's place, with its terminal and its signals.
    std::fflush(nullptr);
    std::vector<char*> argv;
    for (const std::string& word : merge) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    throw Error(file_error("start", merge[0], errno));
  }
  merge.emplace_back("--json");
  const ProgramEnd merged = run_to_end(merge);
  document["restarts"] = restarts;
  document["run"] = Value::from_json(merged.out);
  print_document(document);
  print_error("{}", merged.err);
  return merged.exit_code;
}

}  // namespace

int launch(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "CONFIG");
  const Global::Launch& given = global.launch;
  const Engine engine = engine_from(given.engine);
  check_options(given, engine);
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;

  const std::vector<int> processors = usable_processors();
  LaunchSpec spec;
  spec.name = plan->name;
  spec.directory = fs::current_path();
  spec.folder = fs::absolute(JobFolder(global.store, plan->name).path()).lexically_normal();
  spec.tasks = given.tasks > 0 ? given.tasks : numa_nodes();
  spec.cpus = given.cpus > 0            ? given.cpus
              : engine == Engine::Local ? std::max(1, static_cast<int>(processors.size()) / spec.tasks)
                                        : 1;
  spec.gpus = given.gpus;
  try {
    if (!given.memory.empty()) spec.memory = parse_bytes(given.memory);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--memory: {}", e.what())};
  }
  spec.time = given.time;
  for (const auto& [name, value] :
       {std::pair("partition", &given.partition), std::pair("account", &given.account),
        std::pair("constraint", &given.constraint)})
    if (!value->empty()) spec.submit_options.push_back(fmt::format("--{}={}", name, *value));
  spec.submit_options.insert(spec.submit_options.end(), given.submit_options.begin(),
                             given.submit_options.end());
  spec.image = given.image;
  spec.claim = given.claim;
  spec.environment = graft_environment();
  spec.worker = run_words(global, fs::absolute(path).lexically_normal(), spec.cpus);
  spec.merge = merge_words(global, spec.worker);
  if (engine == Engine::Kubernetes) spec.worker[0] = spec.merge[0] = "graft";

  if (!global.dry_run) {
    make_folders(global.store, "choose another folder with --store");
    DigestMemo memo(global.store / "digests.memo");
    if (given.restart)
      restart_job(*plan, global.store, memo);
    else
      join_job(*plan, global.store, memo);
  }
  // Who runs elsewhere may see other files: there, every shard looks for itself what is missing.
  std::vector<std::uint32_t> indices;
  if (engine == Engine::Local || engine == Engine::Slurm)
    indices = shards_to_run(*plan, registry, global, spec.tasks);
  Value document = document_of(given.engine, spec, indices);
  if (global.dry_run && indices.empty() && (engine == Engine::Local || engine == Engine::Slurm))
    say("# {}", kNothingMissing);
  switch (engine) {
    case Engine::Slurm:
      if (global.dry_run) return print_files(slurm_files(spec, indices), document);
      return launch_slurm(spec, indices, document);
    case Engine::Kubernetes:
    case Engine::Mpi: {
      const auto files = engine == Engine::Mpi ? mpi_files(spec) : kubernetes_files(spec);
      if (global.dry_run) return print_files(files, document);
      const fs::path folder = write_files(spec, given.engine.c_str(), files);
      document["folder"] = folder.string();
      print_document(document);
      if (engine == Engine::Mpi)
        say("start with: sh {}\n", printable((folder / "mpi.sh").string()));
      else
        say("build the image by {}; start with: kubectl apply -f {} (its last lines have the merge)\n",
            printable((folder / "Dockerfile").string()), printable((folder / "job.yaml").string()));
      return kOk;
    }
    case Engine::Local:
      break;
  }
  if (!global.dry_run)
    return launch_local(global, spec, indices, document,
                        [&] { return shards_to_run(*plan, registry, global, spec.tasks); });
  std::string lines;
  for (const std::uint32_t i : indices) {
    std::vector<std::string> words = spec.worker;
    words.insert(words.end(), {"--shard", fmt::format("{}/{}", i, spec.tasks)});
    lines += shell_command(words) + "\n";
  }
  return print_files({{"commands", lines + shell_command(spec.merge) + "\n"}}, document);
}

}  // namespace graft::cli
