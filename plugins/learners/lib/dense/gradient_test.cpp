#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include <graft/random.h>

#include <dense/loss.h>
#include <dense/network.h>
#include <dense/trainer.h>

namespace graft::dense {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

std::vector<float> normals(std::size_t n, std::uint64_t seed, double spread = 1) {
  Random random(seed);
  std::vector<float> out(n);
  for (float& v : out) v = static_cast<float>(spread * random.normal());
  return out;
}

// PyTorch 1.13, double: torch.nn.functional.cross_entropy and binary_cross_entropy_with_logits of
// z = [[1.5, -0.5, 0.25], [0, 2, -1]], w = [0.5, 2, 1]; the sum of the latter divided by 2.
struct Reference {
  Loss loss;
  std::vector<float> targets;
  double value;
  std::vector<float> gradient;
};

class LossOfPyTorch : public ::testing::TestWithParam<Reference> {};

TEST_P(LossOfPyTorch, IsTheSame) {
  const Reference& want = GetParam();
  std::vector<float> z = {1.5F, -0.5F, 0.25F, 0, 2, -1};
  double sum = 0, weight = 0;
  for (std::size_t r = 0; r < 2; ++r) {
    const std::span<const float> targets(want.targets.data() + 3 * r, 3);
    weight += want.loss.weight(targets);
    sum += want.loss.differentiate({z.data() + 3 * r, 3}, targets);
  }
  EXPECT_NEAR(sum / weight, want.value, 1e-6);
  for (float& g : z) g /= static_cast<float>(weight);
  EXPECT_THAT(z, Pointwise(FloatNear(1e-6F), want.gradient));
}

const std::vector<float> kWeights = {0.5F, 2, 1};
constexpr auto kSoftmax = Loss::Kind::Softmax, kSigmoid = Loss::Kind::Sigmoid;

INSTANTIATE_TEST_SUITE_P(
    Fixtures, LossOfPyTorch,
    ::testing::Values(
        // cross_entropy(z, [1, 2], weight=w, label_smoothing=0.2)
        Reference{{kSoftmax, 0.2, kWeights, {}},
                  {0, 1, 0, 0, 0, 1},
                  2.345806434615544,
                  {0.418691874F, -0.519610269F, 0.100918395F, 0.028222791F, 0.246195964F, -0.274418755F}},
        // cross_entropy(z, t, label_smoothing=0.1)
        Reference{{kSoftmax, 0.1, {}, {}},
                  {0.7F, 0, 0.3F, 0, 1, 0},
                  0.5671489416795438,
                  {0.019990321F, 0.030924931F, -0.050915253F, 0.040430933F, -0.044769299F, 0.004338366F}},
        // binary_cross_entropy_with_logits(z, t, pos_weight=w)
        Reference{{kSigmoid, 0, kWeights, {}},
                  {1, 0, 1, 0, 1, 0},
                  1.20549396660722,
                  {-0.045606381F, 0.188770334F, -0.218911750F, 0.25F, -0.119202922F, 0.134470711F}},
        // binary_cross_entropy_with_logits(z, 0.8 t + 0.1, pos_weight=w)
        Reference{{kSigmoid, 0.2, kWeights, {}},
                  {1, 0, 1, 0, 1, 0},
                  1.498058067699647,
                  {-0.000167019F, 0.107647368F, -0.168911750F, 0.2125F, -0.063242776F, 0.084470711F}}));

TEST(Loss, SmoothingOfAUniformPredictionChangesNothing) {
  // Every -log p is log 4, however the target is spread.
  for (const double smoothing : {0.0, 0.1, 0.5}) {
    std::vector<float> z(4);
    EXPECT_NEAR(Loss({kSoftmax, smoothing, {}, {}}).differentiate(z, std::vector<float>{0, 1, 0, 0}),
                std::log(4), 1e-6);
  }
}

TEST(Loss, SmoothingOfKnownLogits) {
  // p = 0.9, 0.1; e = 0.2: -(0.9 log 0.9 + 0.1 log 0.1), the least that a smoothed loss can be.
  std::vector<float> z = {static_cast<float>(std::log(9)), 0};
  EXPECT_NEAR(Loss({kSoftmax, 0.2, {}, {}}).differentiate(z, std::vector<float>{1, 0}), 0.3250829733914482,
              1e-6);
  EXPECT_NEAR(z[0], 0, 1e-6);
  EXPECT_NEAR(z[1], 0, 1e-6);
}

TEST(Loss, IsFiniteForAnyFiniteLogits) {
  for (const auto kind : {kSoftmax, kSigmoid}) {
    std::vector<float> z = {3e38F, -3e38F, 0};
    const double loss = Loss({kind, 0.1, {}, {}}).differentiate(z, std::vector<float>{0, 1, 0});
    EXPECT_TRUE(std::isfinite(loss));
    for (const float g : z) EXPECT_LE(std::abs(g), 1.01F);
  }
}

/// The network and its loss once more, in double and step by step.
double reference_loss(const std::vector<std::size_t>& widths, const std::vector<double>& parameters,
                      const Loss& loss, const std::vector<double>& rows, const std::vector<double>& targets,
                      double weight) {
  const std::size_t count = rows.size() / widths[0], outputs = widths.back();
  double sum = 0;
  for (std::size_t r = 0; r < count; ++r) {
    std::vector<double> x(rows.begin() + static_cast<std::ptrdiff_t>(r * widths[0]),
                          rows.begin() + static_cast<std::ptrdiff_t>((r + 1) * widths[0]));
    std::size_t at = 0;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
      std::vector<double> y(widths[l + 1]);
      for (std::size_t k = 0; k < y.size(); ++k) {
        y[k] = parameters[at + widths[l] * y.size() + k];
        for (std::size_t d = 0; d < widths[l]; ++d) y[k] += parameters[at + k * widths[l] + d] * x[d];
        if (l + 2 < widths.size()) y[k] = std::max(y[k], 0.0);
      }
      at += (widths[l] + 1) * y.size();
      x = y;
    }
    double exps = 0;
    for (const double z : x) exps += std::exp(z);
    const double e = loss.label_smoothing;
    for (std::size_t c = 0; c < outputs; ++c) {
      const double w = loss.class_weights.empty() ? 1 : loss.class_weights[c];
      const double v = loss.rest_weights.empty() ? 1 : loss.rest_weights[c];
      const double t = targets[r * outputs + c];
      if (loss.kind == kSoftmax) {
        sum -= w * ((1 - e) * t + e / static_cast<double>(outputs)) * std::log(std::exp(x[c]) / exps);
      } else {
        const double p = 1 / (1 + std::exp(-x[c])), share = (1 - e) * t + e / 2;
        sum -= w * share * std::log(p) + v * (1 - share) * std::log(1 - p);
      }
    }
  }
  return sum / weight;
}

