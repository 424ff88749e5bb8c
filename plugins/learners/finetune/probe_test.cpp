#include "probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <graft/random.h>

namespace graft {
namespace {

/// Features around a centre per class, and what they are of.
struct Clouds {
  std::vector<std::vector<std::int32_t>> labels;
  ProbeRows rows;

  Clouds(std::size_t n, std::size_t classes, std::uint64_t seed) {
    constexpr std::size_t kDim = 5;
    Random random(seed);
    rows.dim = kDim;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t c = i % classes;
      labels.push_back({static_cast<std::int32_t>(c)});
      for (std::size_t d = 0; d < kDim; ++d)
        rows.features.push_back(static_cast<float>((d == c ? 1.5 : 0.0) + random.normal()));
    }
    for (const auto& l : labels) rows.labels.emplace_back(l);
  }
};

std::vector<double> logits(const LinearHead& head, const ProbeRows& rows, std::size_t row) {
  std::vector<double> out;
  for (std::int64_t k = 0; k < head.bias.size(); ++k) {
    double z = head.bias.as<float>()[k];
    for (std::size_t d = 0; d < rows.dim; ++d)
      z += double{head.weight.as<float>()[static_cast<std::size_t>(k) * rows.dim + d]} *
           rows.features[row * rows.dim + d];
    out.push_back(z);
  }
  return out;
}

/// Gradient of c * sum CE + 0.5 |W|^2 by the weights of one output, at what was found.
double largest_gradient(const LinearHead& head, const ProbeRows& rows, double c, bool several) {
  const auto outputs = static_cast<std::size_t>(head.bias.size());
  std::vector<double> gradient(outputs * rows.dim), bias(outputs);
  for (std::size_t r = 0; r < rows.labels.size(); ++r) {
    const auto z = logits(head, rows, r);
    double total = 0;
    for (const double v : z) total += std::exp(v);
    for (std::size_t k = 0; k < outputs; ++k) {
      const double p = several ? 1 / (1 + std::exp(-z[k])) : std::exp(z[k]) / total;
      const bool is = std::find(rows.labels[r].begin(), rows.labels[r].end(), static_cast<std::int32_t>(k)) !=
                      rows.labels[r].end();
      bias[k] += c * (p - (is ? 1 : 0));
      for (std::size_t d = 0; d < rows.dim; ++d)
        gradient[k * rows.dim + d] += c * (p - (is ? 1 : 0)) * rows.features[r * rows.dim + d];
    }
  }
  double most = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i)
    most = std::max(most, std::abs(gradient[i] + head.weight.as<float>()[i]));
  for (const double b : bias) most = std::max(most, std::abs(b));
  return most;
}

ProbeOptions options(std::vector<double> c, bool several = false) {
  ProbeOptions o;
  o.c = std::move(c);
  o.mode = metrics::label_mode(several);
  o.warn = [](const std::string& text) { ADD_FAILURE() << text; };
  return o;
}

TEST(Probe, IsTheMinimumOfItsObjective) {
  Sequential sequential;
  const Clouds train(90, 3, 1), val(30, 3, 2);
  const Probe probe = fit_probe(train.rows, val.rows, 3, options({0.1}), sequential);
  EXPECT_LT(largest_gradient(probe.head, train.rows, 0.1, false), 0.02);
  EXPECT_EQ(probe.summary.find("chosen_on")->as_string(), "given");
}

TEST(Probe, OfTwoClassesEachGetsHalfOfTheDifference) {
  Sequential sequential;
  const Clouds train(80, 2, 3), val(20, 2, 4);
  const Probe probe = fit_probe(train.rows, val.rows, 2, options({1}), sequential);
  for (std::size_t d = 0; d < train.rows.dim; ++d)
    EXPECT_EQ(probe.head.weight.as<float>()[d], -probe.head.weight.as<float>()[train.rows.dim + d]);
  EXPECT_EQ(probe.head.bias.as<float>()[0], -probe.head.bias.as<float>()[1]);
  double right = 0;
  for (std::size_t r = 0; r < 80; ++r) {
    const auto z = logits(probe.head, train.rows, r);
    right += (z[1] > z[0]) == (r % 2 == 1) ? 1 : 0;
  }
  EXPECT_GT(right / 80, 0.75);
}

TEST(Probe, TakesTheBestOnValAndWithoutItTheNearestToOne) {
  Sequential sequential;
  const Clouds train(60, 3, 5), val(60, 3, 6);
  const Probe chosen = fit_probe(train.rows, val.rows, 3, options({1e-6, 0.1, 1000}), sequential);
  EXPECT_EQ(chosen.summary.find("chosen_on")->as_string(), "val");
  EXPECT_EQ(chosen.summary.find("c")->as_double(), 0.1);
  EXPECT_EQ(chosen.summary.find("path")->as_list().size(), 3u);
  const ProbeRows none{{}, train.rows.dim, {}};
  const Probe alone = fit_probe(train.rows, none, 3, options({1e-6, 0.1, 1000}), sequential);
  EXPECT_EQ(alone.summary.find("chosen_on")->as_string(), "nothing");
  EXPECT_EQ(alone.summary.find("c")->as_double(), 0.1);
}

TEST(Probe, OfSeveralLabelsEachIsAQuestionOfItsOwn) {
  Sequential sequential;
  Clouds train(60, 3, 7), val(30, 3, 8);
  for (std::size_t r = 0; r < 60; r += 4) train.labels[r].push_back(3);  // a label that says nothing
  for (std::size_t r = 0; r < 60; ++r) train.rows.labels[r] = train.labels[r];
  const Probe probe = fit_probe(train.rows, val.rows, 5, options({0.1}, true), sequential);
  LinearHead four = probe.head;
  EXPECT_NEAR(four.bias.as<float>()[4], std::log(0.5 / 60.5), 1e-5);  // nothing in train shows the last
  // The others are at the minimum, each of its own.
  four.weight = Tensor::allocate(DType::F32, {4, 5});
  four.bias = Tensor::allocate(DType::F32, {4});
  std::copy_n(probe.head.weight.as<float>(), 20, four.weight.as<float>());
  std::copy_n(probe.head.bias.as<float>(), 4, four.bias.as<float>());
  EXPECT_LT(largest_gradient(four, train.rows, 0.1, true), 0.02);
}

TEST(Probe, ARandomHeadIsAFunctionOfTheSeed) {
  const LinearHead a = random_head(3, 400, 1), b = random_head(3, 400, 1), c = random_head(3, 400, 2);
  double squares = 0;
  for (std::int64_t i = 0; i < a.weight.size(); ++i) {
    EXPECT_EQ(a.weight.as<float>()[i], b.weight.as<float>()[i]);
    squares += std::pow(a.weight.as<float>()[i], 2);
  }
  EXPECT_NE(a.weight.as<float>()[0], c.weight.as<float>()[0]);
  EXPECT_NEAR(std::sqrt(squares / 1200), 0.01, 0.001);
}

}  // namespace
}  // namespace graft
