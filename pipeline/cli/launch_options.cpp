#include "launch_options.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "config/quantity.h"
#include "local_tasks.h"
#include "output.h"
#include "store/job_folder.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

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

/// Variables that configs are written with.
std::vector<std::pair<std::string, std::string>> graft_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    if (text.starts_with("GRAFT_") && equals != std::string_view::npos && !text.starts_with("GRAFT_TASKS=") &&
        !text.starts_with("GRAFT_NODE="))
      out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Engine engine_of(const Global::Launch& launch) {
  const Engine engine = engine_from(launch.engine);
  check_options(launch, engine);
  return engine;
}

int tasks_of(const Global::Launch& launch) {
  return launch.tasks > 0 ? launch.tasks : numa_nodes();
}

int cpus_of(const Global::Launch& launch) {
  if (launch.cpus > 0) return launch.cpus;
  if (engine_from(launch.engine) != Engine::Local) return 1;
  return std::max(1, static_cast<int>(usable_processors().size()) / tasks_of(launch));
}

bool is_set(const Global& global, std::string_view key) {
  return std::any_of(global.overrides.begin(), global.overrides.end(), [&](const std::string& set) {
    return set.starts_with(key) && set.substr(key.size()).starts_with('=');
  });
}

LaunchSpec launch_spec(const Global& global, const Plan& plan) {
  const Global::Launch& given = global.launch;
  LaunchSpec spec;
  spec.name = plan.name;
  spec.directory = fs::current_path();
  spec.folder = fs::absolute(JobFolder(global.store, plan.name).path()).lexically_normal();
  spec.tasks = tasks_of(given);
  spec.cpus = cpus_of(given);
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
  return spec;
}

std::vector<std::string> command_words(const Global& global, const char* command, const std::string& config,
                                       const LaunchSpec& spec) {
  const bool in_image = global.launch.engine == kEngines[static_cast<std::size_t>(Engine::Kubernetes)];
  std::vector<std::string> words{in_image ? "graft" : fs::read_symlink("/proc/self/exe").string(), command,
                                 fs::absolute(config).lexically_normal().string(), "--store",
                                 fs::absolute(global.store).lexically_normal().string()};
  if (!is_set(global, "run.threads"))
    words.insert(words.end(), {"--set", fmt::format("run.threads={}", spec.cpus)});
  for (const std::string& set : global.overrides) words.insert(words.end(), {"--set", set});
  for (const std::string& folder : global.plugin_dirs)
    words.insert(words.end(), {"--plugin-dir", fs::absolute(folder).string()});
  if (global.log_level != "info") words.insert(words.end(), {"--log-level", global.log_level});
  return words;
}

int print_files(const std::vector<LaunchFile>& files, Value document) {
  document["files"] = Value::map();
  for (const LaunchFile& file : files) {
    document["files"][file.name] = file.content;
    say("# {}\n{}\n", file.name, file.content);
  }
  print_document(document);
  return kOk;
}

}  // namespace graft::cli
