#include "slurm_jobs.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/subprocess.h>

#include "run/launch_files.h"

namespace graft::cli {

void require_program(const std::string& name, const char* package) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/bin:/bin" : path);
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((std::filesystem::path(folder) / name).c_str(), X_OK) == 0) return;
  throw Error(
      fmt::format("cannot start {}: no folder of PATH has it; on Debian: apt-get install {}", name, package));
}

std::string submit_slurm_job(const std::vector<std::string>& words) {
  require_program(words[0], kSlurmPackage);
  ProgramEnd end = run_to_end(words);
  while (end.err.ends_with('\n')) end.err.pop_back();
  // "17" or "17;cluster".
  std::string id = end.out.substr(0, end.out.find_first_of(";\n"));
  if (end.exit_code != 0 || id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
    throw Error(fmt::format("{} failed with exit code {}: {}", shell_command(words), end.exit_code,
                            end.err.empty() ? end.out : end.err));
  return id;
}

std::string cancel_slurm_job(const std::string& id) {
  try {
    if (run_to_end({"scancel", id}).exit_code == 0) return fmt::format("job {} was cancelled", id);
  } catch (const Error&) {  // it is not there
  }
  return fmt::format("job {} is still in the queue, cancel it with: scancel {}", id, id);
}

bool SlurmJob::has_ended() const {
  // States that lead to others; every other one is an end.
  constexpr std::array<std::string_view, 9> kOnTheWay = {"PENDING",    "CONFIGURING",  "RUNNING",
                                                         "COMPLETING", "SUSPENDED",    "STOPPED",
                                                         "REQUEUED",   "REQUEUE_HOLD", "RESIZING"};
  return std::find(kOnTheWay.begin(), kOnTheWay.end(), state) == kOnTheWay.end();
}

std::optional<SlurmJob> find_slurm_job(const std::string& name) {
  ProgramEnd end;
  try {
    end = run_to_end({"squeue", "--noheader", "--states=all", "--name=" + name, "--format=%i|%T|%N"});
  } catch (const Error&) {
    return {};
  }
  std::istringstream line(end.out.substr(0, end.out.find('\n')));
  SlurmJob job;
  if (end.exit_code != 0 || !std::getline(line, job.id, '|') || !std::getline(line, job.state, '|'))
    return {};
  std::getline(line, job.node);
  return job;
}

std::string what_became_of(const SlurmJob& job, int exit_code) {
  const std::string on = job.node.empty() ? "" : " on node " + job.node;
  const auto told = [&](const char* text) {
    return fmt::format("job {}{} {} ({})", job.id, on, text, job.state);
  };
  if (job.state == "FAILED" || job.state == "COMPLETED")
    return fmt::format("job {}{} failed with exit code {} ({}); its message is above", job.id, on, exit_code,
                       job.state);
  if (job.state == "CANCELLED") return told("was cancelled; start it again");
  if (job.state == "TIMEOUT") return told("ran into its time limit; give it more with --time");
  if (job.state == "OUT_OF_MEMORY")
    return told("needs more memory than it was given; give it more with --memory");
  if (job.state == "NODE_FAIL" || job.state == "BOOT_FAIL")
    return told("was lost with its node; start it again");
  if (job.state == "PREEMPTED")
    return told("had to make room for another job; start it again, or choose another --partition");
  return told("has ended without a result; start it again");
}

}  // namespace graft::cli
