#include <gmock/gmock.h>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <graft/random.h>

#include "hybrid_model.h"

namespace graft {
namespace {

using graft::testing::error_of;
using graft::testing::StageHarness;
using graft::testing::Threads;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;

const std::vector<std::string> kClasses = {"a", "b", "c"};

/// Points in six sectors around a centre that belong to the three classes in turn: a linear head cannot tell
/// them apart, neighbours and a hidden layer can.
MemoryRows sectors(std::size_t rows, std::uint64_t seed, Split split = Split::Train, std::size_t dim = 8) {
  Random random(seed);
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto sector = static_cast<int>(r % 6);
    const double angle = (sector + random.uniform(0.1, 0.9)) * 1.0471976, radius = random.uniform(0.5, 2);
    labels.push_back(sector % 3);
    for (std::size_t d = 0; d < dim; ++d)
      values.push_back(static_cast<float>(d == 0   ? 4 + radius * std::cos(angle)
                                          : d == 1 ? radius * std::sin(angle)
                                                   : 0.3 * random.normal()));
  }
  return MemoryRows(std::move(values), dim, labels, split);
}

MemoryRows no_rows(std::size_t dim = 8) {
  return MemoryRows({}, dim, {}, Split::Val);
}

double accuracy(const Scores& scores, const RowSet& rows) {
  double right = 0;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    const float* row = scores.row(r);
    right += std::max_element(row, row + scores.classes) - row == rows.label(r) ? 1 : 0;
  }
  return right / static_cast<double>(scores.rows);
}

double fact(const Value& summary, const char* name) {
  return summary.find(name)->as_double();
}

double part(const Value& summary, const std::string& name) {
  for (const Value& v : summary.find("ablation")->as_list())
    if (v.find("part")->as_string().starts_with(name)) return v.find("val_accuracy")->as_double();
  return -1;
}

constexpr const char* kVariants[] = {"concat", "mix", "cache"};

std::string with(const std::string& variant, const std::string& more = "") {
  return "{directions: {m: [4, 8]}, hidden: {units: 16, epochs: 30}, n: [3, 10], c: [1, 100], variant: " +
         variant + more + "}";
}

class Variants : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Hybrid, Variants, ::testing::ValuesIn(kVariants),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Variants, IsAtLeastAsGoodAsItsPartsOnVal) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    StageHarness hybrid("hybrid", with(GetParam()), seed);
    const MemoryRows train = sectors(150, seed), val = sectors(90, seed + 100, Split::Val);
    const LearnerResult result = hybrid.fit(train, val, kClasses);
    const double all = part(result.summary, "hybrid");
    EXPECT_GE(all, part(result.summary, "head"));
    EXPECT_GE(all, part(result.summary, "votes"));
    EXPECT_NEAR(accuracy(result.val, val), all, 1e-12);
    EXPECT_THAT(hybrid.warnings(), IsEmpty());
    EXPECT_EQ(result.summary.find("ablation")->as_list().size(), 5u);
    EXPECT_EQ(result.summary.find("variant")->as_string(), GetParam());
  }
}

TEST_P(Variants, HasTheSameBitsForAnyNumberOfThreads) {
  Threads one(1), four(4);
  const MemoryRows train = sectors(150, 1), val = sectors(60, 2, Split::Val),
                   test = sectors(40, 3, Split::Test);
  StageHarness a("hybrid", with(GetParam())), b("hybrid", with(GetParam()));
  const LearnerResult x = a.fit(train, val, kClasses, &one), y = b.fit(train, val, kClasses, &four);
  EXPECT_EQ(x.summary, y.summary);
  EXPECT_EQ(x.val.values, y.val.values);
  EXPECT_EQ(x.predictor->predict({&test}, one).values, y.predictor->predict({&test}, four).values);
}

