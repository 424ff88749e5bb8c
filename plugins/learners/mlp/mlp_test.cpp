#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include <graft/random.h>

#include <learning/testing/fixtures.h>

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using graft::testing::Threads;
using learning::SeveralLabelRows;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;

std::vector<std::string> names(std::size_t classes) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < classes; ++c) out.push_back("class" + std::to_string(c));
  return out;
}

struct Data {
  std::size_t dim;
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  MemoryRows rows() const { return MemoryRows(values, dim, labels); }
};

/// Classes in turn; a row leans towards its class's axis by `lean`.
Data random_data(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed, double lean = 2) {
  Random random(seed);
  Data data{dim, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::size_t d = 0; d < dim; ++d)
      data.values.push_back(static_cast<float>(random.uniform(-1, 1) + (d == i % classes ? lean : 0)));
  }
  return data;
}

/// Three rings around each other.
Data rings(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Data data{2, {}, {}};
  for (std::size_t i = 0; i < n; ++i) {
    const double radius = static_cast<double>(i % 3) + random.uniform(0.6, 1);
    const double angle = random.uniform(0, 6.283185307);
    data.labels.push_back(static_cast<std::int32_t>(i % 3));
    data.values.push_back(static_cast<float>(radius * std::cos(angle)));
    data.values.push_back(static_cast<float>(radius * std::sin(angle)));
  }
  return data;
}

MemoryRows no_rows(std::size_t dim) {
  return MemoryRows({}, dim, {});
}

double accuracy(const Scores& scores, const std::vector<std::int32_t>& labels) {
  double right = 0;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const float* row = scores.row(r);
    right += std::max_element(row, row + scores.classes) - row == labels[r] ? 1 : 0;
  }
  return right / static_cast<double>(scores.rows);
}

Scores scores_of(const Predictor& predictor, const RowSet& rows) {
  Sequential sequential;
  return predictor.predict({&rows}, sequential);
}

TEST(Mlp, LearnsWhatALinearModelCannot) {
  const Data train = rings(600, 1), val = rings(300, 2), test = rings(300, 3);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows(), test_rows = test.rows();
  const std::string with = ", epochs: 40, learning_rate: 0.02, batch: 32}";
  StageHarness deep("mlp", "{hidden: [32, 16]" + with), linear("mlp", "{hidden: []" + with);
  const LearnerResult result = deep.fit(train_rows, val_rows, names(3));
  EXPECT_THAT(deep.warnings(), IsEmpty());
  EXPECT_GT(accuracy(scores_of(*result.predictor, test_rows), test.labels), 0.97);
  const LearnerResult flat = linear.fit(train_rows, val_rows, names(3));
  EXPECT_LT(accuracy(scores_of(*flat.predictor, test_rows), test.labels), 0.6);
  Bundle bundle;
  flat.predictor->save(bundle);
  EXPECT_EQ(bundle.tensors.at("layer0.weight").shape, (Shape{3, 2}));
}

TEST(Mlp, StopsByValAndRefitsOnBoth) {
  // Little data, much noise: it overfits soon.
  const Data train = random_data(60, 20, 3, 1, 0.4), val = random_data(90, 20, 3, 2, 0.4);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  const std::string with = "hidden: 64, epochs: 60, learning_rate: 0.005, patience: 4, monitor: log_loss";
  StageHarness mlp("mlp", "{" + with + "}");
  const LearnerResult result = mlp.fit(train_rows, val_rows, names(3));
  const Value& summary = result.summary;
  const std::int64_t best = summary.find("best_epoch")->as_int();
  EXPECT_EQ(summary.find("epochs")->as_int(), best + 4);
  EXPECT_LT(best, 56);
  EXPECT_EQ(summary.find("chosen_on")->as_string(), "val");
  EXPECT_EQ(summary.find("monitor")->as_string(), "log_loss");
  EXPECT_EQ(summary.find("curve")->as_list().size(), static_cast<std::size_t>(best) + 4);
  EXPECT_EQ(summary.find("refit")->find("rows")->as_int(), 150);
  EXPECT_EQ(summary.find("refit")->find("epochs")->as_int(), best);

  // Val scores are those of the best epoch before the refit.
  EXPECT_DOUBLE_EQ(accuracy(result.val, val.labels), summary.find("val_accuracy")->as_double());
  double loss = 0;
  for (std::size_t r = 0; r < result.val.rows; ++r)
    loss -= std::log(result.val.row(r)[val.labels[r]]) / static_cast<double>(result.val.rows);
  EXPECT_NEAR(loss, summary.find("val_log_loss")->as_double(), 1e-6);
  StageHarness stays("mlp", "{refit: false, " + with + "}");
  const LearnerResult before = stays.fit(train_rows, val_rows, names(3));
  EXPECT_EQ(scores_of(*before.predictor, val_rows).values, result.val.values);
  EXPECT_EQ(before.summary.find("refit"), nullptr);
  EXPECT_NE(scores_of(*result.predictor, val_rows).values, result.val.values);
}

