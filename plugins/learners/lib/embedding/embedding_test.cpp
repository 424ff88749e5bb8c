#include <embedding/embedding.h>

#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include <graft/random.h>

#include <embedding/fits.h>
#include "learnt.h"

namespace graft::embedding {
namespace {

using graft::testing::error_of;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::IsEmpty;
using ::testing::Pointwise;
using ::testing::StrEq;

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

/// The rows of testdata/make_fixtures.py.
MemoryRows table(int n, int dim, int classes) {
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < n; ++i) {
    labels.push_back(i % classes);
    for (int j = 0; j < dim; ++j) {
      const double lean = j % classes == i % classes ? 2 : 0;
      values.push_back(static_cast<float>(std::sin(1.7 * (i + 1) * (j + 2)) * (j % 5 + 1) + 3 + lean));
    }
  }
  return MemoryRows(std::move(values), static_cast<std::size_t>(dim), labels);
}

MemoryRows random_rows(std::size_t n, std::size_t dim, std::size_t classes, std::uint64_t seed,
                       double lean = 1) {
  Random random(seed);
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(static_cast<std::int32_t>(i % classes));
    for (std::size_t d = 0; d < dim; ++d)
      values.push_back(static_cast<float>(random.normal() + (d == i % classes ? lean : 0)));
  }
  return MemoryRows(std::move(values), dim, labels);
}

/// Fits with the rows in memory, on one thread, and notes the warnings.
struct Fitting {
  std::vector<std::string> warnings;
  Warn warn = [this](const std::string& text) { warnings.push_back(text); };
  Sequential sequential;

  learning::FeatureRows rows(const MemoryRows& t, std::size_t classes = 3) {
    return learning::FeatureRows(t, classes, kAll, sequential);
  }
  Embedding pca(const MemoryRows& t, const PcaOptions& options = {}) {
    return fit_pca(rows(t), options, warn, sequential);
  }
  Embedding lda(const MemoryRows& t, const LdaOptions& options = {}, std::size_t classes = 3) {
    return fit_lda(rows(t, classes), classes, options, warn, sequential);
  }
  Embedding select(const MemoryRows& t, SelectBy by, std::size_t dims) {
    return select_features(rows(t), 3, by, dims, warn, sequential);
  }
  Embedding learnt(const MemoryRows& t, const LearntOptions& options, std::size_t classes = 3) {
    return fit_learnt(rows(t, classes), options, warn, sequential);
  }
};

/// Outputs of the given rows.
std::vector<float> outputs(const Embedding& e, const MemoryRows& t, const std::vector<std::size_t>& which) {
  std::vector<float> out(which.size() * e.dims()), row(t.dim());
  for (std::size_t i = 0; i < which.size(); ++i) {
    t.read(which[i], 1, row.data());
    e.apply(1, row.data(), out.data() + i * e.dims());
  }
  return out;
}

TEST(Pca, IsThatOfNumPy) {
  struct Case {
    int rows, dim;
    std::vector<double> shares;
    std::vector<float> plain, whitened;
  };
  const Case cases[] = {{40,
                         6,
                         {0.42124541, 0.24249668, 0.17706487},
                         {-3.85517920F, 4.90044704F, 0.05416796F, -4.59308922F, 1.05883309F, 3.60746961F},
                         {-1.04652933F, 1.75330400F, 0.02268040F, -1.24684284F, 0.37883407F, 1.51046582F}},
                        {5,  // fewer rows than features
                         8,
                         {0.68237227, 0.20210550, 0.08038310},
                         {-7.16005553F, -0.18800896F, 2.92779651F, -3.43664598F, 4.44903351F, -1.14455779F},
                         {-1.20970629F, -0.05836651F, 1.44122819F, -0.58062849F, 1.38118178F, -0.56341653F}}};
  for (const Case& c : cases) {
    Fitting fit;
    const MemoryRows t = table(c.rows, c.dim, 3);
    const Embedding plain = fit.pca(t, {.dims = 3});
    EXPECT_EQ(plain.inputs(), static_cast<std::size_t>(c.dim));
    EXPECT_THAT(plain.shares(), Pointwise(DoubleNear(1e-7), c.shares));
    EXPECT_NEAR(*plain.retained(), c.shares[0] + c.shares[1] + c.shares[2], 1e-7);
    EXPECT_THAT(outputs(plain, t, {0, 2}), Pointwise(FloatNear(2e-6F), c.plain));
    EXPECT_THAT(outputs(fit.pca(t, {.dims = 3, .whiten = true}), t, {0, 2}),
                Pointwise(FloatNear(2e-6F), c.whitened));
    EXPECT_THAT(fit.warnings, IsEmpty());
  }
}

