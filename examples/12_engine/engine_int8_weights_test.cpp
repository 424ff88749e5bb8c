#include <gtest/gtest.h>

#include <cmath>

#include <graft/testing/error_of.h>
#include <graft/testing/stage_harness.h>

#include <network/engine.h>
#include <network/initial_weights.h>
#include <network/reference.h>

namespace nn = graft::nn;
using graft::testing::error_of;
using graft::testing::StageHarness;

TEST(Int8Weights, FeaturesAreNearThoseOfTheNetworkAndNotEqual) {
  StageHarness stage("engine_int8_weights");
  nn::Model model{.name = "lenet", .architecture = nn::make_architecture("lenet")};
  model.weights = nn::initial_weights(*model.architecture, 1);
  const auto engine = stage.as<nn::EngineService>().make(model, {.batch = 2});
  std::vector<float> images(2 * 3 * 32 * 32);
  for (std::size_t i = 0; i < images.size(); ++i) images[i] = std::sin(static_cast<float>(i));
  const graft::Tensor got = engine->run(images.data(), 32, 32).at(0);
  ASSERT_EQ(got.shape[0], 2);

  const std::string tap = model.architecture->tap;
  const std::size_t dim = got.size() / 2;
  for (std::size_t n = 0; n < 2; ++n) {
    const std::vector<float> image(images.begin() + static_cast<std::ptrdiff_t>(n * 3072),
                                   images.begin() + static_cast<std::ptrdiff_t>((n + 1) * 3072));
    const auto wanted =
        nn::reference(nn::reduced_to(*model.architecture, {tap}), model.weights, image, 32, 32, {tap}).at(0);
    ASSERT_EQ(wanted.data.size(), dim);
    double square = 0, error = 0;
    for (std::size_t k = 0; k < dim; ++k) {
      square += wanted.data[k] * wanted.data[k];
      error += std::pow(static_cast<double>(got.as<float>()[n * dim + k]) - wanted.data[k], 2);
    }
    EXPECT_GT(error, 0);
    EXPECT_LT(std::sqrt(error / square), 0.03);
  }
}

TEST(Int8Weights, ANetworkThatIsNotDescribedIsRefused) {
  StageHarness stage("engine_int8_weights");
  EXPECT_EQ(error_of([&] { stage.as<nn::EngineService>().make({.name = "m.pt"}, {.batch = 1}); }),
            "m.pt: engine_int8_weights takes described networks, not TorchScript");
}
