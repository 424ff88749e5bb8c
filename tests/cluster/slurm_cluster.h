#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "program.h"

namespace graft::test {

/// A real Slurm of four nodes with one processor each, all of them on this machine, with a munged of its own:
/// nothing of the system's is touched. As root.
class SlurmCluster {
 public:
  static constexpr int kNodes = 4;

  /// Why it cannot run here; empty: it can.
  static std::string why_not();
  /// Starts it and waits until every node is idle. Throws std::runtime_error.
  SlurmCluster();
  ~SlurmCluster();
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;

  /// For programs that talk to it.
  std::vector<std::string> environment() const { return {"SLURM_CONF=" + conf()}; }
  /// What a command of Slurm prints; throws std::runtime_error when it fails.
  std::string run(const std::string& command) const;
  /// Ids and states of jobs that have not ended: "17_3" -> "RUNNING".
  std::map<std::string, std::string> jobs() const;
  void kill_node(int node) const;
  void start_node(int node) const;

 private:
  std::string conf() const { return folder_ / "slurm.conf"; }
  pid_t pid_in(const std::string& file) const;
  void stop() const;

  TempFolder folder_;
};

}  // namespace graft::test
