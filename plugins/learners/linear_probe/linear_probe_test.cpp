#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "testing/linear_probe_fixtures.h"

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using graft::testing::Threads;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;

/// c * sum CE + 0.5 |W|^2 of a saved model, written down from the formula.
double objective_of(const Bundle& bundle, const Data& data, double c, std::vector<double> shift = {}) {
  const Tensor& w = bundle.tensors.at("weight");
  const auto k = static_cast<std::size_t>(w.shape[0]);
  const float* bias = bundle.tensors.at("bias").as<float>();
  shift.resize(k * (data.dim + 1));
  double loss = 0, squares = 0;
  for (std::size_t i = 0; i < k * data.dim; ++i) squares += std::pow(w.as<float>()[i] + shift[i], 2);
  for (std::size_t r = 0; r < data.labels.size(); ++r) {
    std::vector<double> z(k);
    double sum = 0;
    for (std::size_t j = 0; j < k; ++j) {
      z[j] = bias[j] + shift[k * data.dim + j];
      for (std::size_t d = 0; d < data.dim; ++d) {
        z[j] += (w.as<float>()[j * data.dim + d] + shift[j * data.dim + d]) * data.values[r * data.dim + d];
      }
      sum += std::exp(z[j]);
    }
    loss += std::log(sum) - z[static_cast<std::size_t>(data.labels[r])];
  }
  return c * loss + 0.5 * squares;
}

TEST(LinearProbe, ReportsTheObjectiveOfItsModelAndNothingNearIsBetter) {
  for (const double c : {0.03, 3.0}) {
    const Data data = random_data(400, 9, 4, 3);
    StageHarness probe("linear_probe", "{c: " + std::to_string(c) + "}");
    const LearnerResult result = probe.fit(data.rows(), no_rows(9), names(4));
    Bundle bundle;
    result.predictor->save(bundle);
    const double here = objective_of(bundle, data, c);
    EXPECT_NEAR(result.summary.find("path")->as_list()[0].find("objective")->as_double(), here, 1e-5 * here);
    Random random(1);
    for (int i = 0; i < 50; ++i) {
      std::vector<double> shift(4 * 10);
      for (double& s : shift) s = 0.05 * random.normal();
      EXPECT_GT(objective_of(bundle, data, c, shift), here * (1 - 1e-6));
    }
  }
}

TEST(LinearProbe, ChoosesOnValAndRefitsOnBoth) {
  const Data train = random_data(60, 20, 3, 1, 0.7);
  const Data val = random_data(300, 20, 3, 2, 0.7);
  const MemoryRows train_rows = train.rows(), val_rows = val.rows();
  StageHarness probe("linear_probe", "{c: [100, 1e-4, 0.1, 1]}");
  const LearnerResult result = probe.fit(train_rows, val_rows, names(3));
  EXPECT_THAT(probe.warnings(), IsEmpty());

  const Value::List& path = result.summary.find("path")->as_list();
  ASSERT_EQ(path.size(), 4U);
  double best_accuracy = -1, best_loss = 0, best_c = 0, last_c = 0;
  for (const Value& step : path) {
    const double c = step.find("c")->as_double();
    EXPECT_GT(c, last_c);  // from strong to weak
    last_c = c;
    // The warm start does not move the optimum.
    StageHarness alone("linear_probe", "{c: " + std::to_string(c) + "}");
    const LearnerResult cold = alone.fit(train_rows, val_rows, names(3));
    const Value& same = cold.summary.find("path")->as_list().at(0);
    EXPECT_NEAR(step.find("objective")->as_double() / same.find("objective")->as_double(), 1, 2e-6);
    const double accuracy = step.find("val_accuracy")->as_double();
    const double loss = step.find("val_log_loss")->as_double();
    if (accuracy > best_accuracy || (accuracy == best_accuracy && loss < best_loss)) {
      best_accuracy = accuracy, best_loss = loss, best_c = c;
    }
  }
  EXPECT_EQ(result.summary.find("c")->as_double(), best_c);
  EXPECT_EQ(result.summary.find("chosen_on")->as_string(), "val");

  // Val scores are those of the model before the refit.
  double correct = 0;
  for (std::size_t r = 0; r < 300; ++r) {
    const float* row = result.val.row(r);
    correct += std::max_element(row, row + 3) - row == val.labels[r] ? 1 : 0;
    EXPECT_NEAR(std::accumulate(row, row + 3, 0.0), 1, 1e-6);
  }
  EXPECT_DOUBLE_EQ(correct / 300, best_accuracy);

  // The final model is the one that a fit on all rows gives.
  Data both = train;
  both.values.insert(both.values.end(), val.values.begin(), val.values.end());
  both.labels.insert(both.labels.end(), val.labels.begin(), val.labels.end());
  StageHarness all("linear_probe", "{c: " + std::to_string(best_c) + "}");
  const LearnerResult refit = all.fit(both.rows(), no_rows(20), names(3));
  EXPECT_NEAR(result.summary.find("refit")->find("objective")->as_double() /
                  refit.summary.find("path")->as_list()[0].find("objective")->as_double(),
              1, 2e-6);
  EXPECT_EQ(result.summary.find("refit")->find("rows")->as_int(), 360);
}

