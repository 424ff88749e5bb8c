#pragma once

#include <string>
#include <vector>

#include <graft/learner.h>

namespace graft {

/// What is compared of a set of predictions.
struct Figures {
  std::size_t n = 0;
  double accuracy = 0;
  double balanced = 0;  ///< Balanced accuracy; mean average precision of multi-label predictions.
  double log_loss = 0;
  std::vector<std::string> keys;  ///< Of the labelled items.
  std::vector<double> correct;    ///< 1 or 0 for each of them; exactly right for multi-label ones.
};

/// Of the labelled items of a part; n is 0 where there are none. Throws as labelled() does.
Figures figures(const Predictions& of, const Predictions::Part& part, const char* name);

/// Mean, and standard deviation with n - 1. NaN of no values; of one value, the deviation is.
struct Spread {
  double mean = 0, deviation = 0;
};
Spread spread(const std::vector<double>& values);

}  // namespace graft