TEST(Mlp, ChoosesTheWeightDecayOnVal) {
  const Data train = random_data(60, 30, 3, 1, 0.5), val = random_data(300, 30, 3, 2, 0.5);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  const LearnerResult result =
      StageHarness("mlp", "{hidden: 16, epochs: 20, optimizer: sgd, weight_decay: [1, 0, 0.03]}")
          .fit(train_rows, val_rows, names(3));
  const Value::List& path = result.summary.find("path")->as_list();
  ASSERT_EQ(path.size(), 3U);
  EXPECT_EQ(path[0].find("weight_decay")->as_double(), 0);
  EXPECT_EQ(path[2].find("weight_decay")->as_double(), 1);
  double best = -1, chosen = -1;
  for (const Value& step : path) {
    const double now = step.find("val_accuracy")->as_double() - 1e-6 * step.find("val_log_loss")->as_double();
    if (now > best) best = now, chosen = step.find("weight_decay")->as_double();
  }
  EXPECT_EQ(result.summary.find("weight_decay")->as_double(), chosen);
  EXPECT_DOUBLE_EQ(accuracy(result.val, val.labels), result.summary.find("val_accuracy")->as_double());
}

TEST(Mlp, HasTheSameBitsForAnyNumberOfThreadsAndFromDisk) {
  const MemoryRows train = random_data(3000, 12, 4, 1, 0.5).rows();
  const MemoryRows val = random_data(1500, 12, 4, 2, 0.5).rows();
  for (const char* scale : {"none", "l2", "standard"}) {
    const std::string with = std::string(
                                 "{hidden: [20, 10], epochs: 3, batch: 300, dropout: 0.2, input_dropout: "
                                 "0.1, mixup: 0.3, label_smoothing: 0.1, class_weights: balanced, scale: ") +
                             scale;
    Sequential one;
    Threads four(4);
    StageHarness a("mlp", with + "}"), b("mlp", with + "}"), c("mlp", with + ", cache: 0}");
    const LearnerResult x = a.fit(train, val, names(4), &one);
    const LearnerResult y = b.fit(train, val, names(4), &four);
    const LearnerResult z = c.fit(train, val, names(4), &four);
    EXPECT_EQ(x.summary, y.summary) << scale;
    EXPECT_EQ(x.summary, z.summary) << scale;
    EXPECT_EQ(x.val.values, y.val.values) << scale;
    EXPECT_EQ(x.val.values, z.val.values) << scale;
    EXPECT_EQ(x.predictor->predict({&val}, one).values, y.predictor->predict({&val}, four).values) << scale;
    EXPECT_EQ(scores_of(*x.predictor, val).values, scores_of(*z.predictor, val).values) << scale;
  }
}

TEST(Mlp, DependsOnTheSeed) {
  const MemoryRows rows = random_data(100, 5, 2, 1).rows();
  StageHarness a("mlp", "{epochs: 2}", 1), b("mlp", "{epochs: 2}", 2);
  EXPECT_TRUE(a.schema().output_depends_on_seed);
  EXPECT_NE(a.fit(rows, rows, names(2)).val.values, b.fit(rows, rows, names(2)).val.values);
}

