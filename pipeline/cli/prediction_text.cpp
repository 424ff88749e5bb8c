#include "prediction_text.h"

#include <algorithm>
#include <numeric>

namespace graft::cli {

std::vector<std::size_t> predicted_classes(std::span<const float> scores, bool multi_label,
                                           std::optional<double> threshold) {
  std::vector<std::size_t> out;
  if (multi_label) {
    for (std::size_t c = 0; c < scores.size(); ++c)
      if (scores[c] >= threshold.value_or(0.5)) out.push_back(c);
  } else if (!scores.empty()) {
    const auto best = std::max_element(scores.begin(), scores.end());
    if (*best >= threshold.value_or(0)) out.push_back(static_cast<std::size_t>(best - scores.begin()));
  }
  return out;
}

std::vector<std::size_t> best_classes(std::span<const float> scores, std::size_t count) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(count, order.size()));
  return order;
}

Value prediction_value(std::string_view key, std::span<const float> scores, const StoredReject* reject,
                       const PredictionView& view) {
  Value v = Value::map();
  v["key"] = std::string(key);
  if (reject != nullptr) {
    v["rejected"]["stage"] = reject->stage;
    v["rejected"]["code"] = reject->code;
    v["rejected"]["reason"] = reject->text;
    return v;
  }
  v["predicted"] = Value::list();
  for (const std::size_t c : predicted_classes(scores, view.multi_label, view.threshold))
    v["predicted"].push(view.classes[c]);
  v["scores"] = Value::map();
  for (const std::size_t c : best_classes(scores, view.top == 0 ? scores.size() : view.top))
    v["scores"][view.classes[c]] = static_cast<double>(scores[c]);
  return v;
}

}  // namespace graft::cli
