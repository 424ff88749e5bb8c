#include <dense/training.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <graft/error.h>
#include <graft/random.h>

#include <numeric/beta.h>
#include "row_order.h"

namespace graft::dense {
namespace {

/// Scores of a row's classes and its labels among them. Which of the classes without an output is which does
/// not matter: all have probability 0. They come after the others.
class ClassRow {
 public:
  ClassRow(std::size_t outputs, std::size_t classes)
      : outputs_(outputs), scores_(std::max(outputs, classes)) {}

  void add_to(metrics::ScoreSum& sum, std::span<const float> probabilities,
              std::span<const std::int32_t> labels, metrics::LabelMode mode) {
    std::copy(probabilities.begin(), probabilities.end(), scores_.begin());
    labels_.clear();
    auto absent = static_cast<std::int32_t>(outputs_);
    for (const std::int32_t label : labels)
      labels_.push_back(label == Examples::kNoOutput ? absent++ : label);
    if (static_cast<std::size_t>(absent) > scores_.size()) scores_.resize(static_cast<std::size_t>(absent));
    sum.add(scores_, labels_, mode);
  }

 private:
  std::size_t outputs_;
  std::vector<float> scores_;
  std::vector<std::int32_t> labels_;
};

class Training {
 public:
  Training(Network& network, const Examples& train, const Examples* val, const TrainingOptions& options,
           Parallel& parallel)
      : network_(network),
        train_(train),
        val_(val != nullptr && val->rows() > 0 ? val : nullptr),
        options_(options),
        parallel_(parallel),
        trainer_(network, options.trainer, parallel),
        order_(train, options.seed) {}

  TrainingResult run() {
    const std::int64_t last =
        options_.stop_after > 0 ? std::min(options_.stop_after, options_.epochs) : options_.epochs;
    for (std::int64_t epoch = 0; epoch < last; ++epoch) {
      Value point = Value::map();
      point["epoch"] = epoch + 1;
      const Trainer::Sum sum = train_epoch(epoch);
      point["learning_rate"] = rate_;
      point["train_loss"] = sum.weight > 0 ? sum.loss / sum.weight : 0.0;
      result_.epochs = epoch + 1;
      judge(point);
      result_.curve.push(std::move(point));
      if (options_.epoch_ended) options_.epoch_ended(result_.curve.as_list().back(), last);
      if (val_ != nullptr && options_.patience > 0 &&
          result_.epochs - result_.best_epoch >= options_.patience)
        break;
    }
    if (val_ == nullptr) {
      result_.best_epoch = result_.epochs;
      const auto parameters = network_.parameters();
      if (!std::all_of(parameters.begin(), parameters.end(), [](float v) { return std::isfinite(v); }))
        diverged("the weights are", result_.epochs);
    } else {
      std::copy(best_.begin(), best_.end(), network_.parameters().begin());
    }
    return std::move(result_);
  }

 private:
  Trainer::Sum train_epoch(std::int64_t epoch) {
    Trainer::Sum sum;
    std::size_t done = 0;
    order_.start(epoch);
    while (order_.next(parallel_)) {
      const std::vector<std::size_t>& rows = order_.rows();
      const std::size_t batches = (rows.size() + options_.batch - 1) / options_.batch;
      for (std::size_t b = 0; b < batches; ++b) {
        const std::size_t first = b * rows.size() / batches, end = (b + 1) * rows.size() / batches;
        fill_batch({rows.data() + first, end - first});
        const auto total = static_cast<double>(train_.rows());
        const double now = static_cast<double>(epoch) + static_cast<double>(done) / total;
        const double step = static_cast<double>(end - first) / total;
        rate_ = options_.trainer.optimizer.learning_rate * options_.schedule.factor(now, step);
        const Trainer::Sum part = trainer_.step(batch_, rate_, ++steps_);
        if (!std::isfinite(part.loss)) diverged("the loss is", epoch + 1);
        sum.loss += part.loss;
        sum.weight += part.weight;
        done += end - first;
      }
    }
    return sum;
  }

  void fill_batch(std::span<const std::size_t> rows) {
    const std::size_t outputs = network_.outputs();
    batch_.rows.clear();
    batch_.targets.assign(rows.size() * outputs, 0.0F);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      batch_.rows.push_back(order_.features(rows[i]));
      for (const std::int32_t label : train_.labels(rows[i])) {
        if (label != Examples::kNoOutput) batch_.targets[i * outputs + static_cast<std::size_t>(label)] = 1;
      }
    }
    if (options_.mixup == 0) return;
    Random random(options_.seed, "mixup " + std::to_string(steps_), 0);
    batch_.own = numeric::sample_beta(options_.mixup, random);
    batch_.partner.resize(rows.size());
    std::iota(batch_.partner.begin(), batch_.partner.end(), std::size_t{0});
    for (std::size_t i = rows.size(); i > 1; --i)
      std::swap(batch_.partner[i - 1], batch_.partner[random.below(i)]);
  }

  /// Measures the network on val and keeps its weights when they are the best.
  void judge(Value& point) {
    if (val_ == nullptr) return;
    const metrics::Score now =
        measure(network_, options_.trainer.loss.kind, *val_, options_.classes, parallel_);
    if (!std::isfinite(now.log_loss)) diverged("the log loss on val is", result_.epochs);
    point["val_accuracy"] = now.accuracy;
    point["val_log_loss"] = now.log_loss;
    if (result_.best_epoch > 0 && !metrics::better(now, result_.val, options_.monitor, options_.min_delta))
      return;
    result_.val = now;
    result_.best_epoch = result_.epochs;
    best_.assign(network_.parameters().begin(), network_.parameters().end());
  }

  [[noreturn]] void diverged(const char* what, std::int64_t epoch) const {
    throw Error(
        fmt::format("{} no longer finite in epoch {}: lower learning_rate ({}), or scale the features "
                    "(scale: standard)",
                    what, epoch, options_.trainer.optimizer.learning_rate));
  }

  Network& network_;
  const Examples& train_;
  const Examples* val_;
  const TrainingOptions& options_;
  Parallel& parallel_;
  Trainer trainer_;
  RowOrder order_;
  Batch batch_;
  std::int64_t steps_ = 0;
  double rate_ = 0;
  std::vector<float> best_;
  TrainingResult result_;
};

}  // namespace

metrics::Score measure(const Network& network, Loss::Kind kind, const Examples& examples, std::size_t classes,
                       Parallel& parallel) {
  std::vector<metrics::ScoreSum> parts(examples.blocks());
  parallel.for_each(examples.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const std::size_t count = examples.count(b), outputs = network.outputs();
    std::vector<float> logits(count * outputs);
    network.logits(examples.block(b, scratch), count, logits.data());
    ClassRow of_classes(outputs, classes);
    for (std::size_t r = 0; r < count; ++r) {
      const std::span<float> row(logits.data() + r * outputs, outputs);
      to_probabilities(kind, row);
      of_classes.add_to(parts[b], row, examples.labels(examples.begin(b) + r),
                        metrics::label_mode(kind == Loss::Kind::Sigmoid));
    }
  });
  metrics::ScoreSum sum;
  for (const metrics::ScoreSum& part : parts) sum += part;
  return sum.mean();
}

TrainingResult train(Network& network, const Examples& train, const Examples* val,
                     const TrainingOptions& options, Parallel& parallel) {
  if (train.rows() == 0) throw Error("there are no rows to train on");
  return Training(network, train, val, options, parallel).run();
}

}  // namespace graft::dense