struct Case {
  const char* name;
  std::vector<std::size_t> widths;
  Loss loss;
  bool mixed;
};

class Gradient : public ::testing::TestWithParam<Case> {};

TEST_P(Gradient, IsThatOfFiniteDifferences) {
  const Case& c = GetParam();
  constexpr std::size_t kRows = 70;  // two full runs of rows and a rest
  Network network(c.widths);
  network.draw(3);
  const std::size_t dim = network.inputs(), outputs = network.outputs();
  const std::vector<float> x = normals(kRows * dim, 1);
  Batch batch;
  batch.targets.assign(kRows * outputs, 0);
  Random random(2);
  for (std::size_t r = 0; r < kRows; ++r) {
    batch.rows.push_back(x.data() + r * dim);
    batch.targets[r * outputs + random.below(outputs)] = 1;
    if (c.loss.kind == kSigmoid) batch.targets[r * outputs + random.below(outputs)] = 1;
  }
  if (c.mixed) {
    batch.own = 0.7;
    for (std::size_t r = 0; r < kRows; ++r) batch.partner.push_back((r + 11) % kRows);
  }
  // What the loss sees, mixed by hand.
  std::vector<double> rows(kRows * dim), targets(kRows * outputs);
  for (std::size_t r = 0; r < kRows; ++r) {
    const std::size_t other = c.mixed ? (r + 11) % kRows : r;
    for (std::size_t d = 0; d < dim; ++d)
      rows[r * dim + d] = batch.own * x[r * dim + d] + (1 - batch.own) * x[other * dim + d];
    for (std::size_t k = 0; k < outputs; ++k)
      targets[r * outputs + k] =
          batch.own * batch.targets[r * outputs + k] + (1 - batch.own) * batch.targets[other * outputs + k];
  }

  Sequential sequential;
  Trainer trainer(network, {.loss = c.loss}, sequential);
  std::vector<float> gradient(network.parameters().size());
  const Trainer::Sum sum = trainer.gradient(batch, 1, gradient);

  std::vector<double> parameters(network.parameters().begin(), network.parameters().end());
  const auto value = [&] { return reference_loss(c.widths, parameters, c.loss, rows, targets, sum.weight); };
  EXPECT_NEAR(sum.loss / sum.weight, value(), 1e-5);
  if (c.loss.class_weights.empty()) {
    EXPECT_NEAR(sum.weight, kRows, 1e-4);
  }
  constexpr double kStep = 1e-6;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const double before = parameters[i];
    parameters[i] = before + kStep;
    const double above = value();
    parameters[i] = before - kStep;
    const double below = value();
    parameters[i] = before;
    ASSERT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-5) << "parameter " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Gradient,
    ::testing::Values(Case{"linear", {5, 4}, {}, false}, Case{"softmax", {5, 8, 4}, {}, false},
                      Case{"deep", {5, 8, 7, 6, 3}, {}, false},
                      Case{"smoothed", {5, 8, 3}, {kSoftmax, 0.2, {}, {}}, false},
                      Case{"weighted", {5, 8, 3}, {kSoftmax, 0.2, {0.5F, 2, 3}, {}}, false},
                      Case{"mixed", {5, 8, 3}, {kSoftmax, 0.1, {0.5F, 2, 3}, {}}, true},
                      Case{"binary", {5, 8, 1}, {kSigmoid, 0, {}, {}}, false},
                      Case{"labels", {5, 8, 3}, {kSigmoid, 0, {}, {}}, false},
                      Case{"labels_weighted", {5, 8, 3}, {kSigmoid, 0.1, {0.5F, 2, 3}, {1, 0.3F, 2}}, false},
                      Case{"labels_mixed", {5, 8, 3}, {kSigmoid, 0.1, {0.5F, 2, 3}, {1, 0.3F, 2}}, true}),
    [](const auto& info) { return std::string(info.param.name); });