TEST(Pca, KeepsTheFewestDirectionsWithTheWantedEnergy) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  EXPECT_EQ(fit.pca(t, {.energy = 0.42}).dims(), 1U);
  EXPECT_EQ(fit.pca(t, {.energy = 0.43}).dims(), 2U);
  EXPECT_EQ(fit.pca(t, {.energy = 0.8}).dims(), 3U);
  EXPECT_EQ(fit.pca(t, {.energy = 1.0}).dims(), 6U);
  EXPECT_EQ(fit.pca(t, {.dims = 2, .energy = 0.8}).dims(), 2U);
  EXPECT_EQ(fit.pca(t).dims(), 6U);
  EXPECT_NEAR(*fit.pca(t).retained(), 1, 1e-12);
}

TEST(Pca, HasOrthonormalDirectionsAndWhitensRandomRows) {
  for (const auto& [n, dim] : {std::pair{300, 20}, std::pair{21, 20}, std::pair{20, 20}, std::pair{7, 20}}) {
    Fitting fit;
    const MemoryRows t = random_rows(static_cast<std::size_t>(n), static_cast<std::size_t>(dim), 3, 5);
    const auto rows = fit.rows(t);
    const Embedding e = fit.pca(t);
    ASSERT_EQ(e.dims(), static_cast<std::size_t>(std::min(n - 1, dim)));
    for (std::size_t a = 0; a < e.dims(); ++a) {
      const float* v = e.directions().data() + a * e.inputs();
      const float* largest =
          std::max_element(v, v + dim, [](float x, float y) { return std::abs(x) < std::abs(y); });
      EXPECT_GT(*largest, 0);
      for (std::size_t b = 0; b <= a; ++b) {
        const float* w = e.directions().data() + b * e.inputs();
        EXPECT_NEAR(std::inner_product(v, v + dim, w, 0.0), a == b ? 1 : 0, 2e-6);
      }
    }
    const Embedding white = fit.pca(t, {.dims = 5, .whiten = true});
    const std::vector<float> y = embedded(rows, white, fit.sequential);
    for (std::size_t a = 0; a < 5; ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double sum = 0;
        for (std::size_t r = 0; r < rows.rows(); ++r) sum += static_cast<double>(y[r * 5 + a]) * y[r * 5 + b];
        EXPECT_NEAR(sum / n, a == b ? 1 : 0, 1e-5);
      }
    }
  }
}

TEST(Pca, ClampsWhatItDividesBy) {
  // Column 1 varies a thousand times less than column 0: its eigenvalue, 1e-6 of the first, counts as 1e-5.
  Fitting fit;
  const MemoryRows t({1, 0.001F, -1, 0.001F, 1, -0.001F, -1, -0.001F}, 2, {0, 0, 1, 1});
  const std::vector<float> y = outputs(fit.pca(t, {.whiten = true}), t, {0});
  EXPECT_NEAR(y[0], 1, 1e-6);
  EXPECT_NEAR(y[1], std::sqrt(0.1), 1e-4);
}

TEST(Pca, TellsWhenThereAreFewerDirections) {
  Fitting fit;
  EXPECT_EQ(fit.pca(table(5, 8, 3), {.dims = 64}).dims(), 4U);
  EXPECT_THAT(
      fit.warnings,
      ElementsAre(
          "embedding pca: 64 outputs were wanted, but the 5 train rows vary in 4 directions: 4 are taken"));
  // A column that is a multiple of another, and a constant one.
  std::vector<float> values;
  for (int i = 0; i < 30; ++i) {
    const auto v = static_cast<float>(std::sin(i));
    values.insert(values.end(), {v, 2 * v, 1000.1F, static_cast<float>(std::cos(3 * i))});
  }
  EXPECT_EQ(fit.pca(MemoryRows(values, 4, std::vector<std::int32_t>(30))).dims(), 2U);
}

