#pragma once

#include <optional>
#include <string>
#include <vector>

/// \file
/// Jobs of Slurm, by its own commands.
namespace graft::cli {

/// Debian's package with sbatch, srun, squeue and scancel.
inline constexpr const char* kSlurmPackage = "slurm-client";

/// Throws Error, with the package to install, where no folder of PATH has the program.
void require_program(const std::string& name, const char* package);

/// Submits by `words`, which begin with sbatch --parsable; the id of the job. Throws Error with what sbatch
/// says.
std::string submit_slurm_job(const std::vector<std::string>& words);

/// Takes a job out of the queue; what became of it, in words.
std::string cancel_slurm_job(const std::string& id);

struct SlurmJob {
  std::string id;
  std::string state;  ///< As Slurm writes it: PENDING, RUNNING, TIMEOUT, ...
  std::string node;   ///< Empty before it has one.

  bool has_ended() const;
};

/// The job of this name, also for some minutes after its end; nothing where there is none, or Slurm does not
/// answer.
std::optional<SlurmJob> find_slurm_job(const std::string& name);

/// How a job that has not done its work has ended, and the cure.
std::string what_became_of(const SlurmJob& job, int exit_code);

}  // namespace graft::cli
