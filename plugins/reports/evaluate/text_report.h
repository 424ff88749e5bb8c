#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <metrics/metrics.h>
#include <metrics/multi_label.h>

namespace graft {

/// What is known of one learner; a part without labelled rows is missing.
struct LearnerMetrics {
  std::string learner;
  std::vector<std::string> classes;
  std::optional<metrics::Metrics> val, test;
};

struct MultiLabelLearner {
  std::string learner;
  std::optional<metrics::MultiLabelMetrics> val, test;
};

/// Lines for a terminal: one per learner, test first, and confusion matrices (of test, else of val) of
/// learners with at most `confusion_up_to` classes. Plain text, no colour; ends with a newline.
std::string text_report(const std::vector<LearnerMetrics>& all, std::size_t confusion_up_to);

/// A line per learner, test first.
std::string text_report(const std::vector<MultiLabelLearner>& all);

}  // namespace graft