TEST(Pca, RefusesRowsThatDoNotDiffer) {
  Fitting fit;
  EXPECT_THAT(error_of([&] { fit.pca(table(1, 4, 1)); }),
              StrEq("embedding pca: 1 labelled train row: expected at least 2"));
  for (const float v : {0.0F, 0.1F, 12345.67F, 3e38F}) {
    const MemoryRows same(std::vector<float>(30 * 3, v), 3, std::vector<std::int32_t>(30));
    EXPECT_THAT(error_of([&] { fit.pca(same); }),
                StrEq("embedding pca: the 30 train rows are all equal: expected rows that differ; check the "
                      "backbone and its input, or leave the embedding out"));
  }
}

TEST(Lda, IsThatOfScikitLearn) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  // LinearDiscriminantAnalysis(solver="eigen").
  const Embedding e = fit.lda(t, {.shrinkage = 0});
  EXPECT_THAT(
      outputs(e, t, {0, 2}),
      Pointwise(FloatNear(5e-6F), std::vector<float>{2.24819334F, 1.51094807F, -2.20484561F, -0.26245720F}));
  EXPECT_THAT(e.shares(), Pointwise(DoubleNear(1e-7), std::vector<double>{0.66795573, 0.33204427}));
  // Its solver "svd" divides by n - classes instead of n.
  EXPECT_NEAR(outputs(e, t, {0})[0] * std::sqrt(37.0 / 40), 2.162243114, 5e-6);
  // scipy.linalg.eigh(between, 0.75 within + 0.25 trace / 6 I).
  const Embedding shrunk = fit.lda(t, {.shrinkage = 0.25});
  EXPECT_THAT(
      outputs(shrunk, t, {0, 2}),
      Pointwise(FloatNear(5e-6F), std::vector<float>{-0.75665895F, 1.99578093F, 1.78193904F, -0.00909915F}));
  EXPECT_THAT(shrunk.shares(), Pointwise(DoubleNear(1e-7), std::vector<double>{0.59734142, 0.40265858}));
  EXPECT_THAT(fit.warnings, IsEmpty());
}

TEST(Lda, WorksWithFewerRowsThanFeaturesWhenItShrinks) {
  Fitting fit;
  const MemoryRows t = random_rows(12, 40, 3, 1, 3);
  EXPECT_EQ(fit.lda(t).dims(), 2U);
  EXPECT_THAT(error_of([&] { fit.lda(t, {.shrinkage = 0}); }),
              StrEq("embedding lda: the covariance within classes of 40 features, taken from 12 rows, has no "
                    "inverse: set shrinkage above 0, or use pca"));
}

TEST(Lda, CopesWithOneRowPerClassAndTellsWhatItCannotDo) {
  Fitting fit;
  const Embedding e = fit.lda(random_rows(3, 5, 3, 1), {.dims = 4});
  EXPECT_EQ(e.dims(), 2U);
  EXPECT_THAT(
      fit.warnings,
      ElementsAre(
          "embedding lda: no class varies, so its spread is zero: the directions between the "
          "classes are taken",
          "embedding lda: 4 outputs were wanted, but the means of 3 classes differ in 2 directions: 2 "
          "are taken"));
  const MemoryRows one({1, 2, 3, 4}, 2, {1, 1});
  EXPECT_THAT(
      error_of([&] { fit.lda(one); }),
      StrEq("embedding lda: the train rows show 1 class: expected at least 2 to tell apart; check the "
            "labels and the splits, or use pca"));
  const MemoryRows equal({1, 0, -1, 0, 1, 0, -1, 0}, 2, {0, 0, 1, 1});
  EXPECT_THAT(error_of([&] { fit.lda(equal); }),
              StrEq("embedding lda: the classes have equal means: no direction separates them"));
}

TEST(Select, TakesTheFeaturesOfLargestVarianceOrRatio) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  std::vector<float> row(6);
  t.read(7, 1, row.data());
  const Embedding variance = fit.select(t, SelectBy::Variance, 3);
  EXPECT_THAT(outputs(variance, t, {7}), ElementsAre(row[4], row[3], row[2]));
  const double all = 1.36718767 + 2.78068796 + 5.46536491 + 7.83707619 + 13.36508114 + 1.39908364;
  EXPECT_NEAR(variance.shares()[0], 13.36508114 / all, 1e-7);
  const Embedding fisher = fit.select(t, SelectBy::Fisher, 4);
  EXPECT_THAT(outputs(fisher, t, {7}), ElementsAre(row[0], row[5], row[1], row[2]));
  EXPECT_NEAR(fisher.shares()[0] / fisher.shares()[1], 1.82341722 / 1.74834125, 1e-6);
  EXPECT_THAT(fit.warnings, IsEmpty());
}

