#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "run/sweep.h"

namespace graft {

/// A line for every combination and learner: what was varied, figures on val, cost.
std::string sweep_table(const std::vector<SweepRow>& rows, const std::optional<SweepBest>& best);
/// The same for other programs; files with their bytes.
std::string sweep_csv(const std::vector<SweepRow>& rows);
/// The same as data, and what is best, with its figures on test.
Value sweep_json(const std::string& name, const std::string& metric, const std::vector<SweepRow>& rows,
                 const std::optional<SweepBest>& best);
/// What is best, in words; `config`: the file that repeats it.
std::string best_in_words(const std::vector<SweepRow>& rows, const SweepBest& best, const std::string& metric,
                          const std::filesystem::path& config);

}  // namespace graft
