#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>

#include "config/plan.h"

namespace graft {

/// What a launch asks for, and the words of the commands that it starts.
struct LaunchSpec {
  std::string name;                                              ///< Of the config.
  std::filesystem::path directory;                               ///< Where commands start; absolute.
  std::filesystem::path folder;                                  ///< Of the job in the store; absolute.
  std::vector<std::string> worker;                               ///< graft run CONFIG ..., without --shard.
  std::vector<std::string> merge;                                ///< graft run CONFIG --merge ...
  std::vector<std::pair<std::string, std::string>> environment;  ///< That a container must have, too.
  int tasks = 1, cpus = 1, gpus = 0;
  std::uint64_t memory = 0;                 ///< Bytes of each task; 0: the engine's default.
  std::string time;                         ///< slurm: as sbatch takes it; empty: that of the partition.
  std::vector<std::string> submit_options;  ///< slurm: further options of sbatch.
  std::string image, claim;                 ///< kubernetes.
};

struct LaunchFile {
  std::string name, content;
};

/// A word as a POSIX shell reads it back.
GRAFT_API std::string shell_quoted(const std::string& word);
GRAFT_API std::string shell_command(const std::vector<std::string>& words);
/// "0-2,5,7-9", as --array of sbatch takes it.
GRAFT_API std::string index_ranges(const std::vector<std::uint32_t>& indices);

/// Two scripts for sbatch: an array job with the tasks `indices`, and the job that merges; the latter is
/// submitted with --dependency=afterany:ID of the former, so that it also runs, and names what is missing,
/// when a task was lost. Tasks can be requeued, and get SIGTERM 60 s before their time ends.
GRAFT_API std::vector<LaunchFile> slurm_files(const LaunchSpec& spec,
                                              const std::vector<std::uint32_t>& indices);

/// An Indexed Job with retries of single indices, a suspended Job that merges, and the Dockerfile of the
/// image, made of the Debian packages.
GRAFT_API std::vector<LaunchFile> kubernetes_files(const LaunchSpec& spec);

/// A script for a machine or an allocation that has mpirun; its comment has the line of srun.
GRAFT_API std::vector<LaunchFile> mpi_files(const LaunchSpec& spec);

/// What runs `spec.worker` once, and waits for it, on a node such as tasks get: the words of srun, those of
/// mpirun, and a Job of Kubernetes, which tells its pod the name of the node.
GRAFT_API std::vector<std::string> slurm_bench_command(const LaunchSpec& spec, const std::string& job_name);
GRAFT_API std::vector<std::string> mpi_bench_command(const LaunchSpec& spec);
GRAFT_API LaunchFile kubernetes_bench_file(const LaunchSpec& spec);

}  // namespace graft
