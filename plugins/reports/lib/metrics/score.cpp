#include <metrics/score.h>

#include <algorithm>
#include <cmath>

namespace graft::metrics {
namespace {

double clipped(float probability) {
  constexpr double kClip = 0x1p-52;
  return std::clamp<double>(probability, kClip, 1 - kClip);
}

}  // namespace

void ScoreSum::add(std::span<const float> scores, std::span<const std::int32_t> labels, LabelMode mode) {
  ++rows_;
  if (mode == LabelMode::Single) {
    const auto truth = static_cast<std::size_t>(labels[0]);
    const auto guess =
        static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    double sum = 0;
    for (const float score : scores) sum += clipped(score);
    accuracy_ += guess == truth ? 1 : 0;
    log_loss_ += std::log(sum) - std::log(clipped(scores[truth]));
    return;
  }
  double loss = 0;
  bool right = true;
  for (std::size_t c = 0; c < scores.size(); ++c) {
    const bool is = std::find(labels.begin(), labels.end(), static_cast<std::int32_t>(c)) != labels.end();
    loss -= is ? std::log(clipped(scores[c])) : std::log1p(-clipped(scores[c]));
    right = right && (scores[c] >= kDecision) == is;
  }
  accuracy_ += right ? 1 : 0;
  log_loss_ += loss / static_cast<double>(scores.size());
}

ScoreSum& ScoreSum::operator+=(const ScoreSum& other) {
  accuracy_ += other.accuracy_;
  log_loss_ += other.log_loss_;
  rows_ += other.rows_;
  return *this;
}

Score ScoreSum::mean() const {
  const auto n = static_cast<double>(rows_);
  return {accuracy_ / n, log_loss_ / n};
}

bool better(const Score& a, const Score& b, Criterion by, double margin) {
  const bool lower_loss = a.log_loss < b.log_loss - margin;
  if (by == Criterion::LogLoss) return lower_loss;
  return a.accuracy > b.accuracy + margin || (a.accuracy == b.accuracy && lower_loss);
}

}  // namespace graft::metrics
