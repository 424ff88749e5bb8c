#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "run/sweep.h"

namespace graft {

/// A line for every combination and learner: what was varied, scores on val, cost. The scores are those of
/// the summary, and the one by which the best is chosen, where any learner has them. `columns`: of the
/// terminal.
std::string sweep_table(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs,
                        const std::optional<SweepBest>& best, std::size_t columns);
/// The same for other programs, with every score that any learner has; files with their bytes.
std::string sweep_csv(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs);
/// The same as data, and what is best, with its scores on test.
Value sweep_json(const std::string& name, const std::vector<FigureSpec>& specs,
                 const std::vector<SweepRow>& rows, const std::optional<SweepBest>& best);
/// What is best, in words; `config`: the file that repeats it.
std::string best_in_words(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs,
                          const SweepBest& best, const std::filesystem::path& config);

}  // namespace graft
