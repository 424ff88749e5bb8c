#include <dense/network.h>

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>

#include <graft/error.h>
#include <graft/testing/error_of.h>

namespace graft::dense {
namespace {

using graft::testing::error_of;
using ::testing::ElementsAre;
using ::testing::StrEq;

TEST(Network, ComputesAffineLayersWithReluBetween) {
  Network network({2, 2, 1});
  const std::vector<float> parameters = {1, -1, 2, 0.5F, 0, -1, 3, -2, 0.25F};
  std::copy(parameters.begin(), parameters.end(), network.parameters().begin());
  const std::vector<float> rows = {3, 1, 1, 2};  // hidden: (2, 5.5) and (0, 2)
  std::vector<float> hidden(4), logits(2);
  network.hidden(rows.data(), 2, hidden.data());
  network.logits(rows.data(), 2, logits.data());
  EXPECT_THAT(hidden, ElementsAre(2, 5.5F, 0, 2));
  EXPECT_THAT(logits, ElementsAre(-4.75F, -3.75F));
}

TEST(Network, WithoutHiddenLayersIsLinearAndItsRepresentationAreTheFeatures) {
  Network network({2, 3});
  network.draw(1);
  const std::vector<float> rows = {3, 1, 1, 2};
  std::vector<float> hidden(4);
  network.hidden(rows.data(), 2, hidden.data());
  EXPECT_EQ(hidden, rows);
  EXPECT_EQ(network.hidden_width(), 2U);
}

TEST(Network, IsDrawnHeNormal) {
  Network network({400, 300, 200});
  network.draw(5);
  const auto spread = [&](const Network::Layer& layer) {
    double squares = 0;
    for (std::size_t i = layer.weight; i < layer.bias; ++i) squares += std::pow(network.parameters()[i], 2);
    return std::sqrt(squares / static_cast<double>(layer.bias - layer.weight));
  };
  EXPECT_NEAR(spread(network.layers()[0]), std::sqrt(2.0 / 400), 0.001);
  EXPECT_NEAR(spread(network.layers()[1]), std::sqrt(1.0 / 300), 0.001);
  EXPECT_EQ(network.bias(network.layers()[0])[17], 0);
  Network same({400, 300, 200}), other({400, 300, 200});
  same.draw(5);
  other.draw(6);
  EXPECT_TRUE(std::equal(same.parameters().begin(), same.parameters().end(), network.parameters().begin()));
  EXPECT_FALSE(
      std::equal(other.parameters().begin(), other.parameters().end(), network.parameters().begin()));
}

TEST(Network, IsTheSameToTheLastBitAfterSavingAndLoading) {
  Network network({7, 5, 4});
  network.draw(1);
  Bundle bundle;
  network.save(bundle, "head.");
  bundle.facts = Value::from_json(bundle.facts.to_json());
  const Network again = Network::load(bundle, "head.");
  EXPECT_EQ(again.widths(), network.widths());
  EXPECT_TRUE(std::equal(again.parameters().begin(), again.parameters().end(), network.parameters().begin()));
}

TEST(Network, RefusesADamagedBundle) {
  Network network({7, 5, 4});
  Bundle good;
  network.save(good);
  const auto load = [&](const std::function<void(Bundle&)>& damage) {
    Bundle bundle = good;
    damage(bundle);
    return error_of([&] { Network::load(bundle); });
  };
  const std::string cure = "; the bundle is damaged or of another learner; train the model again";
  EXPECT_THAT(load([](Bundle& b) { b.tensors.erase("layer1.bias"); }),
              StrEq("bundle without the tensor 'layer1.bias': expected f32 [4]" + cure));
  EXPECT_THAT(load([](Bundle& b) { b.facts["widths"].as_list()[1] = 6; }),
              StrEq("tensor 'layer0.weight' of the bundle is f32 [5,7]: expected f32 [6,7]" + cure));
  for (const char* widths : {"3", "[7]", "[7, 0, 4]", "[7, \"5\", 4]", "[7, 99999999999, 4]"}) {
    EXPECT_THAT(load([&](Bundle& b) { b.facts["widths"] = Value::from_json(widths); }),
                StrEq("'widths' of the bundle is " + Value::from_json(widths).to_json() +
                      ": expected at least two whole numbers of at least 1" + cure));
  }
  EXPECT_THAT(load([](Bundle& b) {
                b.tensors["layer1.bias"].as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
              }),
              StrEq("tensor 'layer1.bias' of the bundle has values that are not finite" + cure));
}

}  // namespace
}  // namespace graft::dense
