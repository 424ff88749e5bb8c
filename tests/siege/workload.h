#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace graft::siege {

/// What a run leaves that must be the same however often it was disturbed: its files with their contents,
/// results.json without times and without what was computed or reused, and of the manifest the tables.
using Outcome = std::map<std::string, std::string>;

/// Of a complete run's folder, which another run may replace meanwhile; empty where there is none.
Outcome outcome_of(const std::filesystem::path& folder);
/// Names of the files that differ; empty: none.
std::string difference(const Outcome& got, const Outcome& wanted);

/// A config, and what an undisturbed run of it leaves.
struct Workload {
  std::string name;
  std::filesystem::path config;
  Outcome outcome;
  std::string table;     ///< Fingerprint of its table.
  std::string exported;  ///< The rows of the table in the order of the inputs, as .npy.
  std::uint64_t rows = 0;
  double seconds = 0;  ///< How long it took.
};

/// Makes images and configs in `folder`, some of which share tables: different sources, transforms, learners
/// and reports.
std::vector<Workload> make_workloads(const std::filesystem::path& folder);

}  // namespace graft::siege
