// Every metric of 200 random cases against scikit-learn: testdata/make_fixtures.py draws the same cases.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include <graft/random.h>
#include <graft/value.h>

#include <metrics/metrics.h>

namespace graft::metrics {
namespace {

ScoredRows drawn(std::size_t number) {
  Random random(number);
  const std::size_t classes = 2 + random.below(7), rows = 2 + random.below(40);
  const std::size_t present = 1 + random.below(classes);
  const bool several = number % 3 == 2;
  Scores scores(rows, classes);
  std::vector<std::vector<std::int32_t>> labels(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    if (several) {
      for (std::size_t c = 0; c < classes; ++c) {
        const bool has = c < present && random.below(3) == 0;
        if (has) labels[r].push_back(static_cast<std::int32_t>(c));
        scores.row(r)[c] =
            static_cast<float>(std::min<std::uint64_t>(8, random.below(7) + (has ? 2 : 0))) / 8.0F;
      }
      continue;
    }
    const std::uint64_t truth = random.below(present);
    labels[r].push_back(static_cast<std::int32_t>(truth));
    std::vector<std::uint64_t> counts(classes);
    for (std::size_t c = 0; c < classes; ++c) counts[c] = random.below(6) + (c == truth ? 3 : 0);
    const std::uint64_t sum = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    for (std::size_t c = 0; c < classes; ++c)
      scores.row(r)[c] = sum > 0 ? static_cast<float>(counts[c]) / static_cast<float>(sum)
                                 : 1.0F / static_cast<float>(classes);
  }
  return {scores, labels, several ? LabelMode::Multi : LabelMode::Single};
}

TEST(ScikitLearn, HasTheSameValuesOf200RandomCases) {
  std::stringstream text;
  text << std::ifstream(GRAFT_METRICS_TESTDATA "/scikit_learn.json").rdbuf();
  const Value cases = Value::from_json(text.str());
  ASSERT_EQ(cases.as_list().size(), 200U);
  std::set<std::string> defined, undefined;
  double worst = 0;
  int values = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    const ScoredRows rows = drawn(i);
    const Sample sample(rows);
    const Value& wanted = cases.as_list()[i];
    std::size_t compared = 0;
    for (const Metric& m : all_metrics()) {
      const auto of = m.of(rows.mode());
      const Value* want = wanted.find(m.spec.name);
      ASSERT_EQ(of != nullptr, want != nullptr) << m.spec.name << " of case " << i;
      if (of == nullptr) continue;
      ++compared;
      const Measured got = of(sample);
      ASSERT_EQ(got.value.has_value(), !want->is_null())
          << m.spec.name << " of case " << i << ": " << got.why;
      EXPECT_NE(got.value.has_value(), !got.why.empty()) << m.spec.name;
      (got.value ? defined : undefined).insert(m.spec.name);
      if (got.value) {
        EXPECT_NEAR(*got.value, want->as_double(), 1e-9) << m.spec.name << " of case " << i;
        worst = std::max(worst, std::abs(*got.value - want->as_double()));
        ++values;
      }
    }
    EXPECT_EQ(compared, wanted.as_map().size()) << "case " << i;
  }
  std::printf("%d values, the largest difference is %.2g\n", values, worst);
  EXPECT_EQ(defined.size(), all_metrics().size()) << "some metric has no value in any case";
  for (const char* name : {"top_5_accuracy", "roc_auc", "matthews_corrcoef"})
    EXPECT_TRUE(undefined.contains(name)) << name << " has a value in every case: the cases are too tame";
}

}  // namespace
}  // namespace graft::metrics
