#include "scaling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
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

/// Rounding and clipping make scores equal that were apart. Moves each by as few steps of a float as it
/// takes: what was higher stays higher, what was equal stays equal, and the decision of a label, at one half,
/// stays.
void keep_order(std::span<const float> before, std::span<float> after, bool multi_label) {
  constexpr float kHalf = 0.5F;
  std::vector<std::size_t> order(before.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return before[a] < before[b]; });
  // Upwards: the lowest that each may be. Then downwards from the highest that it may be.
  float least = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t c = order[i];
    if (i > 0) {
      const std::size_t lower = order[i - 1];
      least = before[lower] < before[c] ? std::nextafter(after[lower], 2.0F) : after[lower];
    }
    if (multi_label && before[c] >= kHalf) least = std::max(least, kHalf);
    const bool equal = i > 0 && before[order[i - 1]] == before[c];
    after[c] = equal ? least : std::max(after[c], least);
  }
  float most = 1;
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::size_t c = order[i];
    if (i + 1 < order.size()) {
      const std::size_t higher = order[i + 1];
      most = before[c] < before[higher] ? std::nextafter(after[higher], -1.0F) : after[higher];
    }
    if (multi_label && before[c] < kHalf) most = std::min(most, std::nextafter(kHalf, 0.0F));
    after[c] = std::min(after[c], most);
  }
}

}  // namespace

void TemperatureScaling::apply(Scores& scores) const {
  if (temperature == 1) return;
  std::vector<double> z(scores.classes);
  std::vector<float> before(scores.classes);
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const std::span<float> row(scores.row(r), scores.classes);
    std::copy(row.begin(), row.end(), before.begin());
    for (std::size_t c = 0; c < z.size(); ++c) z[c] = logit(row[c], multi_label) / temperature;
    if (multi_label) {
      for (std::size_t c = 0; c < z.size(); ++c) row[c] = static_cast<float>(numeric::sigmoid(z[c]));
    } else {
      const double top = *std::max_element(z.begin(), z.end());
      double total = 0;
      for (double& v : z) total += v = std::exp(v - top);
      for (std::size_t c = 0; c < z.size(); ++c) row[c] = static_cast<float>(z[c] / total);
    }
    keep_order(before, row, multi_label);
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
