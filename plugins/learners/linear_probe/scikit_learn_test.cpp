// The probe's optimum is scikit-learn's.

#include <gmock/gmock.h>

#include <graft/testing/stage_harness.h>

#include "testing/linear_probe_fixtures.h"

namespace graft {
namespace {

using graft::testing::StageHarness;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pointwise;

// Reference values from scikit-learn 1.2.1, where a row of data is of class i % k:
//
//   def uniforms(s):                                    # SplitMix64, as graft::Random
//       M = (1 << 64) - 1
//       while True:
//           s = (s + 0x9e3779b97f4a7c15) & M
//           z = ((s ^ (s >> 30)) * 0xbf58476d1ce4e5b9) & M
//           z = ((z ^ (z >> 27)) * 0x94d049bb133111eb) & M
//           yield ((z ^ (z >> 31)) >> 11) * 2.0 ** -53
//   u = uniforms(1); y = np.arange(90) % k
//   x = np.array([[-1 + 2 * next(u) + (j == y[i]) for j in range(6)] for i in range(90)],
//   np.float32).astype(float) x = {"none": x, "l2": normalize(x), "standard":
//   StandardScaler().fit_transform(x)}[scale] m = LogisticRegression(C=c, tol=1e-12, max_iter=100000).fit(x,
//   y); p = m.predict_proba(x) c * log_loss(y, p, normalize=False) + 0.5 * (m.coef_ ** 2).sum(), m.score(x,
//   y), log_loss(y, p)
//
// One against the rest: OneVsRestClassifier(LogisticRegression(...)), the objectives of its estimators added
// up. Balanced: class_weight="balanced", sample weights n / (k * count) in the objective, and without the
// rows of class 0 after the 36th. Several labels: of row i also class i // 7 % k; OneVsRestClassifier of the
// indicator matrix, and the mean of log_loss over its columns.
struct Reference {
  std::size_t classes;
  const char* with;
  double c, objective, accuracy, log_loss;
};

void expect_reference(const Reference& want, const LearnerResult& result, std::size_t rows) {
  const Value& got = result.summary.find("path")->as_list().at(0);
  EXPECT_NEAR(got.find("objective")->as_double() / want.objective, 1, 2e-6);
  EXPECT_NEAR(got.find("train_accuracy")->as_double(), want.accuracy,
              1.01 / static_cast<double>(rows));  // a row may lie on the border
  EXPECT_NEAR(got.find("train_log_loss")->as_double(), want.log_loss, 1e-3 * want.log_loss);
}

std::string parameters(const Reference& want) {
  return "{c: " + std::to_string(want.c) + ", " + want.with + "}";
}

class AgainstScikitLearn : public ::testing::TestWithParam<Reference> {};

TEST_P(AgainstScikitLearn, ReachesTheSameOptimum) {
  const Reference& want = GetParam();
  StageHarness probe("linear_probe", parameters(want));
  const LearnerResult result =
      probe.fit(random_data(90, 6, want.classes, 1).rows(), no_rows(6), names(want.classes));
  EXPECT_THAT(probe.warnings(), IsEmpty());
  expect_reference(want, result, 90);
  const bool one_vs_rest = std::string(want.with).find("one_vs_rest") != std::string::npos;
  EXPECT_EQ(result.summary.find("loss")->as_string(), want.classes == 2 ? "binary"
                                                      : one_vs_rest     ? "one_vs_rest"
                                                                        : "softmax");
  EXPECT_THAT(want.with, HasSubstr(result.summary.find("scale")->as_string()));
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, AgainstScikitLearn,
    ::testing::Values(
        Reference{2, "scale: none", 0.01, 0.5758672154, 0.9, 0.59477952},
        Reference{2, "scale: none", 1, 25.3375589844, 0.9, 0.23221793},
        Reference{2, "scale: none", 100, 1889.3956041572, 0.9, 0.20868744},
        Reference{2, "scale: l2", 0.01, 0.6069906102, 0.91111111, 0.65674233},
        Reference{2, "scale: l2", 1, 32.2691628557, 0.91111111, 0.28252573},
        Reference{2, "scale: l2", 100, 2070.3141579850, 0.9, 0.22721687},
        Reference{2, "scale: standard", 0.01, 0.5526868684, 0.9, 0.55299533},
        Reference{2, "scale: standard", 1, 23.4448861372, 0.9, 0.22232229},
        Reference{2, "scale: standard", 100, 1884.9895488392, 0.9, 0.20867776},
        Reference{3, "scale: none", 0.01, 0.9194581368, 0.8, 0.95669078},
        Reference{3, "scale: none", 1, 45.7379043248, 0.83333333, 0.43481315},
        Reference{3, "scale: none", 100, 3581.3030010038, 0.82222222, 0.39591003},
        Reference{3, "scale: l2", 0.01, 0.9618927946, 0.78888889, 1.04076038},
        Reference{3, "scale: l2", 1, 54.9441624710, 0.82222222, 0.50615660},
        Reference{3, "scale: l2", 100, 3891.6054750106, 0.81111111, 0.42831139},
        Reference{3, "scale: standard", 0.01, 0.8712789405, 0.81111111, 0.87199283},
        Reference{3, "scale: standard", 1, 42.0559160848, 0.83333333, 0.41487827},
        Reference{3, "scale: standard", 100, 3572.5082877903, 0.82222222, 0.39589017},
        Reference{2, "scale: none, loss: one_vs_rest", 1, 25.3375589844, 0.9, 0.23221793},
        Reference{3, "scale: none, loss: one_vs_rest", 0.01, 1.6454527537, 0.8, 0.99734276},
        Reference{3, "scale: none, loss: one_vs_rest", 1, 95.7389200629, 0.82222222, 0.48605297},
        Reference{3, "scale: none, loss: one_vs_rest", 100, 7711.1893291344, 0.83333333, 0.42134127}));

class BalancedAgainstScikitLearn : public ::testing::TestWithParam<Reference> {};

TEST_P(BalancedAgainstScikitLearn, ReachesTheSameOptimum) {
  const Reference& want = GetParam();
  const Data all = random_data(90, 6, want.classes, 1);
  Data data{6, {}, {}};
  for (std::size_t r = 0; r < 90; ++r) {
    if (all.labels[r] == 0 && r >= 36) continue;
    data.labels.push_back(all.labels[r]);
    data.values.insert(data.values.end(), all.values.begin() + static_cast<std::ptrdiff_t>(r * 6),
                       all.values.begin() + static_cast<std::ptrdiff_t>(r * 6 + 6));
  }
  StageHarness probe("linear_probe", parameters(want));
  const LearnerResult result = probe.fit(data.rows(), no_rows(6), names(want.classes));
  expect_reference(want, result, data.labels.size());
  EXPECT_EQ(result.summary.find("class_weights")->as_string(), "balanced");
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, BalancedAgainstScikitLearn,
    ::testing::Values(Reference{2, "class_weights: balanced", 0.01, 0.4073510267, 0.92063492, 0.60572885},
                      Reference{2, "class_weights: balanced", 1, 14.7227600779, 0.93650794, 0.16482714},
                      Reference{2, "class_weights: balanced", 100, 458.4149148654, 0.98412698, 0.05875842},
                      Reference{3, "class_weights: balanced", 0.01, 0.7377052189, 0.86111111, 0.96666125},
                      Reference{3, "class_weights: balanced", 1, 32.4292958639, 0.87500000, 0.37378036},
                      Reference{3, "class_weights: balanced", 100, 1974.2587596483, 0.88888889, 0.29427220},
                      Reference{3, "class_weights: balanced, loss: one_vs_rest", 0.01, 1.4283069065,
                                0.86111111, 1.01749402},
                      Reference{3, "class_weights: balanced, loss: one_vs_rest", 1, 76.2565236026, 0.87500000,
                                0.48222363},
                      Reference{3, "class_weights: balanced, loss: one_vs_rest", 100, 5265.7633668206,
                                0.88888889, 0.34103846}));

class SeveralLabelsAgainstScikitLearn : public ::testing::TestWithParam<Reference> {};

TEST_P(SeveralLabelsAgainstScikitLearn, ReachesTheSameOptimum) {
  const Reference& want = GetParam();
  const auto train = two_labels_a_row(random_data(90, 6, want.classes, 1), want.classes);
  StageHarness probe("linear_probe", parameters(want));
  const LearnerResult result = probe.fit(train, no_rows(6), names(want.classes), nullptr, true);
  EXPECT_THAT(probe.warnings(), IsEmpty());
  expect_reference(want, result, 90);
  EXPECT_EQ(result.summary.find("loss")->as_string(), "independent");
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, SeveralLabelsAgainstScikitLearn,
    ::testing::Values(Reference{2, "loss: softmax", 0.01, 1.0325374718, 0.43333333, 0.55463270},
                      Reference{2, "loss: softmax", 1, 73.7511686286, 0.55555556, 0.39016893},
                      Reference{2, "loss: softmax", 100, 6946.2869353921, 0.57777778, 0.38559862},
                      Reference{2, "class_weights: balanced", 1, 80.8836387960, 0.62222222, 0.44404964},
                      Reference{3, "loss: one_vs_rest", 0.01, 1.8289959168, 0.20000000, 0.66548456},
                      Reference{3, "loss: one_vs_rest", 1, 154.1069267866, 0.28888889, 0.55868197},
                      Reference{3, "loss: one_vs_rest", 100, 15032.1704379553, 0.30000000, 0.55657916},
                      Reference{3, "class_weights: balanced", 100, 15043.6297321827, 0.32222222,
                                0.55822474}));

TEST(LinearProbe, GivesTheProbabilitiesOfScikitLearn) {
  // m.predict_proba(x)[0], and [1] of several labels, at c = 1.
  const MemoryRows single = random_data(90, 6, 3, 1).rows();
  const auto several = two_labels_a_row(random_data(90, 6, 3, 1), 3);
  Sequential sequential;
  StageHarness probe("linear_probe", "{c: 1, loss: one_vs_rest, tolerance: 1e-9}");
  const Scores shares = probe.fit(single, no_rows(6), names(3)).predictor->predict({&single}, sequential);
  EXPECT_THAT(std::vector<float>(shares.row(0), shares.row(1)),
              Pointwise(FloatNear(1e-3F), {0.38706595F, 0.11578126F, 0.49715279F}));
  const Scores own =
      probe.fit(several, no_rows(6), names(3), nullptr, true).predictor->predict({&several}, sequential);
  EXPECT_THAT(std::vector<float>(own.row(1), own.row(2)),
              Pointwise(FloatNear(1e-3F), {0.67771313F, 0.79264673F, 0.24349022F}));
}

TEST(LinearProbe, FindsTheWeightsOfScikitLearn) {
  // m.coef_, m.intercept_ of the reference above for 2 classes, scale none, c 1.
  const std::vector<double> weight = {-2.403825, 1.72742, -0.289595, -0.027244, 0.037111, 0.165988};
  StageHarness probe("linear_probe", "{c: 1, tolerance: 1e-9}");
  const LearnerResult result = probe.fit(random_data(90, 6, 2, 1).rows(), no_rows(6), names(2));
  Bundle bundle;
  result.predictor->save(bundle);
  ASSERT_EQ(bundle.tensors.at("weight").shape, (Shape{1, 6}));
  for (std::size_t d = 0; d < 6; ++d)
    EXPECT_NEAR(bundle.tensors.at("weight").as<float>()[d], weight[d], 2e-3);
  EXPECT_NEAR(bundle.tensors.at("bias").as<float>()[0], 0.409575, 2e-3);
}

}  // namespace
}  // namespace graft