TEST(LinearProbe, HasTheSameBitsForAnyNumberOfThreadsAndFromDisk) {
  // 5 blocks of rows; 12 columns on a common offset, so that the preconditioner has something to do.
  Data data = random_data(5000, 12, 4, 1);
  for (float& v : data.values) v += 3;
  const MemoryRows train = data.rows();
  const MemoryRows val = random_data(1500, 12, 4, 2).rows();
  for (const char* scale : {"none", "standard"}) {
    const std::string with = std::string("{c: [0.01, 1], scale: ") + scale;
    Sequential one;
    Threads four(4);
    StageHarness a("linear_probe", with + "}"), b("linear_probe", with + "}"),
        c("linear_probe", with + ", cache: 0}");
    const LearnerResult x = a.fit(train, val, names(4), &one);
    const LearnerResult y = b.fit(train, val, names(4), &four);
    const LearnerResult z = c.fit(train, val, names(4), &four);
    EXPECT_EQ(x.summary, y.summary) << scale;
    EXPECT_EQ(x.summary, z.summary) << scale;
    EXPECT_EQ(x.val.values, y.val.values) << scale;
    EXPECT_EQ(x.predictor->predict({&val}, one).values, y.predictor->predict({&val}, four).values) << scale;
  }
}

TEST(LinearProbe, ScoresAsBeforeAfterSavingAndLoading) {
  for (const std::size_t classes : {2, 3}) {
    for (const char* scale : {"none", "l2", "standard"}) {
      const MemoryRows train = random_data(200, 7, classes, 1).rows();
      const MemoryRows val = random_data(50, 7, classes, 2).rows();
      StageHarness probe("linear_probe", std::string("{scale: ") + scale + "}");
      const LearnerResult result = probe.fit(train, val, names(classes));
      Bundle bundle;
      result.predictor->save(bundle);
      bundle.facts = Value::from_json(bundle.facts.to_json());
      Sequential sequential;
      EXPECT_EQ(probe.as<Learner>().load(bundle)->predict({&val}, sequential).values,
                result.predictor->predict({&val}, sequential).values);
    }
  }
}

