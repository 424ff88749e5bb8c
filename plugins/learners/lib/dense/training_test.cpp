#include <dense/training.h>

#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <graft/error.h>
#include <graft/random.h>

#include <numeric/beta.h>
#include "row_order.h"

namespace graft::dense {
namespace {

using graft::testing::error_of;
using graft::testing::Threads;
using ::testing::HasSubstr;
using ::testing::StrEq;

struct Data {
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  MatrixExamples examples() const { return {values, 2, labels}; }
};

/// A disc within a ring: no line tells them apart.
Data rings(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Data data;
  for (std::size_t i = 0; i < n; ++i) {
    const bool outer = random.chance(0.5);
    const double radius = outer ? random.uniform(1.5, 2) : random.uniform(0, 1);
    const double angle = random.uniform(0, 6.283185307);
    data.values.push_back(static_cast<float>(radius * std::cos(angle)));
    data.values.push_back(static_cast<float>(radius * std::sin(angle)));
    data.labels.push_back(outer ? 1 : 0);
  }
  return data;
}

TrainingOptions quick(std::int64_t epochs = 30) {
  TrainingOptions options;
  options.epochs = epochs;
  options.schedule.epochs = static_cast<double>(epochs);
  options.trainer.optimizer = OptimizerOptions::usual(OptimizerOptions::Kind::AdamW);
  options.trainer.optimizer.learning_rate = 0.01;
  options.batch = 32;
  options.seed = 1;
  return options;
}

Network drawn(std::vector<std::size_t> widths) {
  Network network(std::move(widths));
  network.draw(1);
  return network;
}

std::vector<float> parameters(const Network& network) {
  return {network.parameters().begin(), network.parameters().end()};
}

TEST(Training, LearnsWhatALinearModelCannot) {
  const Data train_data = rings(600, 1), val_data = rings(300, 2);
  const MatrixExamples train_rows = train_data.examples(), val_rows = val_data.examples();
  Sequential sequential;
  Network deep = drawn({2, 16, 2}), linear = drawn({2, 2});
  EXPECT_GT(train(deep, train_rows, &val_rows, quick(), sequential).val.accuracy, 0.99);
  EXPECT_LT(train(linear, train_rows, &val_rows, quick(), sequential).val.accuracy, 0.7);

  const std::vector<float> corners = {0, 0, 0, 1, 1, 0, 1, 1};
  const std::vector<std::int32_t> exclusive_or = {0, 1, 1, 0};
  const MatrixExamples four(corners, 2, exclusive_or);
  for (const auto kind :
       {OptimizerOptions::Kind::Sgd, OptimizerOptions::Kind::Adam, OptimizerOptions::Kind::AdamW}) {
    Network network = drawn({2, 16, 2});
    TrainingOptions options = quick(300);
    options.trainer.optimizer.kind = kind;
    options.trainer.optimizer.learning_rate = kind == OptimizerOptions::Kind::Sgd ? 0.1 : 0.02;
    train(network, four, nullptr, options, sequential);
    EXPECT_EQ(measure(network, Loss::Kind::Softmax, four, 0, sequential).accuracy, 1);
  }
}

TEST(Training, LearnsSeveralLabels) {
  // Label 0: right of the middle; label 1: above it; label 2: outside the disc. Rows have none to three.
  Random random(1);
  const std::size_t n = 500;
  std::vector<float> values;
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t i = 0; i < n; ++i) {
    const double x = random.uniform(-2, 2), y = random.uniform(-2, 2);
    values.insert(values.end(), {static_cast<float>(x), static_cast<float>(y)});
    labels.emplace_back();
    if (x > 0) labels.back().push_back(0);
    if (y > 0) labels.back().push_back(1);
    if (x * x + y * y > 2) labels.back().push_back(2);
  }
  class Several final : public Examples {
   public:
    Several(std::span<const float> values, const std::vector<std::vector<std::int32_t>>& labels)
        : Examples(labels.size(), 2), values_(values) {
      for (const auto& row : labels) add_labels(row);
    }
    const float* block(std::size_t b, std::vector<float>&) const override {
      return values_.data() + begin(b) * 2;
    }
    bool in_memory() const override { return true; }

