#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/value.h>

#include "run/left_run.h"

namespace graft {

/// Two learners on the test inputs that both have scored, with the same label.
struct GRAFT_API PairedResult {
  std::string first, second;  ///< Learners: of each run the best on val.
  std::uint64_t inputs = 0, both_right = 0, only_first = 0, only_second = 0;

  /// Accuracy of the second less that of the first.
  double difference() const;
  /// 95 %, after adding half an input to each of the four counts (Agresti and Min 2005, Statistics in
  /// Medicine 24:729).
  std::pair<double, double> interval() const;
  /// That the two are right equally often: the exact test of McNemar (1947), two-sided.
  double p_value() const;
};

/// Complete runs side by side: the others against the first.
struct RunComparison {
  struct Other {
    RunDifference difference;
    std::optional<PairedResult> paired;
    std::string not_paired;  ///< Why, where they are not.
  };
  struct LearnerScores {
    std::size_t run = 0;
    std::string learner;
    std::vector<LeftRun::Score> scores;  ///< On test; of a learner without test rows, on val.
  };
  std::vector<LeftRun> runs;
  std::vector<LearnerScores> learners;
  std::vector<Other> others;  ///< One per run after the first.
};

/// At least two folders of complete runs. Throws Error.
GRAFT_API RunComparison compare_runs(const std::vector<std::filesystem::path>& folders,
                                     const Registry& registry);
GRAFT_API Value to_value(const RunComparison& comparison);
/// For a terminal of this many columns; 0: as many as needed.
GRAFT_API std::string to_text(const RunComparison& comparison, std::size_t columns);
/// One HTML file that loads nothing.
GRAFT_API std::string to_html(const RunComparison& comparison);

/// "On 40 test inputs that both have scored, ..." as a sentence.
GRAFT_API std::string in_words(const PairedResult& paired);

}  // namespace graft
