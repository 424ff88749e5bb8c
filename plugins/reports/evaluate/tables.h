#pragma once

#include <map>
#include <string>
#include <vector>

#include <metrics/bootstrap.h>

#include "text_report.h"

namespace graft {

/// The learner that val chooses against another one, on the test inputs that both have scored.
struct PairedReport {
  std::string best, other;
  metrics::PairedDifference difference;
};

/// For results.json: what the scores of a part are made of, class by class and bin by bin.
Value details_of(const PartReport& part, const std::vector<std::string>& classes, metrics::LabelMode mode);
/// For results.json: {"paired": {BEST: {OTHER: {"n", "difference", "interval"}}}}; null where there is none.
Value to_value(const std::vector<PairedReport>& paired);

/// All of it as CSV files: scores.csv, classes.csv, confusion.csv, calibration.csv, paired.csv, each with a
/// line per value. Those without lines are left out.
std::map<std::string, std::string> csv_files(const std::vector<LearnerReport>& all,
                                             const std::vector<PairedReport>& paired);

}  // namespace graft