TEST_P(Variants, SavedAndLoadedItGivesTheSameBits) {
  const MemoryRows train = sectors(150, 1), val = sectors(60, 2, Split::Val),
                   test = sectors(40, 3, Split::Test);
  StageHarness hybrid("hybrid", with(GetParam()));
  const LearnerResult result = hybrid.fit(train, val, kClasses);
  Bundle bundle;
  result.predictor->save(bundle);
  bundle.facts = Value::from_json(bundle.facts.to_json());
  Sequential sequential;
  const auto loaded = hybrid.as<Learner>().load(bundle);
  EXPECT_EQ(loaded->predict({&test}, sequential).values,
            result.predictor->predict({&test}, sequential).values);
  for (const std::string name : {"combination", "n", "alpha", "hidden", "rows"}) {
    Bundle without;
    without.tensors = bundle.tensors;
    for (const auto& [key, value] : bundle.facts.as_map())
      if (key != name) without.facts[key] = value;
    EXPECT_THAT(error_of([&] { hybrid.as<Learner>().load(without); }), HasSubstr("'" + name + "'"));
  }
}

TEST_P(Variants, ScoresAreProbabilities) {
  StageHarness hybrid("hybrid", with(GetParam()));
  const MemoryRows train = sectors(60, 1), val = sectors(30, 2, Split::Val),
                   test = sectors(50, 3, Split::Test);
  Sequential sequential;
  const Scores scores = hybrid.fit(train, val, kClasses).predictor->predict({&test}, sequential);
  for (std::size_t r = 0; r < scores.rows; ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_GE(scores.row(r)[c], 0);
      sum += scores.row(r)[c];
    }
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

TEST(Hybrid, LearnsSectorsThatALinearHeadCannot) {
  StageHarness hybrid("hybrid", "{hidden: {units: 64, epochs: 150, patience: 50}, directions: {m: 2}}");
  StageHarness linear("linear_probe");
  const MemoryRows train = sectors(600, 1, Split::Train, 2), val = sectors(200, 2, Split::Val, 2),
                   test = sectors(400, 3, Split::Test, 2);
  Sequential sequential;
  const double probe =
      accuracy(linear.fit(train, val, kClasses).predictor->predict({&test}, sequential), test);
  const double both =
      accuracy(hybrid.fit(train, val, kClasses).predictor->predict({&test}, sequential), test);
  EXPECT_GT(both, probe + 0.3);
}

TEST(Hybrid, ATrainingRowNeverAsksItself) {
  Random random(4);
  for (int round = 0; round < 30; ++round) {
    const std::size_t rows = 2 + random.below(60), dim = 1 + random.below(6), k = 1 + random.below(12);
    std::vector<float> values;
    for (std::size_t i = 0; i < rows * dim; ++i) values.push_back(static_cast<float>(random.normal()));
    for (std::size_t i = 0; i < dim && rows > 3; ++i)
      values[dim + i] = values[2 * dim + i] = values[i];  // copies
    learning::RowScaler(learning::RowScaler::Kind::L2).apply(rows, dim, values.data());
    const search::ExactIndex index(values, dim, search::Metric::kCosine);
    Sequential sequential;
    const MemoryRows table(values, dim, std::vector<std::int32_t>(rows));
    std::vector<std::size_t> positions(rows);
    std::iota(positions.begin(), positions.end(), std::size_t{0});
    const Neighbourhood own =
        neighbours_of_own_rows(index, search::Provenance(table, positions), k, sequential);
    EXPECT_EQ(own.of(0, k).size(), std::min(k, rows - 1));
    for (std::size_t r = 0; r < rows; ++r) {
      // Brute force in double, of equals the lower row first.
      std::vector<std::pair<double, std::size_t>> all;
      for (std::size_t i = 0; i < rows; ++i) {
        double s = 0;
        for (std::size_t d = 0; d < dim; ++d)
          s += static_cast<double>(values[r * dim + d]) * static_cast<double>(values[i * dim + d]);
        if (i != r) all.emplace_back(-s, i);
      }
      std::sort(all.begin(), all.end());
      for (std::size_t n = 0; n < own.of(r, k).size(); ++n) {
        const search::Neighbour& found = own.of(r, own.k)[n];
        EXPECT_NE(found.row, r);
        EXPECT_NEAR(found.similarity, -all[n].first, 1e-12);
      }
    }
  }
}

TEST(Hybrid, NeighboursSayWhatTheFormulasSay) {
  // Two classes; neighbours of the only query: cosines 0.8 (class 1), 0.6 (class 0), 0 (class 0).
  const search::ExactIndex index({0, 1, 0.6F, 0.8F, 0.8F, 0.6F}, 2, search::Metric::kCosine);
  const std::vector<float> query = {1, 0};
  const std::vector<std::int32_t> labels = {0, 0, 1};
  Sequential sequential;
  const Neighbourhood near = neighbours_of(index, query, 3, sequential);
  const Pooling pooling{2, 0.1};
  const double w = std::exp(-0.2 / 0.1), share = 1 / (1 + w);
  const std::vector<float> v = votes(near, labels, 2, pooling, sequential);
  EXPECT_NEAR(v[1], share, 1e-6);
  EXPECT_NEAR(v[0], 1 - share, 1e-6);
  const std::vector<float> mean = mean_features(near, index, pooling, sequential);
  const double x = share * 0.8 + (1 - share) * 0.6, y = share * 0.6 + (1 - share) * 0.8;
  EXPECT_NEAR(mean[0], x / std::hypot(x, y), 1e-6);
  EXPECT_NEAR(mean[1], y / std::hypot(x, y), 1e-6);
  const std::vector<float> cache = cache_logits(near, labels, 2, 3, 5.5, sequential);
  EXPECT_NEAR(cache[0], std::exp(-5.5 * 0.4) + std::exp(-5.5), 1e-6);
  EXPECT_NEAR(cache[1], std::exp(-5.5 * 0.2), 1e-6);

  const Ingredients parts{{0.25F, 0.75F}, v, cache};
  const Scores mixed = combine({Combination::Mix, pooling, 0.3, 0}, parts, 1, 2);
  EXPECT_NEAR(mixed.values[1], 0.3 * share + 0.7 * 0.75, 1e-6);
  const Scores cached = combine({Combination::Cache, pooling, 2, 5.5}, parts, 1, 2);
  const double a = 0.25 * std::exp(2 * static_cast<double>(cache[0])),
               b = 0.75 * std::exp(2 * static_cast<double>(cache[1]));
  EXPECT_NEAR(cached.values[0], a / (a + b), 1e-6);
}

TEST(Hybrid, NamesTheNeighboursOfARowButNeverTheRowItself) {
  StageHarness hybrid("hybrid", with("mix"));
  const MemoryRows train = sectors(60, 1);
  Sequential sequential;
  const LearnerResult result = hybrid.fit(train, no_rows(), kClasses);
  const Neighbours others = result.predictor->neighbours({&train}, sequential);
  ASSERT_EQ(others.k, 10u);
  Bundle bundle;
  result.predictor->save(bundle);
  // A model that was loaded no longer knows which of its rows a row is: it is its own nearest.
  // Who loads it chooses how many.
  EXPECT_EQ(bundle.facts.find("neighbours")->as_int(), 10);
  bundle.facts["neighbours"] = 11;
  const Neighbours loaded = hybrid.as<Learner>().load(bundle)->neighbours({&train}, sequential);
  ASSERT_EQ(loaded.k, 11u);
  for (std::size_t r = 0; r < 60; ++r) {
    EXPECT_EQ(loaded.rows[r * 11], r);
    EXPECT_NEAR(loaded.similarity[r * 11], 1, 1e-5);
    for (std::size_t n = 0; n < 10; ++n) EXPECT_EQ(others.rows[r * 10 + n], loaded.rows[r * 11 + n + 1]);
  }
}

TEST(Hybrid, WarnsWhereCosinesAreRoundingErrors) {
  const MemoryRows near_zero = sectors(60, 1);
  std::vector<float> values(60 * 8);
  near_zero.read(0, 60, values.data());
  for (float& v : values) v += 1e4F;
  std::vector<std::int32_t> labels;
  for (std::size_t r = 0; r < 60; ++r) labels.push_back(near_zero.label(r));
  const auto warnings = [](const MemoryRows& train, const std::string& m) {
    StageHarness hybrid("hybrid", "{directions: {m: " + m +
                                      "}, hidden: {units: 0}, n: 3, c: 1, variant: {mix: {alpha: 0.5}}}");
    hybrid.fit(train, no_rows(), kClasses);
    return hybrid.warnings();
  };
  const MemoryRows far(std::move(values), 8, labels);
  EXPECT_THAT(warnings(far, "all"),
              ElementsAre(AllOf(HasSubstr("e-09 on average, expected at least 1.2e-05: "),
                                EndsWith(": take it away (directions: {by: svd, m: 64})"))));
  EXPECT_THAT(warnings(far, "4"), IsEmpty());
  EXPECT_THAT(warnings(near_zero, "all"), IsEmpty());
}

TEST(Hybrid, WithoutValItTakesTheMiddleAndSaysSo) {
  StageHarness hybrid("hybrid", with("mix"));
  const LearnerResult result = hybrid.fit(sectors(60, 1), no_rows(), kClasses);
  EXPECT_THAT(
      hybrid.warnings(),
      ElementsAre("table 'table' has no labelled val rows to choose on: taking the first of m and hidden, "
                  "and what is in the middle of the other lists; give the source a val split, or set "
                  "single values"));
  EXPECT_EQ(fact(result.summary, "m"), 4);
  EXPECT_EQ(fact(result.summary, "n"), 3);
  EXPECT_EQ(fact(result.summary, "alpha"), 0.5);
  EXPECT_EQ(result.val.rows, 0u);
}

TEST(Hybrid, SelectsFeaturesInPlaceOfDirections) {
  for (const char* by : {"variance", "fisher"}) {
    StageHarness hybrid("hybrid", std::string("{directions: {by: ") + by + ", m: 2}, hidden: 0}");
    const LearnerResult result = hybrid.fit(sectors(90, 1), sectors(60, 2, Split::Val), kClasses);
    EXPECT_EQ(fact(result.summary, "m"), 2);
    EXPECT_EQ(result.summary.find("hidden_epochs"), nullptr);
  }
}

TEST(Hybrid, AsksForNoMoreThanThereIs) {
  StageHarness hybrid("hybrid", "{directions: {m: 50}, hidden: {units: 4, epochs: 2}, n: 40}");
  const LearnerResult result = hybrid.fit(sectors(6, 1), sectors(6, 2, Split::Val), kClasses);
  EXPECT_EQ(fact(result.summary, "m"), 5);
  for (const Value& trial : result.summary.find("trials")->as_list()) {
    const Value* n = trial.find("n");
    EXPECT_TRUE(n == nullptr || n->as_int() <= 5);
  }
  for (const float v : result.val.values) EXPECT_TRUE(std::isfinite(v));
}

TEST(Hybrid, BadRowsAreErrorsOrWarnings) {
  const MemoryRows one_class({1, 2, 3, 4}, 2, {1, 1});
  EXPECT_THAT(error_of([&] { StageHarness("hybrid").fit(one_class, no_rows(2), kClasses); }),
              StrEq("table 'table' has train rows of 1 of its 3 classes: expected at least 2 classes to tell "
                    "apart; check the labels, the splits and the rejected inputs"));
  const MemoryRows nan({1, 2, std::nanf(""), 4}, 2, {0, 1});
  EXPECT_THAT(error_of([&] { StageHarness("hybrid").fit(nan, no_rows(2), kClasses); }),
              HasSubstr("row 'row1' (view 0): feature 0 is nan: expected finite numbers"));
  EXPECT_THAT(
      error_of([&] { StageHarness("hybrid").fit(sectors(30, 1), no_rows(), kClasses, nullptr, true); }),
      StrEq("some inputs have several labels or none of the classes: hybrid is single-label; use "
            "linear_probe, mlp or finetune"));
  // Constant features and zero vectors have no direction.
  for (const float v : {0.0F, 2.5F}) {
    StageHarness hybrid("hybrid", with("concat"));
    const MemoryRows same(std::vector<float>(16 * 4, v), 4, {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
    const MemoryRows val(std::vector<float>(3 * 4, v), 4, {0, 1, 2}, Split::Val);
    const std::string text = error_of([&] {
      for (const float s : hybrid.fit(same, val, kClasses).val.values) EXPECT_TRUE(std::isfinite(s));
    });
    EXPECT_THAT(text,
                StrEq("embedding pca: the 16 train rows are all equal: expected rows that differ; check "
                      "the backbone and its input, or leave the embedding out"));
  }
}

}  // namespace
}  // namespace graft