TEST(Select, TakesConstantFeaturesLast) {
  std::vector<float> values;
  for (int i = 0; i < 30; ++i)
    values.insert(values.end(), {1234.56F, static_cast<float>(i % 3), static_cast<float>(std::sin(i))});
  std::vector<std::int32_t> labels(30);
  for (int i = 0; i < 30; ++i) labels[static_cast<std::size_t>(i)] = i % 3;
  const MemoryRows t(values, 3, labels);
  Fitting fit;
  EXPECT_THAT(outputs(fit.select(t, SelectBy::Fisher, 5), t, {1}),
              ElementsAre(1.0F, static_cast<float>(std::sin(1)), 1234.56F));
  EXPECT_THAT(fit.warnings,
              ElementsAre("embedding select: 5 outputs were wanted, but a row has 3 features: 3 are taken"));
}

TEST(Truncation, KeepsTheFirstOutputs) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  for (const Embedding& e : {fit.pca(t), fit.select(t, SelectBy::Fisher, 5)}) {
    const Embedding two = e.truncated(2);
    const auto all = outputs(e, t, {9});
    EXPECT_THAT(outputs(two, t, {9}), ElementsAre(FloatNear(all[0], 1e-6F), FloatNear(all[1], 1e-6F)));
    EXPECT_EQ(two.shares().size(), 2U);
    EXPECT_EQ(e.truncated(99).dims(), e.dims());
  }
}

TEST(Learnt, FindsTheFeaturesThatTellClassesApart) {
  // Three features lean with the classes, 17 are noise of three times the size.
  Random random(3);
  const auto make = [&](std::size_t n) {
    std::vector<float> values;
    std::vector<std::int32_t> labels;
    for (std::size_t i = 0; i < n; ++i) {
      labels.push_back(static_cast<std::int32_t>(i % 3));
      for (std::size_t d = 0; d < 20; ++d)
        values.push_back(
            static_cast<float>(d < 3 ? 0.3 * random.normal() + (d == i % 3 ? 1 : 0) : 3 * random.normal()));
    }
    return MemoryRows(values, 20, labels);
  };
  const MemoryRows train = make(400);
  const MemoryRows test = make(200);
  const auto nearest_is_right = [&](const std::vector<float>& x, const std::vector<float>& q, std::size_t dim,
                                    bool unit) {
    int right = 0;
    for (std::size_t a = 0; a < 200; ++a) {
      std::size_t best = 0;
      double nearest = 1e300;
      for (std::size_t b = 0; b < 400; ++b) {
        double d = 0, aa = 0, bb = 0, ab = 0;
        for (std::size_t i = 0; i < dim; ++i) {
          const double u = q[a * dim + i], v = x[b * dim + i];
          d += (u - v) * (u - v), aa += u * u, bb += v * v, ab += u * v;
        }
        if (unit) d = -ab / std::sqrt(aa * bb);
        if (d < nearest) nearest = d, best = b;
      }
      right += best % 3 == a % 3 ? 1 : 0;
    }
    return right;
  };
  Fitting fit;
  const auto rows = fit.rows(train), queries = fit.rows(test);
  std::vector<float> raw_train(400 * 20), raw_test(200 * 20);
  train.read(0, 400, raw_train.data());
  test.read(0, 200, raw_test.data());
  EXPECT_LT(nearest_is_right(raw_train, raw_test, 20, false), 100);
  for (const auto loss : {LearntOptions::Loss::Nca, LearntOptions::Loss::Contrastive}) {
    const bool unit = loss == LearntOptions::Loss::Contrastive;
    const Embedding e = fit.learnt(train, {.loss = loss, .dims = 3, .max_iterations = 100});
    EXPECT_GT(
        nearest_is_right(embedded(rows, e, fit.sequential), embedded(queries, e, fit.sequential), 3, unit),
        170)
        << e.kind();
    EXPECT_LT(e.summary().find("loss")->as_double(), e.summary().find("loss_before")->as_double());
    EXPECT_FALSE(e.retained());
  }
  EXPECT_THAT(fit.warnings, IsEmpty());
}

