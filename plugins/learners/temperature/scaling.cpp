#include "scaling.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <numeric/softmax.h>

namespace graft {
namespace {

constexpr double kClip = 0x1p-52;
constexpr int kMaxSteps = 200;
constexpr double kRelativeStep = 1e-12;

double logit(float p, bool multi_label) {
  const double clipped = std::clamp<double>(p, kClip, 1 - kClip);
  return multi_label ? std::log(clipped) - std::log1p(-clipped) : std::log(clipped);
}

bool has(const std::vector<std::int32_t>& labels, std::size_t c) {
  return std::find(labels.begin(), labels.end(), static_cast<std::int32_t>(c)) != labels.end();
}

/// First and second derivative of the summed log loss by beta = 1 / T.
struct Slope {
  double first = 0, second = 0;
};

Slope slope_at(double beta, const std::vector<double>& logits, std::size_t classes,
               const std::vector<std::vector<std::int32_t>>& labels, bool multi_label) {
  Slope sum;
  std::vector<double> weight(classes);
  for (std::size_t r = 0; r < labels.size(); ++r) {
    const double* z = logits.data() + r * classes;
    if (multi_label) {
      for (std::size_t c = 0; c < classes; ++c) {
        const double p = numeric::sigmoid(beta * z[c]);
        sum.first += (p - (has(labels[r], c) ? 1 : 0)) * z[c];
        sum.second += p * (1 - p) * z[c] * z[c];
      }
      continue;
    }
    const double top = *std::max_element(z, z + classes);
    double total = 0, mean = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      total += weight[c] = std::exp(beta * (z[c] - top));
      mean += weight[c] * z[c];
    }
    mean /= total;
    double spread = 0;
    for (std::size_t c = 0; c < classes; ++c) spread += weight[c] * (z[c] - mean) * (z[c] - mean);
    sum.first += mean - z[labels[r].front()];
    sum.second += spread / total;
  }
  return sum;
}

}  // namespace

void TemperatureScaling::apply(Scores& scores) const {
  if (temperature == 1) return;
  std::vector<double> z(scores.classes);
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const std::span<float> row(scores.row(r), scores.classes);
    for (std::size_t c = 0; c < z.size(); ++c) z[c] = logit(row[c], multi_label) / temperature;
    if (multi_label) {
      for (std::size_t c = 0; c < z.size(); ++c) row[c] = static_cast<float>(numeric::sigmoid(z[c]));
      continue;
    }
    const std::size_t winner = numeric::argmax(std::span<const float>(row));
    const double top = z[winner];
    double total = 0;
    for (double& v : z) total += v = std::exp(v - top);
    for (std::size_t c = 0; c < z.size(); ++c) row[c] = static_cast<float>(z[c] / total);
    // Two classes that were apart by a rounding error may have become equal; the winner stays the winner.
    const std::size_t now = numeric::argmax(std::span<const float>(row));
    if (now != winner) row[winner] = std::nextafter(row[now], 2.0F);
  }
}

double fit_temperature(const Scores& scores, const std::vector<std::vector<std::int32_t>>& labels,
                       bool multi_label) {
  std::vector<double> logits;
  logits.reserve(scores.values.size());
  for (const float p : scores.values) logits.push_back(logit(p, multi_label));
  const auto slope = [&](double beta) { return slope_at(beta, logits, scores.classes, labels, multi_label); };
  double low = 1 / kHighestTemperature, high = 1 / kLowestTemperature, beta = 1;
  if (slope(low).first >= 0) return kHighestTemperature;
  if (slope(high).first <= 0) return kLowestTemperature;
  for (int step = 0; step < kMaxSteps; ++step) {
    const Slope at = slope(beta);
    (at.first > 0 ? high : low) = beta;
    double next = at.second > 0 ? beta - at.first / at.second : low;
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (std::abs(next - beta) <= kRelativeStep * beta) return 1 / next;
    beta = next;
  }
  return 1 / beta;
}

}  // namespace graft
