#pragma once

#include <string>
#include <vector>

#include "commands.h"
#include "config/plan.h"
#include "run/launch_files.h"

/// \file
/// What launch and bench-node share: the options that say on what machines tasks run.
namespace graft::cli {

/// In the order of kEngines.
enum class Engine { Local, Slurm, Kubernetes, Mpi };

/// The engine that the options name. Throws UsageError for another name, for an option that is of no use
/// with it, and for values that no engine takes.
Engine engine_of(const Global::Launch& launch);

/// Tasks, and processors of each: as given, or the defaults of the engine.
int tasks_of(const Global::Launch& launch);
int cpus_of(const Global::Launch& launch);

/// Whether --set gives a value to the key.
bool is_set(const Global& global, std::string_view key);

/// The options, with their defaults, for a config that the plan was read from. The words of the commands are
/// left empty, see command_words(). Throws UsageError.
LaunchSpec launch_spec(const Global& global, const Plan& plan);

/// `graft COMMAND CONFIG` with the options of this command line that concern what a task computes; its
/// threads are as many as the processors of the task, unless --set says otherwise.
std::vector<std::string> command_words(const Global& global, const char* command, const std::string& config,
                                       const LaunchSpec& spec);

/// What --dry-run prints: each file below its name, and with --json the document with all of them.
int print_files(const std::vector<LaunchFile>& files, Value document);

}  // namespace graft::cli