   private:
    std::span<const float> values_;
  };
  const Several rows(values, labels);
  Network network = drawn({2, 16, 3});
  TrainingOptions options = quick(40);
  options.trainer.loss.kind = Loss::Kind::Sigmoid;
  options.monitor = metrics::Criterion::LogLoss;
  Sequential sequential;
  // Rows with all three answers right, which is harder than three of them each.
  EXPECT_GE(train(network, rows, &rows, options, sequential).val.accuracy, 0.97);
}

TEST(Training, RestoresTheBestEpochAndStopsWhenPatienceEnds) {
  // Random labels: what is learnt on train does harm on val, sooner or later.
  Data noise = rings(60, 1), other = rings(60, 2);
  Random random(3);
  for (Data* data : {&noise, &other})
    for (std::int32_t& label : data->labels) label = static_cast<std::int32_t>(random.below(2));
  const MatrixExamples train_rows = noise.examples(), val_rows = other.examples();
  TrainingOptions options = quick(200);
  options.monitor = metrics::Criterion::LogLoss;
  options.patience = 5;
  Sequential sequential;
  Network network = drawn({2, 32, 2});
  const TrainingResult result = train(network, train_rows, &val_rows, options, sequential);
  EXPECT_EQ(result.epochs, result.best_epoch + 5);
  EXPECT_LT(result.epochs, 200);
  const Value::List& curve = result.curve.as_list();
  ASSERT_EQ(curve.size(), static_cast<std::size_t>(result.epochs));
  for (const Value& point : curve) EXPECT_GE(point.find("val_log_loss")->as_double(), result.val.log_loss);
  EXPECT_EQ(curve[static_cast<std::size_t>(result.best_epoch) - 1].find("val_log_loss")->as_double(),
            result.val.log_loss);
  EXPECT_EQ(measure(network, Loss::Kind::Softmax, val_rows, 0, sequential).log_loss, result.val.log_loss);

  // Stopped at that epoch, the same training has the same weights.
  Network stopped = drawn({2, 32, 2});
  options.stop_after = result.best_epoch;
  const TrainingResult again = train(stopped, train_rows, nullptr, options, sequential);
  EXPECT_EQ(again.epochs, result.best_epoch);
  EXPECT_EQ(parameters(stopped), parameters(network));
}

TEST(Training, CountsOnlyImprovementsAboveMinDelta) {
  const Data data = rings(300, 1);
  const MatrixExamples rows = data.examples();
  TrainingOptions options = quick(100);
  options.min_delta = 1;  // nothing improves by so much
  options.patience = 3;
  Sequential sequential;
  Network network = drawn({2, 8, 2});
  const TrainingResult result = train(network, rows, &rows, options, sequential);
  EXPECT_EQ(result.best_epoch, 1);
  EXPECT_EQ(result.epochs, 4);
}

TEST(Training, HasTheSameBitsForAnyNumberOfThreadsAndFromDisk) {
  Random random(1);
  const std::size_t n = 3000, dim = 20;  // three blocks
  std::vector<float> values(n * dim);
  std::vector<std::int32_t> labels(n);
  for (std::size_t r = 0; r < n; ++r) {
    labels[r] = static_cast<std::int32_t>(random.below(4)) - 1;
    for (std::size_t d = 0; d < dim; ++d)
      values[r * dim + d] =
          static_cast<float>(random.normal() + (labels[r] == static_cast<std::int32_t>(d) ? 1 : 0));
  }
  const MemoryRows table(values, dim, labels);
  TrainingOptions options = quick(3);
  options.batch = 200;
  options.mixup = 0.4;
  options.trainer.dropout = {0.1, 0.3, 0};
  const std::vector<std::int32_t> outputs = {0, 1, 2};
  const auto run = [&](Parallel& parallel, std::size_t cache) {
    const learning::FeatureRows rows(table, 3, cache, parallel);
    const TableExamples examples(rows, outputs);
    Network network = drawn({dim, 40, 30, 3});
    const TrainingResult result = train(network, examples, &examples, options, parallel);
    return std::pair{parameters(network), result.curve};
  };
  Sequential one;
  Threads four(4);
  const auto wanted = run(one, 1 << 30);
  EXPECT_EQ(run(four, 1 << 30), wanted);
  EXPECT_EQ(run(four, 0), wanted);
}

TEST(Training, SaysWhenItDiverges) {
  const Data data = rings(300, 1);
  const MatrixExamples rows = data.examples();
  TrainingOptions options = quick(50);
  options.trainer.optimizer = OptimizerOptions::usual(OptimizerOptions::Kind::Sgd);
  options.trainer.optimizer.learning_rate = 100;
  options.trainer.optimizer.weight_decay = 0.5;
  Sequential sequential;
  for (const Examples* val : {static_cast<const Examples*>(&rows), static_cast<const Examples*>(nullptr)}) {
    Network network = drawn({2, 32, 32, 2});
    const std::string told = error_of([&] { train(network, rows, val, options, sequential); });
    EXPECT_THAT(told, HasSubstr("no longer finite in epoch "));
    EXPECT_THAT(told, HasSubstr(": lower learning_rate (100), or scale the features (scale: standard)"));
  }
}

TEST(Training, StopsWhenInterrupted) {
  const Data data = rings(30, 1);
  const MatrixExamples rows = data.examples();
  const std::atomic<bool> interrupted{true};
  Sequential sequential;
  Interruptible stopped(sequential, interrupted);
  Network network = drawn({2, 2});
  EXPECT_THROW(train(network, rows, nullptr, quick(), stopped), Interrupted);
}

TEST(Training, TakesOneRow) {
  const std::vector<float> value = {1, 2};
  const std::vector<std::int32_t> label = {1};
  const MatrixExamples row(value, 2, label);
  Sequential sequential;
  Network network = drawn({2, 4, 2});
  TrainingOptions options = quick(200);
  options.mixup = 1;
  train(network, row, nullptr, options, sequential);
  EXPECT_EQ(measure(network, Loss::Kind::Softmax, row, 0, sequential).accuracy, 1);
}

TEST(Measure, CountsAClassWithoutOutputAsImprobable) {
  const std::vector<float> values = {0, 0, 0, 0};
  const std::vector<std::int32_t> labels = {0, Examples::kNoOutput};
  const MatrixExamples rows(values, 2, labels);
  Sequential sequential;
  const metrics::Score m = measure(Network({2, 2}), Loss::Kind::Softmax, rows, 0, sequential);
  EXPECT_EQ(m.accuracy, 0.5);
  EXPECT_NEAR(m.log_loss, (std::log(2) + 52 * std::log(2)) / 2, 1e-6);
}

TEST(RowOrder, GivesEveryRowOnceAnEpochInAnotherOrder) {
  // Blocks of 16 rows of 6.4 MB: windows of 10 blocks, of 13.
  const std::size_t dim = 100000, n = 200;
  std::vector<float> values(n * dim);
  for (std::size_t r = 0; r < n; ++r) values[r * dim] = static_cast<float>(r);
  const std::vector<std::int32_t> labels(n);
  const MatrixExamples rows(values, dim, labels);
  Sequential sequential;
  RowOrder order(rows, 1);
  std::vector<std::vector<std::size_t>> epochs;
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    order.start(epoch);
    std::size_t windows = 0;
    std::vector<std::size_t> seen;
    while (order.next(sequential)) {
      ++windows;
      for (const std::size_t r : order.rows()) {
        EXPECT_EQ(order.features(r)[0], static_cast<float>(r));
        seen.push_back(r);
      }
    }
    EXPECT_EQ(windows, 2U);
    epochs.push_back(seen);
    std::sort(seen.begin(), seen.end());
    std::vector<std::size_t> all(n);
    std::iota(all.begin(), all.end(), std::size_t{0});
    EXPECT_EQ(seen, all);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  order.start(0);
  order.next(sequential);
  EXPECT_TRUE(std::equal(order.rows().begin(), order.rows().end(), epochs[0].begin()));
}

}  // namespace
}  // namespace graft::dense
