#include <metrics/sample.h>

#include <algorithm>
#include <numeric>

namespace graft::metrics {
namespace {

double quotient(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double ClassCounts::precision() const {
  return quotient(hits, predicted);
}
double ClassCounts::recall() const {
  return quotient(hits, support);
}
double ClassCounts::f1() const {
  return quotient(2 * hits, predicted + support);
}

ScoredRows::ScoredRows(Scores scores, std::vector<std::vector<std::int32_t>> labels, LabelMode mode)
    : scores_(std::move(scores)), labels_(std::move(labels)), mode_(mode) {
  for (std::size_t r = 0; r < rows(); ++r) {
    const std::span<const float> row = this->scores(r);
    ScoreSum sum;
    sum.add(row, labels_[r], mode_);
    score_.push_back(sum.mean());
    if (mode_ == LabelMode::Single)
      predicted_.push_back(
          static_cast<std::uint32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
}

ScoredRows::ScoredRows(Labelled rows, LabelMode mode)
    : ScoredRows(std::move(rows.scores), std::move(rows.labels), mode) {
  improper_ = std::move(rows.improper);
  has_order_ = rows.has_order;
}

bool ScoredRows::has_label(std::size_t row, std::size_t c) const {
  const auto& own = labels_[row];
  return std::find(own.begin(), own.end(), static_cast<std::int32_t>(c)) != own.end();
}

std::vector<std::uint32_t> ScoredRows::ranking(std::size_t c) const {
  if (!rankings_.empty()) return rankings_[c];
  std::vector<std::uint32_t> order(rows());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return scores_.row(a)[c] > scores_.row(b)[c]; });
  return order;
}

void ScoredRows::keep_rankings() {
  std::vector<std::vector<std::uint32_t>> all;
  for (std::size_t c = 0; c < classes(); ++c) all.push_back(ranking(c));
  rankings_ = std::move(all);
}

Sample::Sample(const ScoredRows& rows, std::vector<std::uint32_t> times)
    : rows_(rows), times_(std::move(times)), per_class_(rows.classes()) {
  for (std::size_t r = 0; r < rows_.rows(); ++r) {
    const std::uint32_t t = times_[r];
    n_ += t;
    if (rows_.mode() == LabelMode::Single) {
      const std::uint32_t truth = rows_.truth(r), predicted = rows_.predicted(r);
      per_class_[truth].support += t;
      per_class_[predicted].predicted += t;
      if (truth == predicted) per_class_[truth].hits += t;
      continue;
    }
    for (const std::int32_t label : rows_.labels(r)) {
      ClassCounts& own = per_class_[static_cast<std::size_t>(label)];
      own.support += t;
      if (rows_.scores(r)[static_cast<std::size_t>(label)] >= kDecision) own.hits += t;
    }
    for (std::size_t c = 0; c < rows_.classes(); ++c)
      if (rows_.scores(r)[c] >= kDecision) per_class_[c].predicted += t;
  }
}

ClassRanking Sample::rank(std::size_t c) const {
  ClassRanking out;
  const auto positives = static_cast<double>(per_class_[c].support);
  const auto negatives = static_cast<double>(n_ - per_class_[c].support);
  if (positives == 0) return out;
  // Rows of one score are taken together.
  double seen = 0, hits = 0, hits_before = 0, pairs = 0;
  const std::vector<std::uint32_t> order = rows_.ranking(c);
  for (std::size_t i = 0; i < order.size();) {
    const float score = rows_.scores(order[i])[c];
    double others = 0;
    for (; i < order.size() && rows_.scores(order[i])[c] == score; ++i) {
      const double t = times_[order[i]];
      seen += t;
      (rows_.has_label(order[i], c) ? hits : others) += t;
    }
    if (seen == 0) continue;
    pairs += others * (hits_before + (hits - hits_before) / 2);
    out.average_precision += (hits - hits_before) / positives * hits / seen;
    hits_before = hits;
  }
  out.has_both = negatives > 0;
  if (out.has_both) out.roc_auc = pairs / (positives * negatives);
  return out;
}

const std::vector<ClassRanking>& Sample::per_class_ranking() const {
  if (ranking_.empty())
    for (std::size_t c = 0; c < rows_.classes(); ++c) ranking_.push_back(rank(c));
  return ranking_;
}

}  // namespace graft::metrics
