#include <learning/selection.h>

namespace graft::learning {

bool CandidateSelection::add(Value parameters, const std::optional<metrics::Score>& val) {
  if (val) {
    parameters["val_accuracy"] = val->accuracy;
    parameters["val_log_loss"] = val->log_loss;
  }
  path_.push(std::move(parameters));
  const bool first = size() == 1;
  if (!first && !(val && metrics::better(*val, best_score_, by_))) return false;
  best_ = size() - 1;
  best_score_ = val.value_or(metrics::Score());
  return true;
}

const char* chosen_on(bool has_val, std::size_t candidates) {
  return !has_val ? "nothing" : candidates == 1 ? "given" : "val";
}

void describe_choice(const char* chosen_on, std::size_t train_rows, std::size_t val_rows, Value& summary) {
  summary["chosen_on"] = chosen_on;
  summary["train_rows"] = static_cast<std::int64_t>(train_rows);
  summary["val_rows"] = static_cast<std::int64_t>(val_rows);
}

}  // namespace graft::learning
