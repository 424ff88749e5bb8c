#include "probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <graft/error.h>
#include <graft/random.h>
#include <graft/table.h>

#include <learning/features.h>
#include <linear/softmax_regression.h>
#include <numeric/softmax.h>

namespace graft {
namespace {

constexpr double kSpread = 0.01;
constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();  // the features are in memory anyway

LinearHead empty_head(std::size_t outputs, std::size_t features) {
  LinearHead head{
      Tensor::allocate(DType::F32, {static_cast<std::int64_t>(outputs), static_cast<std::int64_t>(features)}),
      Tensor::allocate(DType::F32, {static_cast<std::int64_t>(outputs)})};
  std::fill_n(head.weight.as<float>(), head.weight.size(), 0.0f);
  std::fill_n(head.bias.as<float>(), head.bias.size(), 0.0f);
  return head;
}

/// Rows of features with one label each, as the regression takes them.
struct Rows {
  MemoryRows table;
  learning::FeatureRows rows;

  Rows(const ProbeRows& from, const std::vector<std::int32_t>& labels, std::size_t classes,
       Parallel& parallel)
      : table(from.features, from.dim, labels), rows(table, classes, kAll, parallel) {}
};

/// The image's only label, or whether `output` is one of several.
std::vector<std::int32_t> labels_of(const ProbeRows& rows, std::optional<std::int32_t> output) {
  std::vector<std::int32_t> out;
  for (const auto& labels : rows.labels)
    out.push_back(output ? std::int32_t{std::find(labels.begin(), labels.end(), *output) != labels.end()}
                         : labels.front());
  return out;
}

double nearest_to_one(const std::vector<double>& c) {
  return *std::min_element(c.begin(), c.end(),
                           [](double a, double b) { return std::abs(std::log(a)) < std::abs(std::log(b)); });
}

/// One regression whose solution becomes rows of the head.
class Question {
 public:
  Question(const ProbeRows& train, const std::vector<std::int32_t>& labels, std::size_t classes,
           const ProbeOptions& options, Parallel& parallel)
      : rows_(train, labels, classes, parallel),
        regression_(rows_.rows, classes, parallel, {.interrupted = options.interrupted}),
        solution_(regression_.size()) {}

  linear::LinearModel fit(double c, const ProbeOptions& options) {
    if (regression_.fit(c, solution_).stop == numeric::LbfgsStop::MaxIterations)
      options.warn(fmt::format("the probe with c = {} did not converge; its last solution is used", c));
    return regression_.model(solution_, learning::RowScaler());
  }

 private:
  Rows rows_;
  linear::SoftmaxRegression regression_;
  std::vector<double> solution_;
};

void set_row(LinearHead& head, std::size_t row, const linear::LinearModel& model, std::size_t from,
             float factor) {
  for (std::size_t d = 0; d < model.dim; ++d)
    head.weight.as<float>()[row * model.dim + d] = factor * model.weight[from * model.dim + d];
  head.bias.as<float>()[row] = factor * model.bias[from];
}

/// Every class has train rows.
class SingleLabels {
 public:
  SingleLabels(const ProbeRows& train, const ProbeRows& val, std::size_t outputs, const ProbeOptions& options,
               Parallel& parallel)
      : outputs_(outputs),
        options_(options),
        parallel_(parallel),
        question_(train, labels_of(train, {}), outputs, options, parallel),
        val_(val, labels_of(val, {}), outputs, parallel) {}

  std::pair<LinearHead, metrics::Fit> at(double c) {
    const linear::LinearModel model = question_.fit(c, options_);
    LinearHead head = empty_head(outputs_, model.dim);
    if (model.outputs() == 1) {
      set_row(head, 0, model, 0, -0.5f);
      set_row(head, 1, model, 0, 0.5f);
    } else {
      for (std::size_t k = 0; k < outputs_; ++k) set_row(head, k, model, k, 1);
    }
    if (val_.table.rows() == 0) return {std::move(head), {}};
    // Images of a class without train images are not rows of the regression: it gives them probability 0.
    const std::size_t labelled = val_.rows.rows(), all = val_.table.rows();
    metrics::Fit sum;
    if (labelled > 0) {
      const metrics::Fit fit = linear::measure(model, val_.rows, parallel_);
      sum = {fit.accuracy * static_cast<double>(labelled), fit.log_loss * static_cast<double>(labelled)};
    }
    const std::vector<float> none = {1, 0};
    const std::int32_t absent = 1;
    for (std::size_t i = labelled; i < all; ++i) sum += metrics::fit_of(none, {&absent, 1}, false);
    return {std::move(head), sum.mean(all)};
  }