/// rows of 1, so that a batch's gradient shows which inputs were dropped.
struct Ones {
  std::vector<float> x;
  Batch batch;
  Ones(std::size_t rows, std::size_t dim, std::size_t outputs) : x(rows * dim, 1.0F) {
    batch.targets.assign(rows * outputs, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      batch.rows.push_back(x.data() + r * dim);
      batch.targets[r * outputs] = 1;
    }
  }
};

TEST(Dropout, ZeroesItsShareAndKeepsTheMean) {
  // Logits are 0, so the derivative by weight [0, d] of a row is -0.5 times its input.
  constexpr std::size_t kRows = 1000, kDim = 50;
  const Ones ones(kRows, kDim, 2);
  Network network({kDim, 2});
  Sequential sequential;
  Trainer trainer(network, {.dropout = {0.3}, .seed = 1}, sequential);
  std::vector<float> gradient(network.parameters().size());
  trainer.gradient(ones.batch, 1, gradient);
  double mean = 0;
  for (std::size_t d = 0; d < kDim; ++d) mean += gradient[d] / kDim;
  EXPECT_NEAR(mean, -0.5, 0.005);
  EXPECT_GT(*std::max_element(gradient.begin(), gradient.begin() + kDim), -0.5F);

  const Ones one(1, kDim, 2);
  trainer.gradient(one.batch, 1, gradient);
  for (std::size_t d = 0; d < kDim; ++d)
    EXPECT_TRUE(gradient[d] == 0 || std::abs(gradient[d] + 0.5F / 0.7F) < 1e-6F) << gradient[d];
}

TEST(Dropout, DiffersByStepAndLayerAndIsTheSameForTheSameStep) {
  const Ones ones(64, 20, 2);
  Network network({20, 2});
  Sequential sequential;
  Trainer trainer(network, {.dropout = {0.5}, .seed = 1}, sequential),
      other(network, {.dropout = {0.5}, .seed = 2}, sequential);
  std::vector<float> first(42), second(42), again(42), seed(42);
  trainer.gradient(ones.batch, 1, first);
  trainer.gradient(ones.batch, 2, second);
  trainer.gradient(ones.batch, 1, again);
  other.gradient(ones.batch, 1, seed);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, second);
  EXPECT_NE(first, seed);
}

TEST(Dropout, OfHiddenLayersHasTheGradientOfFiniteDifferences) {
  // The mask belongs to the step, so the loss of a step is a function of the weights; smooth where weights of
  // the last layer move, and piecewise linear before it.
  constexpr std::size_t kRows = 40;
  Network network({4, 6, 3});
  network.draw(1);
  const std::vector<float> x = normals(kRows * 4, 5);
  Batch batch;
  batch.targets.assign(kRows * 3, 0);
  for (std::size_t r = 0; r < kRows; ++r) {
    batch.rows.push_back(x.data() + r * 4);
    batch.targets[r * 3 + r % 3] = 1;
  }
  Sequential sequential;
  Trainer trainer(network, {.dropout = {0.2, 0.5}, .seed = 1}, sequential);
  std::vector<float> gradient(network.parameters().size()), unused(gradient.size());
  trainer.gradient(batch, 7, gradient);
  constexpr float kStep = 1.0F / 128;
  for (std::size_t i = network.layers()[1].weight; i < gradient.size(); ++i) {
    float& parameter = network.parameters()[i];
    const float before = parameter;
    parameter = before + kStep;
    const auto above = trainer.gradient(batch, 7, unused);
    parameter = before - kStep;
    const auto below = trainer.gradient(batch, 7, unused);
    parameter = before;
    EXPECT_NEAR(gradient[i], (above.loss - below.loss) / kRows / (2 * kStep), 1e-4) << i;
  }
}

TEST(Mixup, OfUnitVectorsIsScaledToLengthOne) {
  // (1, 0) and (0, 1) in equal shares: (0.707, 0.707), not (0.5, 0.5). The derivative is -0.5 of it.
  const std::vector<float> x = {1, 0, 0, 1};
  Batch batch{{x.data(), x.data() + 2}, {1, 0, 1, 0}, {1, 0}, 0.5};
  Network network({2, 2});
  Sequential sequential;
  std::vector<float> gradient(6);
  Trainer(network, {.unit_length = true}, sequential).gradient(batch, 1, gradient);
  EXPECT_NEAR(gradient[0], -0.5 * std::sqrt(0.5), 1e-6);
  Trainer(network, {}, sequential).gradient(batch, 1, gradient);
  EXPECT_NEAR(gradient[0], -0.25, 1e-6);
}

}  // namespace
}  // namespace graft::dense