TEST(Mlp, ScoresAsBeforeAfterSavingAndLoading) {
  const MemoryRows train = random_data(200, 7, 3, 1).rows(), val = random_data(50, 7, 3, 2).rows();
  for (const char* scale : {"none", "l2", "standard"}) {
    for (const bool several : {false, true}) {
      StageHarness mlp("mlp", std::string("{hidden: [9, 8], epochs: 3, scale: ") + scale + "}");
      const LearnerResult result = mlp.fit(train, val, names(4), nullptr, several);
      Bundle bundle;
      result.predictor->save(bundle);
      bundle.facts = Value::from_json(bundle.facts.to_json());
      EXPECT_EQ(scores_of(*mlp.as<Learner>().load(bundle), val).values,
                scores_of(*result.predictor, val).values);
    }
  }
}

TEST(Mlp, RefusesADamagedBundle) {
  StageHarness mlp("mlp", "{hidden: [4], epochs: 1}");
  Bundle good;
  mlp.fit(random_data(30, 4, 3, 1).rows(), no_rows(4), names(3)).predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { mlp.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("layer1.bias"); }),
              StrEq("bundle without the tensor 'layer1.bias': expected f32 [3]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["loss"] = "hinge"; }),
              StrEq("'loss' of the bundle is \"hinge\": expected softmax or binary" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["classes"] = 2; }),
              StrEq("tensor 'fitted' of the bundle has class 2: expected 0 to 1" + cure));
}

/// Label c: feature c is positive. Rows have none to three labels; an eighth of them show none of the
/// classes.
learning::SeveralLabelRows signs(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  std::vector<std::vector<std::int32_t>> labels(n);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::int32_t c = 0; c < 3; ++c) {
      values.push_back(static_cast<float>(random.normal()));
      if (values.back() > 0) labels[r].push_back(c);
    }
  }
  return {values, 3, labels};
}

TEST(Mlp, LearnsSeveralLabelsARow) {
  const learning::SeveralLabelRows train = signs(600, 1), val = signs(300, 2), test = signs(300, 3);
  StageHarness mlp("mlp", "{hidden: 16, epochs: 20, learning_rate: 0.01}");
  const LearnerResult result = mlp.fit(train, val, names(4), nullptr, true);
  EXPECT_EQ(result.summary.find("loss")->as_string(), "binary");
  EXPECT_EQ(result.summary.find("monitor")->as_string(), "log_loss");
  EXPECT_EQ(result.summary.find("train_rows")->as_int(), 600);
  EXPECT_EQ(result.summary.find("val_rows")->as_int(), 300);
  EXPECT_THAT(mlp.warnings(), ElementsAre("no train rows of class3: the score of such a class is 0"));
  const Scores scores = scores_of(*result.predictor, test);
  double right = 0, sum = 0;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const auto labels = test.labels(r);
    for (std::int32_t c = 0; c < 3; ++c) {
      const bool is = std::find(labels.begin(), labels.end(), c) != labels.end();
      right += (scores.row(r)[c] >= 0.5F) == is ? 1 : 0;
      sum += scores.row(r)[c];
    }
    EXPECT_EQ(scores.row(r)[3], 0);
  }
  EXPECT_GT(right / 900, 0.93);
  EXPECT_NEAR(sum / 300, 1.5, 0.2);  // of rows; not 1
}

TEST(Mlp, BalancesClasses) {
  // One row of ten is of class 1; the classes overlap.
  Random random(1);
  Data data{1, {}, {}};
  for (int i = 0; i < 2000; ++i) {
    data.labels.push_back(i % 10 == 0 ? 1 : 0);
    data.values.push_back(static_cast<float>(random.normal() + (i % 10 == 0 ? 1.5 : 0)));
  }
  const MemoryRows rows = data.rows();
  const auto recall = [&](const std::string& weights) {
    const LearnerResult result =
        StageHarness("mlp", "{hidden: [], epochs: 20, learning_rate: 0.02, class_weights: " + weights + "}")
            .fit(rows, no_rows(1), names(2));
    const Scores scores = scores_of(*result.predictor, rows);
    double found = 0;
    for (std::size_t r = 0; r < scores.rows; r += 10) found += scores.row(r)[1] > 0.5F ? 1 : 0;
    return found / 200;
  };
  EXPECT_LT(recall("none"), 0.4);
  EXPECT_GT(recall("balanced"), 0.7);
  EXPECT_GT(recall("{by_class: {class1: 20}}"), 0.85);
  EXPECT_THAT(error_of([&] { recall("{by_class: {clas1: 20}}"); }),
              StrEq("class_weights: there is no class 'clas1'; did you mean 'class1'?"));
}