 private:
  std::size_t outputs_;
  const ProbeOptions& options_;
  Parallel& parallel_;
  Question question_;
  Rows val_;
};

class SeveralLabels {
 public:
  SeveralLabels(const ProbeRows& train, const ProbeRows& val, std::size_t outputs,
                const ProbeOptions& options, Parallel& parallel)
      : train_(train), val_(val), options_(options) {
    for (std::size_t k = 0; k < outputs; ++k) {
      labels_.push_back(labels_of(train, static_cast<std::int32_t>(k)));
      const auto with = std::count(labels_[k].begin(), labels_[k].end(), 1);
      const bool both = with > 0 && with < static_cast<std::ptrdiff_t>(train.labels.size());
      questions_.push_back(both ? std::make_unique<Question>(train, labels_[k], 2, options, parallel)
                                : nullptr);
    }
  }

  std::pair<LinearHead, metrics::Fit> at(double c) {
    LinearHead head = empty_head(questions_.size(), train_.dim);
    for (std::size_t k = 0; k < questions_.size(); ++k) {
      if (questions_[k]) {
        set_row(head, k, questions_[k]->fit(c, options_), 0, 1);
        continue;
      }
      // The same answer for all of train: its odds, with half an image on either side.
      const auto n = static_cast<double>(labels_[k].size());
      const auto with = static_cast<double>(std::count(labels_[k].begin(), labels_[k].end(), 1));
      head.bias.as<float>()[k] = static_cast<float>(std::log((with + 0.5) / (n - with + 0.5)));
    }
    return {head, measured(head)};
  }

 private:
  metrics::Fit measured(const LinearHead& head) const {
    metrics::Fit sum;
    if (val_.labels.empty()) return sum;
    std::vector<float> scores(questions_.size());
    for (std::size_t r = 0; r < val_.labels.size(); ++r) {
      for (std::size_t k = 0; k < questions_.size(); ++k) {
        double z = head.bias.as<float>()[k];
        for (std::size_t d = 0; d < val_.dim; ++d)
          z += double{head.weight.as<float>()[k * val_.dim + d]} * val_.features[r * val_.dim + d];
        scores[k] = static_cast<float>(numeric::sigmoid(z));
      }
      sum += metrics::fit_of(scores, val_.labels[r], true);
    }
    return sum.mean(val_.labels.size());
  }

  const ProbeRows& train_;
  const ProbeRows& val_;
  const ProbeOptions& options_;
  std::vector<std::vector<std::int32_t>> labels_;
  std::vector<std::unique_ptr<Question>> questions_;  ///< Null: nothing to tell apart.
};

template <typename Task>
Probe choose(Task&& task, bool has_val, const ProbeOptions& options) {
  const std::vector<double> grid = has_val ? options.c : std::vector{nearest_to_one(options.c)};
  Probe best;
  Value path = Value::list();
  metrics::Fit most;
  for (const double c : grid) {
    auto [head, measure] = task.at(c);
    Value point = Value::map();
    point["c"] = c;
    if (has_val) {
      point["val_accuracy"] = measure.accuracy;
      point["val_log_loss"] = measure.log_loss;
    }
    path.push(std::move(point));
    const bool better =
        best.summary.is_null() ||
        (!options.several_labels && measure.accuracy != most.accuracy ? measure.accuracy > most.accuracy
                                                                      : measure.log_loss < most.log_loss);
    if (!better) continue;
    best.head = std::move(head);
    best.summary = Value::map();
    best.summary["c"] = c;
    most = measure;
  }
  best.summary["chosen_on"] = !has_val ? "nothing" : grid.size() == 1 ? "given" : "val";
  best.summary["path"] = std::move(path);
  return best;
}

}  // namespace

Probe fit_probe(const ProbeRows& train, const ProbeRows& val, std::size_t outputs,
                const ProbeOptions& options, Parallel& parallel) {
  const bool has_val = !val.labels.empty();
  if (options.several_labels)
    return choose(SeveralLabels(train, val, outputs, options, parallel), has_val, options);
  return choose(SingleLabels(train, val, outputs, options, parallel), has_val, options);
}

LinearHead random_head(std::size_t outputs, std::size_t features, std::uint64_t seed) {
  LinearHead head = empty_head(outputs, features);
  Random random(seed, "head.weight", 0);
  for (std::int64_t i = 0; i < head.weight.size(); ++i)
    head.weight.as<float>()[i] = static_cast<float>(kSpread * random.normal());
  return head;
}

}  // namespace graft
