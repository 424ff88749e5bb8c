#include <metrics/fit.h>

#include <algorithm>
#include <cmath>

namespace graft::metrics {
namespace {

double clipped(float probability) {
  constexpr double kClip = 0x1p-52;
  return std::clamp<double>(probability, kClip, 1 - kClip);
}

}  // namespace

Fit fit_of(std::span<const float> scores, std::span<const std::int32_t> labels, bool several) {
  if (!several) {
    const auto truth = static_cast<std::size_t>(labels[0]);
    const auto guess =
        static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    double sum = 0;
    for (const float score : scores) sum += clipped(score);
    return {guess == truth ? 1.0 : 0.0, std::log(sum) - std::log(clipped(scores[truth]))};
  }
  Fit fit{1, 0};
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const bool is = std::find(labels.begin(), labels.end(), static_cast<std::int32_t>(c)) != labels.end();
    fit.log_loss -= is ? std::log(clipped(scores[c])) : std::log1p(-clipped(scores[c]));
    if ((scores[c] >= 0.5F) != is) fit.accuracy = 0;
  }
  fit.log_loss /= static_cast<double>(scores.size());
  return fit;
}

}  // namespace graft::metrics