TEST(Mlp, GivesAClassWithoutTrainRowsTheScoreZero) {
  Data data = random_data(90, 5, 3, 1);
  for (std::int32_t& label : data.labels) label = label == 1 ? 3 : label;
  StageHarness mlp("mlp", "{epochs: 2}");
  const MemoryRows rows = data.rows();
  const LearnerResult result = mlp.fit(rows, rows, names(5));
  EXPECT_THAT(mlp.warnings(), ElementsAre("no train rows of class1, class4: the score of such a class is 0"));
  const Scores scores = scores_of(*result.predictor, rows);
  for (std::size_t r = 0; r < scores.rows; ++r) {
    EXPECT_EQ(scores.row(r)[1], 0);
    EXPECT_EQ(scores.row(r)[4], 0);
    EXPECT_NEAR(std::accumulate(scores.row(r), scores.row(r) + 5, 0.0), 1, 1e-6);
  }
}

TEST(Mlp, RefitsWithAClassThatOnlyValHas) {
  const MemoryRows train = random_data(60, 4, 2, 1).rows(), val = random_data(60, 4, 3, 2).rows();
  const LearnerResult result = StageHarness("mlp", "{epochs: 30, patience: 0}").fit(train, val, names(3));
  EXPECT_EQ(result.val.row(2)[2], 0);
  EXPECT_GT(scores_of(*result.predictor, val).row(2)[2], 0.2F);
}

TEST(Mlp, TrainsToTheEndWithoutVal) {
  const MemoryRows train = random_data(30, 4, 3, 1).rows();
  StageHarness mlp("mlp", "{epochs: 7, patience: 1, weight_decay: [0, 0.02, 1]}");
  const LearnerResult result = mlp.fit(train, no_rows(4), names(3));
  EXPECT_EQ(result.summary.find("epochs")->as_int(), 7);
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "nothing");
  EXPECT_EQ(result.summary.find("weight_decay")->as_double(), 0);  // as near to 0.01 as 0.02, and smaller
  EXPECT_EQ(result.val.rows, 0U);
  EXPECT_THAT(mlp.warnings(),
              ElementsAre("table 'table' has no labelled val rows to stop by: training for all 7 epochs with "
                          "weight_decay = 0 (nearest to 0.01); give the source a val split"));

  // Val rows without a label are scored, and that is all.
  StageHarness other("mlp", "{epochs: 7}");
  const LearnerResult scored = other.fit(train, MemoryRows({1, 2, 3, 4}, 4, {-1}), names(3));
  EXPECT_EQ(scored.val.rows, 1U);
  EXPECT_THAT(other.warnings(),
              ElementsAre("table 'table' has no labelled val rows to stop by: training for all "
                          "7 epochs; give the source a val split"));
}

TEST(Mlp, CopesWithConstantZeroAndHugeFeatures) {
  Data data = random_data(200, 4, 2, 1);
  for (std::size_t r = 0; r < 200; ++r) {
    data.values[r * 4 + 2] = 7;      // constant
    data.values[r * 4 + 3] *= 1e6F;  // far out of scale
  }
  std::fill_n(data.values.begin(), 8, 0.0F);
  const MemoryRows rows = data.rows();
  for (const char* scale : {"l2", "standard"}) {
    const LearnerResult result =
        StageHarness("mlp", std::string("{epochs: 20, mixup: 1, scale: ") + scale + "}")
            .fit(rows, rows, names(2));
    for (const float v : result.val.values) ASSERT_TRUE(v >= 0 && v <= 1);
    if (std::string(scale) == "standard") {
      EXPECT_GT(accuracy(result.val, data.labels), 0.85);
    }
  }
  const MemoryRows zeros(std::vector<float>(80), 2,
                         std::vector<std::int32_t>(data.labels.begin(), data.labels.begin() + 40));
  const LearnerResult flat = StageHarness("mlp", "{epochs: 3}").fit(zeros, zeros, names(2));
  EXPECT_NEAR(flat.val.row(0)[1], 0.5, 0.05);
}

