#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>
#include <graft/subprocess.h>
#include <graft/text.h>

#include "config_command.h"
#include "job_wait.h"
#include "launch_options.h"
#include "local_tasks.h"
#include "output.h"
#include "run/job.h"
#include "run/job_status.h"
#include "run/launch_files.h"
#include "run/progress.h"
#include "run/stream_run.h"
#include "run_command.h"
#include "slurm_jobs.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> merge_words(const Global& global, std::vector<std::string> words) {
  words.emplace_back("--merge");
  if (!global.out.empty())
    words.insert(words.end(), {"--out", fs::absolute(global.out).lexically_normal().string()});
  if (global.quiet) words.emplace_back("--quiet");
  return words;
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

fs::path write_files(const LaunchSpec& spec, const std::string& name, const std::vector<LaunchFile>& files) {
  fs::path folder = spec.folder / name;
  make_folders(folder);
  for (const LaunchFile& file : files) write_file_atomically(folder / file.name, file.content);
  return folder;
}

int launch_slurm(const LaunchSpec& spec, const std::vector<std::uint32_t>& indices, Value document) {
  const std::vector<LaunchFile> files = slurm_files(spec, indices);
  // Another launch of the job may be at the same point: what sbatch reads must be of this one.
  std::random_device random;
  const fs::path folder = write_files(spec, fmt::format("slurm/{:08x}", random()), files);
  std::string array;
  if (!indices.empty()) {
    array = submit_slurm_job({"sbatch", "--parsable", (folder / "array.sh").string()});
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
    id = submit_slurm_job(merge);
  } catch (const Error& e) {
    if (array.empty()) throw;
    throw Error(fmt::format("{}; {}", e.what(), cancel_slurm_job(array)));
  }
  document["merge_job"] = id;
  say("submitted job {}, which merges, trains and evaluates when they have ended\n"
      "logs are in {}; graft status {} shows how far they are\n",
      id, printable((spec.folder / "logs").string()), spec.name);
  print_document(document);
  return kOk;
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
    again = wait_for_workers(global.store, spec.name, style.style.level, signals, show);
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
  const Engine engine = engine_of(given);
  Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, path, registry);
  if (!plan) return kUsage;

  LaunchSpec spec = launch_spec(global, *plan);
  spec.worker = command_words(global, "run", path, spec);
  spec.merge = merge_words(global, spec.worker);

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
      const fs::path folder = write_files(spec, given.engine, files);
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