TEST(LinearProbe, RefusesADamagedBundle) {
  StageHarness probe("linear_probe", "{c: 1, scale: standard}");
  Bundle good;
  probe.fit(random_data(30, 4, 3, 1).rows(), no_rows(4), names(3)).predictor->save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { probe.as<Learner>().load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("bias"); }),
              StrEq("bundle without the tensor 'bias': expected f32 [3]" + cure));
  EXPECT_THAT(load([](Bundle& b) {
                b.tensors["weight"] = Tensor::allocate(DType::F32, {3, 5});
              }),
              StrEq("tensor 'weight' of the bundle is f32 [3,5]: expected f32 [3,4]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("scale.mean"); }),
              StrEq("bundle without the tensor 'scale.mean': expected f32 [4]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["loss"] = "hinge"; }),
              StrEq("loss 'hinge': expected softmax, one_vs_rest, independent"));
  EXPECT_THAT(load([](Bundle& b) { b.facts["scale"] = "log"; }),
              StrEq("feature scaling 'log': expected none, l2 or standard"));
  EXPECT_THAT(load([](Bundle& b) {
                b.tensors["bias"] = StageHarness::tensor({3}, {0, std::numeric_limits<float>::infinity(), 0});
              }),
              StrEq("tensor 'bias' of the bundle has values that are not finite" + cure));
}

TEST(LinearProbe, GivesAClassWithoutTrainRowsTheScoreZero) {
  Data data = random_data(90, 5, 3, 1);
  for (std::int32_t& label : data.labels)
    label = label == 1 ? 3 : label;  // of five classes 1 and 4 are absent
  StageHarness probe("linear_probe", "{c: 1}");
  const LearnerResult result = probe.fit(data.rows(), no_rows(5), names(5));
  EXPECT_THAT(probe.warnings(),
              ElementsAre("no train rows of class1, class4: the score of such a class is 0"));
  Sequential sequential;
  const MemoryRows rows = data.rows();
  const Scores scores = result.predictor->predict({&rows}, sequential);
  ASSERT_EQ(scores.classes, 5U);
  for (std::size_t r = 0; r < scores.rows; ++r) {
    EXPECT_EQ(scores.row(r)[1], 0);
    EXPECT_EQ(scores.row(r)[4], 0);
    EXPECT_NEAR(scores.row(r)[0] + scores.row(r)[2] + scores.row(r)[3], 1, 1e-6);
  }
}

TEST(LinearProbe, RefitsWithAClassThatOnlyValHas) {
  const MemoryRows train = random_data(60, 4, 2, 1).rows();
  const MemoryRows val = random_data(60, 4, 3, 2).rows();
  const LearnerResult result = StageHarness("linear_probe", "{c: [0.1, 1]}").fit(train, val, names(3));
  Sequential sequential;
  const Scores scores = result.predictor->predict({&val}, sequential);
  EXPECT_EQ(result.val.row(2)[2], 0);
  EXPECT_GT(scores.row(2)[2], 0.2F);
}

TEST(LinearProbe, TakesTheValueNearestToOneWithoutVal) {
  StageHarness probe("linear_probe", "{c: [0.001, 0.3, 50]}");
  const LearnerResult result = probe.fit(random_data(30, 4, 3, 1).rows(), no_rows(4), names(3));
  EXPECT_EQ(result.summary.find("c")->as_double(), 0.3);
  EXPECT_EQ(result.val.rows, 0U);
  EXPECT_THAT(
      probe.warnings(),
      ElementsAre(
          "table 'table' has no labelled val rows to choose c on: taking c = 0.3 (nearest to 1); give the "
          "source a val split, or set c to one value"));
}

TEST(LinearProbe, LeavesOutUnlabelledRows) {
  const Data full = random_data(60, 4, 2, 1);
  Data holes = full;
  for (int i = 0; i < 20; ++i) {  // rows of nonsense without a label
    holes.values.insert(holes.values.begin() + i * 12, {1e3F, -1e3F, 1e3F, 5});
    holes.labels.insert(holes.labels.begin() + i * 3, -1);
  }
  StageHarness a("linear_probe", "{c: 1}"), b("linear_probe", "{c: 1}");
  const LearnerResult x = a.fit(full.rows(), no_rows(4), names(2));
  const LearnerResult y = b.fit(holes.rows(), no_rows(4), names(2));
  EXPECT_THAT(b.warnings(), IsEmpty());  // the run warns of them
  EXPECT_EQ(x.summary, y.summary);
}

TEST(LinearProbe, CopesWithConstantAndHugeFeatures) {
  Data data = random_data(200, 4, 2, 1);
  for (std::size_t r = 0; r < 200; ++r) {
    data.values[r * 4 + 2] = 7;      // constant
    data.values[r * 4 + 3] *= 1e6F;  // far out of scale
  }
  for (const char* scale : {"none", "l2", "standard"}) {
    StageHarness probe("linear_probe", std::string("{c: [0.01, 1], scale: ") + scale + "}");
    const MemoryRows rows = data.rows();
    const LearnerResult result = probe.fit(rows, rows, names(2));
    for (const float v : result.val.values) ASSERT_TRUE(v >= 0 && v <= 1);
    if (std::string(scale) == "standard") {
      EXPECT_GT(result.summary.find("refit")->find("train_accuracy")->as_double(), 0.85);
    }
  }
}

TEST(LinearProbe, AllFeaturesZeroGivesTheShareOfEveryClass) {
  std::vector<std::int32_t> labels(40, 0);
  std::fill(labels.begin(), labels.begin() + 10, 1);
  const MemoryRows rows(std::vector<float>(80), 2, labels);
  const LearnerResult result =
      StageHarness("linear_probe", "{c: 1, tolerance: 1e-9}").fit(rows, rows, names(2));
  EXPECT_NEAR(result.val.row(0)[1], 0.25, 1e-3);
}

TEST(LinearProbe, WarnsOfAFitThatFloat32EndedFarFromItsOptimum) {
  Data data = random_data(200, 24, 4, 1);
  for (float& v : data.values) v = 3 * v + 1e7F;
  // Imbalanced, so that the offset makes the gradient at zero weights huge.
  for (std::size_t r = 3; r < 200; r += 8) data.labels[r] = 0;
  const MemoryRows rows = data.rows();
  StageHarness probe("linear_probe", "{c: 1}"), scaled("linear_probe", "{c: 1, scale: standard}");
  const LearnerResult result = probe.fit(rows, no_rows(24), names(4));
  const Value& step = result.summary.find("path")->as_list().at(0);
  EXPECT_EQ(step.find("stop")->as_string(), "precision");
  EXPECT_THAT(probe.warnings(),
              ElementsAre("c = 1 stopped after " + std::to_string(step.find("iterations")->as_int()) +
                          " iterations where float32 features allow no further progress: scale them (scale: "
                          "standard)"));
  const LearnerResult good = scaled.fit(rows, no_rows(24), names(4));
  EXPECT_THAT(scaled.warnings(), IsEmpty());
  EXPECT_LT(good.summary.find("path")->as_list().at(0).find("objective")->as_double(),
            0.9 * step.find("objective")->as_double());
}

TEST(LinearProbe, GivesTheSharesOfImbalancedClassesWithASmallC) {
  Data data = random_data(90, 5, 3, 1);
  for (std::size_t r = 0; r < 90; ++r) data.labels[r] = r % 9 == 0 ? 1 : r % 18 == 1 ? 2 : 0;
  for (const char* loss : {"softmax", "one_vs_rest"}) {
    StageHarness probe("linear_probe", std::string("{c: 1e-9, loss: ") + loss + "}");
    const MemoryRows rows = data.rows();
    Sequential sequential;
    const Scores scores = probe.fit(rows, no_rows(5), names(3)).predictor->predict({&rows}, sequential);
    EXPECT_NEAR(scores.row(0)[0], 75 / 90.0, 1e-4) << loss;
    EXPECT_NEAR(scores.row(0)[1], 10 / 90.0, 1e-4) << loss;
    EXPECT_NEAR(scores.row(0)[2], 5 / 90.0, 1e-4) << loss;
  }
}

TEST(LinearProbe, ReportsTheGradientThatWasReached) {
  const Data data = random_data(400, 9, 4, 3);
  const MemoryRows rows = data.rows();
  StageHarness probe("linear_probe", "{c: 0.1, tolerance: 1e-6}");
  const LearnerResult result = probe.fit(rows, no_rows(9), names(4));
  const Value& step = result.summary.find("path")->as_list().at(0);
  EXPECT_EQ(step.find("stop")->as_string(), "converged");
  const double gradient = step.find("gradient")->as_double();
  EXPECT_LE(0.5 * gradient * gradient, 1e-6 * step.find("objective")->as_double());
  // At zero weights all probabilities are 1/4.
  double at_zero = 0;
  for (std::size_t d = 0; d < 9; ++d) {
    for (std::int32_t k = 0; k < 4; ++k) {
      double sum = 0;
      for (std::size_t r = 0; r < 400; ++r)
        sum += 0.1 * (0.25 - (data.labels[r] == k ? 1 : 0)) * data.values[r * 9 + d];
      at_zero = std::max(at_zero, std::abs(sum));
    }
  }
  EXPECT_NEAR(step.find("relative_gradient")->as_double() / (gradient / at_zero), 1, 1e-5);
  // A rougher fit takes fewer iterations.
  StageHarness rough("linear_probe", "{c: 10, gradient_tolerance: 0.05}");
  const LearnerResult early = rough.fit(rows, no_rows(9), names(4));
  StageHarness exact("linear_probe", "{c: 10}");
  const LearnerResult late = exact.fit(rows, no_rows(9), names(4));
  const Value& a = early.summary.find("path")->as_list().at(0);
  const Value& b = late.summary.find("path")->as_list().at(0);
  EXPECT_LE(a.find("relative_gradient")->as_double(), 0.05);
  EXPECT_LT(a.find("iterations")->as_int(), b.find("iterations")->as_int());
}

TEST(LinearProbe, HasALogarithmicGridUnlessToldOtherwise) {
  StageHarness probe("linear_probe");
  const MemoryRows rows = random_data(60, 4, 3, 1).rows();
  const LearnerResult result = probe.fit(rows, rows, names(3));
  const Value::List& path = result.summary.find("path")->as_list();
  ASSERT_EQ(path.size(), 13U);
  for (std::size_t i = 0; i < path.size(); ++i) {
    EXPECT_NEAR(std::log10(path[i].find("c")->as_double()), -4 + 0.5 * static_cast<double>(i), 1e-3);
  }
}

TEST(LinearProbe, ChoosesByTheLogLossWhereRowsHaveSeveralLabels) {
  const auto train = two_labels_a_row(random_data(60, 20, 3, 1, 0.7), 3),
             val = two_labels_a_row(random_data(300, 20, 3, 2, 0.7), 3);
  StageHarness probe("linear_probe", "{c: [1e-4, 0.01, 0.1, 1, 100]}");
  const LearnerResult result = probe.fit(train, val, names(3), nullptr, true);
  EXPECT_THAT(probe.warnings(), IsEmpty());
  double best = std::numeric_limits<double>::infinity(), c = 0;
  for (const Value& step : result.summary.find("path")->as_list()) {
    if (const double loss = step.find("val_log_loss")->as_double(); loss < best) {
      best = loss, c = step.find("c")->as_double();
    }
  }
  EXPECT_EQ(result.summary.find("c")->as_double(), c);
  double loss = 0;
  for (std::size_t r = 0; r < 300; ++r) {
    for (std::int32_t k = 0; k < 3; ++k) {
      const auto labels = val.labels(r);
      const double p = result.val.row(r)[k];
      loss -= std::log(std::count(labels.begin(), labels.end(), k) > 0 ? p : 1 - p) / 900;
    }
  }
  EXPECT_NEAR(loss, best, 1e-5);
}

TEST(LinearProbe, KeepsItsBitsWithBinaryQuestions) {
  const Data data = random_data(3000, 12, 4, 1), more = random_data(500, 12, 4, 2);
  const auto several = two_labels_a_row(data, 4), several_val = two_labels_a_row(more, 4);
  const MemoryRows single = data.rows(), single_val = more.rows();
  for (const bool multi_label : {false, true}) {
    const RowSet& train = multi_label ? static_cast<const RowSet&>(several) : single;
    const RowSet& val = multi_label ? static_cast<const RowSet&>(several_val) : single_val;
    Sequential one;
    Threads four(4);
    const std::string with = "{c: [0.01, 1], loss: one_vs_rest, class_weights: balanced";
    StageHarness a("linear_probe", with + "}"), b("linear_probe", with + "}"),
        c("linear_probe", with + ", cache: 0}");
    const LearnerResult x = a.fit(train, val, names(4), &one, multi_label);
    const LearnerResult y = b.fit(train, val, names(4), &four, multi_label);
    const LearnerResult z = c.fit(train, val, names(4), &four, multi_label);
    EXPECT_EQ(x.summary, y.summary);
    EXPECT_EQ(x.summary, z.summary);
    EXPECT_EQ(x.val.values, y.val.values);
    Bundle bundle;
    x.predictor->save(bundle);
    bundle.facts = Value::from_json(bundle.facts.to_json());
    EXPECT_EQ(a.as<Learner>().load(bundle)->predict({&val}, one).values,
              z.predictor->predict({&val}, four).values);
  }
}

TEST(LinearProbe, LearnsOneQuestionAlone) {  // rows that have the label, or no such class and another one
  Data data = random_data(80, 4, 2, 1);
  std::vector<std::vector<std::int32_t>> labels;
  for (const std::int32_t y : data.labels) labels.push_back(y == 1 ? std::vector{0, 1} : std::vector{0});
  const learning::SeveralLabelRows rows(data.values, 4, labels);
  StageHarness probe("linear_probe", "{c: 1}");
  const LearnerResult result = probe.fit(rows, rows, names(3), nullptr, true);
  EXPECT_THAT(probe.warnings(),
              ElementsAre("no train rows of class2: the score of such a class is 0",
                          "all train rows are of class0: its score is near 1 whatever the input"));
  for (std::size_t r = 0; r < 80; ++r) {
    EXPECT_GT(result.val.row(r)[0], 0.99F);
    EXPECT_EQ(result.val.row(r)[2], 0);
  }
}

TEST(LinearProbe, SaysWhatIsOddAboutFeaturesAndClasses) {
  const Data train = random_data(60, 4, 3, 1);
  const MemoryRows without = random_data(20, 4, 2, 2).rows();
  StageHarness absent("linear_probe", "{c: [0.1, 1]}");
  absent.fit(train.rows(), without, names(3));
  EXPECT_THAT(absent.warnings(), ElementsAre("no val rows of class2: c is chosen without such a class"));

  StageHarness same("linear_probe", "{c: 1, scale: standard}");
  const MemoryRows constant(std::vector<float>(40, 5), 2, random_data(20, 2, 2, 1).labels);
  const LearnerResult shares = same.fit(constant, constant, names(2));
  EXPECT_THAT(
      same.warnings(),
      ElementsAre("table 'table': all 2 features are the same in all train rows: every input gets the "
                  "shares of the classes as its scores; check the backbone and its normalisation"));
  EXPECT_EQ(shares.summary.find("constant_features")->as_int(), 2);
  for (const float v : shares.val.values) EXPECT_NEAR(v, 0.5F, 1e-3F);

  Data zeros = train;
  std::fill_n(zeros.values.begin(), 8, 0.0F);
  StageHarness l2("linear_probe", "{c: 1, scale: l2}");
  const MemoryRows rows = zeros.rows();
  const LearnerResult result = l2.fit(rows, rows, names(3));
  EXPECT_THAT(l2.warnings(),
              ElementsAre("table 'table': 2 train rows have zeros only; they have no direction, and "
                          "scale: l2 leaves them as they are"));
  for (const float v : result.val.values) EXPECT_TRUE(v > 0 && v < 1);
}

TEST(LinearProbe, TakesOneRowOfVal) {
  const MemoryRows one({1, 0, 0, 0}, 4, {0});
  StageHarness probe("linear_probe", "{c: [0.1, 1]}");
  const LearnerResult result = probe.fit(random_data(60, 4, 2, 1).rows(), one, names(2));
  EXPECT_EQ(result.val.rows, 1U);
  EXPECT_THAT(error_of([&] { probe.fit(one, no_rows(4), names(2)); }),
              HasSubstr("has train rows of 1 of its 2 classes"));
}

TEST(LinearProbe, SaysWhenItDidNotConverge) {
  StageHarness probe("linear_probe", "{c: 100, max_iterations: 1}");
  probe.fit(random_data(300, 10, 3, 1).rows(), no_rows(10), names(3));
  EXPECT_THAT(
      probe.warnings(),
      ElementsAre("c = 100 did not converge in 1 iterations: raise max_iterations, or scale the features "
                  "(scale: standard)"));
}

TEST(LinearProbe, RefusesTablesItCannotLearnFrom) {
  const auto fit = [](const RowSet& train) {
    return error_of([&] { StageHarness("linear_probe").fit(train, no_rows(train.dim()), names(3)); });
  };
  EXPECT_THAT(
      fit(MemoryRows({1, 2, 3}, 1, {2, 2, -1})),
      StrEq("table 'table' has train rows of 1 of its 3 classes: expected at least 2 classes to tell apart; "
            "check the labels, the splits and the rejected inputs"));
  const learning::SeveralLabelRows alike({1, 2}, 1, {{0, 2}, {2, 0}});
  EXPECT_THAT(error_of([&] { StageHarness("linear_probe").fit(alike, no_rows(1), names(3), nullptr, true); }),
              StrEq("table 'table': each of its 3 classes is on all of the 2 labelled train rows or on none: "
                    "expected a "
                    "class to tell apart; check the labels, the splits and the rejected inputs"));
  EXPECT_THAT(
      fit(learning::SeveralLabelRows({1, 2}, 1, {{0}, {0, 1}})),
      StrEq("row 'row1' has 2 labels: expected one label per row; this learner is single-label, give it a "
            "table with one label per row"));
  const MemoryRows outside({1, 2}, 1, {0, 3});
  EXPECT_THAT(fit(outside),
              StrEq("row '" + std::string(outside.key(1)) +
                    "' has label 3: expected 0 to 2 for the 3 classes of its source; check the labels "
                    "there"));
  const MemoryRows nan({1, 2, 3, std::numeric_limits<float>::quiet_NaN()}, 2, {0, 1});
  EXPECT_THAT(fit(nan),
              StrEq("row '" + std::string(nan.key(1)) +
                    "' (view 0): feature 1 is nan: expected finite numbers; look at this input, drop it from "
                    "the source, or check the normalisation and precision of the backbone"));
  EXPECT_THAT(
      fit(MemoryRows({3e38F, -3e38F, 3e38F, 3e38F, -3e38F, -3e38F}, 2, {0, 0, 1})),
      StrEq("the objective is not finite where the minimisation starts: the features are too large; scale "
            "them"));
}

TEST(LinearProbe, RefusesToScoreWhatOverflows) {
  const MemoryRows train = random_data(60, 4, 3, 1).rows();
  const LearnerResult result = StageHarness("linear_probe", "{c: 100}").fit(train, no_rows(4), names(3));
  const MemoryRows far({3e38F, -3e38F, 3e38F, -3e38F}, 4, {0});
  Sequential sequential;
  EXPECT_THAT(
      error_of([&] { result.predictor->predict({&far}, sequential); }),
      StrEq("row '" + std::string(far.key(0)) +
            "': its features are so far from those of training that the scores overflow; look at this input, "
            "or use another scale"));
}

}  // namespace
}  // namespace graft