TEST(Mlp, SaysWhenItDiverges) {
  const MemoryRows rows({3e38F, -3e38F, 3e38F, 3e38F, -3e38F, -3e38F}, 2, {0, 0, 1});
  EXPECT_THAT(
      error_of([&] { StageHarness("mlp", "{scale: none}").fit(rows, no_rows(2), names(2)); }),
      StrEq("the loss is no longer finite in epoch 1: lower learning_rate (0.001), or scale the features "
            "(scale: standard)"));
}

TEST(Mlp, RefusesToScoreWhatOverflows) {
  const MemoryRows train = random_data(60, 4, 3, 1).rows();
  const LearnerResult result =
      StageHarness("mlp", "{epochs: 1, scale: none}").fit(train, no_rows(4), names(3));
  const MemoryRows far({3e38F, -3e38F, 3e38F, -3e38F}, 4, {0});
  EXPECT_THAT(
      error_of([&] { scores_of(*result.predictor, far); }),
      StrEq("row '" + std::string(far.key(0)) +
            "': its features are so far from those of training that the scores overflow; look at this "
            "input, or use another scale"));
  EXPECT_THAT(
      error_of([&] { scores_of(*result.predictor, no_rows(5)); }),
      StrEq("the table has 5 features per row: expected 4, as in training; make it with the same backbone "
            "and tap"));
}

TEST(Mlp, RefusesTablesItCannotLearnFrom) {
  const auto fit = [](const RowSet& train, bool several = false) {
    return error_of(
        [&] { StageHarness("mlp").fit(train, no_rows(train.dim()), names(3), nullptr, several); });
  };
  EXPECT_THAT(
      fit(MemoryRows({1, 2, 3}, 1, {2, 2, -1})),
      StrEq("table 'table' has train rows of 1 of its 3 classes: expected at least 2 classes to tell apart; "
            "check the labels, the splits and the rejected inputs"));
  EXPECT_THAT(
      fit(MemoryRows({1}, 1, {-1}), true),
      StrEq("table 'table' has train rows of 0 of its 3 classes: expected at least 1 class; check the "
            "labels, the splits and the rejected inputs"));
  EXPECT_THAT(
      fit(learning::SeveralLabelRows({1, 2}, 1, {{0}, {0, 1}})),
      StrEq("row 'row1' has 2 labels: expected one label per row; this learner is single-label, give it "
            "a table with one label per row"));
  EXPECT_THAT(
      fit(learning::SeveralLabelRows({1, 2}, 1, {{0}, {0, 3}}), true),
      StrEq("row 'row1' has label 3: expected 0 to 2 for the 3 classes of its source; check the labels "
            "there"));
  const MemoryRows nan({1, 2, 3, std::numeric_limits<float>::quiet_NaN()}, 2, {0, 1});
  EXPECT_THAT(fit(nan), HasSubstr("feature 1 is nan: expected finite numbers"));
}

TEST(Mlp, RefusesParametersThatContradictEachOther) {
  EXPECT_THAT(error_of([] { StageHarness("mlp", "{epochs: 5, warmup_epochs: 6}"); }),
              StrEq("warmup_epochs: expected at most `epochs`, the whole training"));
  const MemoryRows rows = random_data(30, 4, 3, 1).rows();
  EXPECT_THAT(
      error_of([&] { StageHarness("mlp", "{hidden: [50000, 50000]}").fit(rows, no_rows(4), names(3)); }),
      StrEq("a network of 4 features, hidden layers [50000, 50000] and 3 classes has 2500450003 weights: "
            "expected at most 268435456; make `hidden` narrower"));
}

}  // namespace
}  // namespace graft