TEST(Learnt, RefusesRowsWithNothingToLearnFrom) {
  Fitting fit;
  const LearntOptions nca;
  EXPECT_THAT(
      error_of([&] {
        fit.learnt(MemoryRows({1, 2, 3, 4}, 2, {1, 1}), nca);
      }),
      StrEq("embedding nca: the train rows show 1 class: expected at least 2 to tell apart; check the "
            "labels and the splits, or use pca"));
  EXPECT_THAT(
      error_of([&] { fit.learnt(random_rows(3, 4, 3, 1), {.loss = LearntOptions::Loss::Contrastive}); }),
      StrEq("embedding contrastive: every class has one train row: expected a class with at least 2, as what "
            "rows of a class have in common is learnt; use pca"));
}

TEST(Learnt, StopsWhenInterrupted) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  const learning::FeatureRows rows = fit.rows(t, 3);
  const std::atomic<bool> interrupted = true;
  Interruptible stopped(fit.sequential, interrupted);
  EXPECT_THROW(fit_learnt(rows, {}, fit.warn, stopped), Interrupted);
}

TEST(Embeddings, HaveTheSameBitsForAnyNumberOfThreadsAndFromDisk) {
  const MemoryRows t = random_rows(3000, 30, 3, 8);
  Fitting fit;
  Sequential one;
  graft::testing::Threads four(4);
  const learning::FeatureRows cached(t, 3, kAll, one), read(t, 3, 0, one);
  using Fit = std::function<Embedding(const learning::FeatureRows&, Parallel&)>;
  const Fit fits[] = {
      [&](const auto& rows, Parallel& p) { return fit_pca(rows, {.dims = 9, .whiten = true}, fit.warn, p); },
      [&](const auto& rows, Parallel& p) { return fit_lda(rows, 3, {}, fit.warn, p); },
      [&](const auto& rows, Parallel& p) {
        return select_features(rows, 3, SelectBy::Fisher, 5, fit.warn, p);
      },
      [&](const auto& rows, Parallel& p) {
        return fit_learnt(rows, {.dims = 4, .inputs = 10, .rows = 500, .max_iterations = 5}, fit.warn, p);
      }};
  for (const Fit& f : fits) {
    const auto want = embedded(cached, f(cached, one), one);
    EXPECT_EQ(embedded(cached, f(cached, four), four), want);
    EXPECT_EQ(embedded(read, f(read, four), four), want);
  }
}

TEST(Embeddings, MapAsBeforeAfterSavingAndLoading) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  for (const Embedding& e : {fit.pca(t, {.dims = 4}), fit.select(t, SelectBy::Variance, 3),
                             fit.learnt(t, {.dims = 2, .max_iterations = 3})}) {
    Bundle bundle;
    e.save(bundle);
    bundle.facts = Value::from_json(bundle.facts.to_json());
    const auto loaded = Embedding::load(bundle);
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->kind(), e.kind());
    EXPECT_EQ(outputs(*loaded, t, {0, 5, 39}), outputs(e, t, {0, 5, 39}));
  }
  EXPECT_FALSE(Embedding::load(Bundle{}));
}

TEST(Embeddings, RefuseADamagedBundle) {
  Fitting fit;
  const MemoryRows t = table(40, 6, 3);
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  Bundle pca, select;
  fit.pca(t, {.dims = 4}).save(pca);
  fit.select(t, SelectBy::Variance, 3).save(select);
  pca.tensors.erase("embedding.mean");
  EXPECT_THAT(error_of([&] { Embedding::load(pca); }),
              StrEq("bundle without the tensor 'embedding.mean': expected f32 [6]" + cure));
  select.tensors["embedding.columns"].as<std::int64_t>()[1] = 6;
  EXPECT_THAT(error_of([&] { Embedding::load(select); }),
              StrEq("tensor 'embedding.columns' of the bundle has column 6: expected 0 to 5" + cure));
}

TEST(Embeddings, SayWhatTheyAre) {
  Fitting fit;
  const Value v = fit.pca(table(40, 6, 3), {.dims = 2}).summary();
  EXPECT_EQ(v.find("kind")->as_string(), "pca");
  EXPECT_EQ(v.find("dims")->as_int(), 2);
  EXPECT_EQ(v.find("of")->as_int(), 6);
  EXPECT_NEAR(v.find("retained_energy")->as_double(), 0.42124541 + 0.24249668, 1e-7);
  EXPECT_FALSE(v.find("whiten")->as_bool());
}

}  // namespace
}  // namespace graft::embedding
