#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>
#include <network/initial_weights.h>

#include <network/checked_engine.h>
#include <network/reference.h>
#include <network/testing/small_networks.h>
#include "fused_engine.h"
#include "lowering.h"
#include "testing/random_engine.h"

namespace graft::fused {
namespace {

using nn::Architecture;
using nn::Layer;
using nn::Op;
using nn::test::conv;
using nn::test::convolutional;
using nn::test::layer;
using nn::test::windowed;

/// The largest difference, as a part of the largest value.
double difference(const Tensor& got, std::int64_t image, const std::vector<double>& wanted) {
  const auto n = static_cast<std::int64_t>(wanted.size());
  EXPECT_EQ(got.size() / got.shape[0], n);
  double scale = 0, off = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double v = wanted[static_cast<std::size_t>(i)];
    scale = std::max(scale, std::fabs(v));
    off = std::max(off, std::fabs(v - static_cast<double>(got.as<float>()[image * n + i])));
  }
  return off / scale;
}

/// Two images through the engine, the second one through loops.
double worst(const Architecture& net, int height, int width, const std::vector<std::string>& taps,
             const std::string& precision = "fp32") {
  const auto images = noise(2, height, width, 3);
  const auto got = engine(net, 2, taps, precision).run(images.data(), height, width);
  const std::vector<float> image(images.begin() + static_cast<std::ptrdiff_t>(images.size() / 2),
                                 images.end());
  const auto wanted = nn::reference(net, weights_of(net), image, height, width, taps);
  double most = 0;
  for (std::size_t t = 0; t < taps.size(); ++t) most = std::max(most, difference(got[t], 1, wanted[t].data));
  return most;
}

class EveryNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryNetwork, GivesWhatLoopsGive) {
  nn::Options options;
  options.classes = 10;
  if (GetParam() == "lenet") options.side = 36;
  const Architecture net = nn::make_architecture(GetParam(), options);
  // The matrices of a VGG have a hundred million weights, too many for loops.
  const bool to_the_end = !GetParam().starts_with("vgg");
  const std::string end = to_the_end ? net.layers.back().name : nn::resolve_tap(net, "features");
  EXPECT_LE(worst(nn::reduced_to(net, {end}), 36, 36, {end}), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(EngineFused, EveryNetwork, ::testing::ValuesIn(nn::architecture_names()));

TEST(EngineFused, WinogradsSizesToo) {
  // Maps of 12 pixels and more, where three by three convolutions run by minimal filtering.
  const Architecture net = nn::make_architecture("resnet18");
  EXPECT_LE(worst(nn::reduced_to(net, {"layer2.1.relu2"}), 112, 120, {"layer1.1.relu2", "layer2.1.relu2"}),
            1e-4);
  const Architecture small = nn::make_architecture("resnet56");
  EXPECT_LE(worst(small, 32, 32, {small.tap}), 1e-4);
}

TEST(EngineFused, SixteenBitsStayWithinAFewHundredths) {
  if (!has_avx512()) {
    EXPECT_THAT(
        [] { engine(nn::make_architecture("resnet20"), 1, {}, "bf16"); },
        ::testing::ThrowsMessage<Error>("precision: bf16 needs a processor with AVX-512, which this one has "
                                        "not; use fp32, or auto"));
    return;
  }
  for (const char* name : {"resnet18", "efficientnet_b0", "resnet20"}) {
    const Architecture net = nn::make_architecture(name);
    EXPECT_LE(worst(net, 64, 64, {net.tap}, "bf16"), 5e-2) << name;
  }
}

TEST(EngineFused, AnImageDoesNotDependOnItsNeighboursNorOnThreads) {
  for (const char* name : {"resnet18", "mobilenet_v1_025", "resnet20"}) {
    const Architecture net = nn::make_architecture(name);
    const auto alone = noise(1, 64, 64, 9);
    auto padded = alone;
    padded.resize(7 * alone.size());
    Tensor wanted = engine(net, 7).run(padded.data(), 64, 64)[0];
    wanted.shape[0] = 1;
    for (const int threads : {1, 2, 3}) {
      const FusedEngine together = engine(net, 7, {}, "fp32", threads);
      for (std::size_t place = 0; place < 7; ++place) {
        auto images = noise(7, 64, 64, 10 + place);
        std::copy(alone.begin(), alone.end(),
                  images.begin() + static_cast<std::ptrdiff_t>(place * alone.size()));
        const Tensor got = together.run(images.data(), 64, 64)[0];
        const auto n = static_cast<std::size_t>(wanted.size());
        EXPECT_EQ(std::memcmp(got.as<float>() + place * n, wanted.data, n * sizeof(float)), 0)
            << name << ", place " << place << ", " << threads << " threads";
      }
    }
  }
}

TEST(EngineFused, ManyThreadsMayCallAtOnceInSeveralSizes) {
  const Architecture net = nn::make_architecture("resnet20");
  const FusedEngine shared = engine(net, 3);
  const auto small = noise(3, 32, 32, 1), wide = noise(3, 24, 40, 2);
  const FusedEngine quiet = engine(net, 3);
  const Tensor wanted_small = quiet.run(small.data(), 32, 32)[0],
               wanted_wide = quiet.run(wide.data(), 24, 40)[0];
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(
            std::memcmp(shared.run(small.data(), 32, 32)[0].data, wanted_small.data, wanted_small.bytes()),
            0);
        EXPECT_EQ(std::memcmp(shared.run(wide.data(), 24, 40)[0].data, wanted_wide.data, wanted_wide.bytes()),
                  0);
      }
    });
  for (std::thread& t : threads) t.join();
}

/// Whatever must not be merged: values that are read twice, tapped, or that no convolution makes.
Architecture awkward() {
  Architecture net;
  net.name = "awkward";
  net.layers = {conv("a", "input", 3, 20),
                layer("a_norm", Op::BatchNorm, {"a"}, 20, 20),  // `a` is tapped: not folded
                layer("a_relu", Op::Relu, {"a_norm"}, 20, 20),
                conv("b", "a_relu", 20, 20),
                layer("twice", Op::Add, {"b", "b"}, 20, 20),
                layer("sum", Op::Add, {"twice", "a_relu"}, 20, 20),
                layer("sum_silu", Op::Silu, {"sum"}, 20, 20),
                conv("c", "sum_silu", 20, 20),
                layer("c_sum", Op::Add, {"c", "sum_silu"}, 20, 20),  // sum_silu is read again: not in place
                conv("d", "c_sum", 20, 20, 1),
                layer("d_sum", Op::Add, {"sum_silu", "d"}, 20, 20),
                layer("d_sigmoid", Op::Sigmoid, {"d_sum"}, 20, 20),
                layer("scale", Op::GlobalPool, {"d_sigmoid"}, 20, 20),
                layer("scaled", Op::Mul, {"c_sum", "scale"}, 20, 20),
                layer("scaled_relu6", Op::Relu6, {"scaled"}, 20, 20),
                layer("pool", Op::AvgPool, {"scaled_relu6"}, 20, 20),
                layer("drop", Op::Dropout, {"pool"}, 20, 20),
                layer("flat", Op::Flatten, {"drop"}, 20, 20),
                layer("fc", Op::Linear, {"flat"}, 20 * 9, 7),
                layer("fc_relu", Op::Relu, {"fc"}, 7, 7)};
  net.layers[15].size = 3;
  net.layers[18].bias = true;
  net.tap = "fc_relu";
  return net;
}

TEST(EngineFused, MergesNothingThatSomebodyElseReads) {
  const std::vector<std::string> taps{"a",      "a_relu", "twice",        "c_sum", "d_sigmoid", "scale",
                                      "scaled", "pool",   "scaled_relu6", "flat",  "fc",        "fc_relu"};
  for (const auto& [height, width] : {std::pair{13, 17}, std::pair{12, 12}, std::pair{3, 3}})
    EXPECT_LE(worst(awkward(), height, width, taps), 1e-5) << height << " x " << width;
  EXPECT_LE(worst(awkward(), 13, 17, {"fc_relu"}), 1e-5);
}

TEST(EngineFused, ASumWithAConvolutionsOwnInputIsNotMadeInPlace) {
  Architecture net;
  net.name = "one";
  for (const int kernel : {1, 3}) {
    net.layers = {conv("a", "input", 3, 32), layer("a_relu", Op::Relu, {"a"}, 32, 32),
                  conv("b", "a_relu", 32, 32, kernel), layer("sum", Op::Add, {"b", "a_relu"}, 32, 32),
                  layer("sum_relu", Op::Relu, {"sum"}, 32, 32)};
    net.tap = "sum_relu";
    for (const int side : {9, 20})
      EXPECT_LE(worst(net, side, side, {"sum_relu"}), 1e-5) << kernel << ", " << side;
  }
}

/// Every operation on tokens, and norms over channels: a block as a ViT has it, one with rotary positions and
/// SwiGLU, and all ways to make a vector of tokens.
Architecture small_transformer() {
  Architecture net;
  net.name = "small transformer";
  const auto add = [&](Layer one) -> Layer& { return net.layers.emplace_back(std::move(one)); };
  Layer& patches = add(layer("patches", Op::Conv, {"input"}, 3, 32));
  patches.kernel = patches.stride = 4;
  add(layer("image_norm", Op::LayerNorm, {"patches"}, 32, 32));
  add(layer("image_response", Op::ResponseNorm, {"image_norm"}, 32, 32));
  add(layer("image_scale", Op::LayerScale, {"image_response"}, 32, 32));
  Layer& embed = add(layer("embed", Op::Embed, {"image_scale"}, 32, 32));
  embed.prefix = 2;
  embed.grid_height = embed.grid_width = 3;
  add(layer("norm1", Op::LayerNorm, {"embed"}, 32, 32));
  add(layer("qkv", Op::Linear, {"norm1"}, 32, 96)).bias = true;
  add(layer("attention", Op::Attention, {"qkv"}, 32, 32)).heads = 2;
  add(layer("proj", Op::Linear, {"attention"}, 32, 32)).bias = true;
  add(layer("scale", Op::LayerScale, {"proj"}, 32, 32));
  add(layer("add1", Op::Add, {"scale", "embed"}, 32, 32));
  std::string last = "add1";
  for (const Op op : {Op::Gelu, Op::GeluTanh, Op::QuickGelu}) {
    const std::string name = nn::to_string(op);
    add(layer(name + "_in", Op::Linear, {last}, 32, 48)).bias = true;
    add(layer(name, op, {name + "_in"}, 48, 48));
    add(layer(name + "_out", Op::Linear, {name}, 48, 32));
    last = name + "_out";
  }
  add(layer("qkv2", Op::Linear, {last}, 32, 96));
  Layer& turned = add(layer("attention2", Op::Attention, {"qkv2", "patches"}, 96, 32));
  turned.heads = 4;
  turned.prefix = 2;
  turned.rope_periods = {1, 10};
  add(layer("w12", Op::Linear, {"attention2"}, 32, 40)).bias = true;
  add(layer("swiglu", Op::SwiGlu, {"w12"}, 40, 20));
  add(layer("tokens", Op::Linear, {"swiglu"}, 20, 32)).bias = true;
  Layer& cls = add(layer("cls", Op::TokenMean, {"tokens"}, 32, 32));
  cls.count = 1;
  Layer& mean = add(layer("mean", Op::TokenMean, {"tokens"}, 32, 32));
  mean.first = 2;
  add(layer("kv", Op::Linear, {"tokens"}, 32, 64)).bias = true;
  add(layer("pool", Op::AttentionPool, {"kv"}, 64, 32)).heads = 2;
  add(layer("joined", Op::Concat, {"cls", "mean", "pool"}, 32, 96));
  add(layer("vector_norm", Op::LayerNorm, {"joined"}, 96, 96));
  add(layer("vector_scale", Op::LayerScale, {"vector_norm"}, 96, 96));
  add(layer("head", Op::Linear, {"vector_scale"}, 96, 5)).bias = true;
  net.tap = "head";
  return net;
}

TEST(EngineFused, LaterConvolutionsGiveWhatLoopsGive) {
  const Architecture net = convolutional();
  const std::vector<std::string> all{
      "stem",    "gate", "first_norm", "wide",    "dilated_gate", "joined",       "ragged",  "slice",
      "shuffle", "max",  "mean",       "counted", "mean_ceil",    "counted_ceil", "blurred", "merged"};
  for (const auto& [height, width] : {std::pair(20, 20), {21, 27}, {14, 19}}) {
    EXPECT_LE(worst(net, height, width, all), 1e-5) << height << " x " << width;
    for (const char* end : {"max", "counted_ceil", "merged"})  // where more may be merged
      EXPECT_LE(worst(net, height, width, {end}), 1e-5) << end << ", " << height << " x " << width;
  }
  if (has_avx512()) {
    EXPECT_LE(worst(net, 21, 27, {"merged", "blurred", "mean"}, "bf16"), 5e-2);
  }
}

TEST(EngineFused, AttentionInWindowsGivesWhatLoopsGive) {
  for (const nn::WindowRule rule :
       {nn::WindowRule::Torchvision, nn::WindowRule::Timm, nn::WindowRule::Grid}) {
    const Architecture net = windowed(rule);
    // Whole windows; sides that they do not fill; a second stage of a single window along one side or both.
    for (const auto& [height, width] : {std::pair(24, 36), {26, 22}, {14, 34}, {12, 12}})
      EXPECT_LE(worst(net, height, width, {"a", "b", "merge", "c", "c_add"}), 1e-5)
          << to_string(rule) << ", " << height << " x " << width;
    const auto images = noise(5, 26, 22, 4);
    const Tensor wanted = engine(net, 5).run(images.data(), 26, 22)[0];
    for (const int threads : {2, 3}) {
      const Tensor got = engine(net, 5, {}, "fp32", threads).run(images.data(), 26, 22)[0];
      EXPECT_EQ(std::memcmp(got.data, wanted.data, wanted.bytes()), 0) << threads;
    }
  }
  // Where windows fill the image, both rules are one; else they are not.
  const auto values = [](nn::WindowRule rule, int side) {
    const Architecture net = windowed(rule);
    return nn::reference(net, weights_of(net), noise(1, side, side, 3), side, side, {"b"})[0].data;
  };
  EXPECT_EQ(values(nn::WindowRule::Timm, 24), values(nn::WindowRule::Torchvision, 24));
  EXPECT_NE(values(nn::WindowRule::Timm, 26), values(nn::WindowRule::Torchvision, 26));
}

TEST(EngineFused, TokensGiveWhatLoopsGive) {
  const Architecture net = small_transformer();
  // The native grid, another one, and one that is not square; at the end, and where nothing may be merged.
  for (const auto& [height, width] : {std::pair(12, 12), {20, 20}, {16, 28}}) {
    EXPECT_LE(worst(net, height, width, {"head"}), 1e-5) << height << " x " << width;
    EXPECT_LE(
        worst(net, height, width, {"embed", "proj", "add1", "Gelu_in", "w12", "swiglu", "tokens", "pool"}),
        1e-5)
        << height << " x " << width;
  }
}

TEST(EngineFused, TokensOfManyImagesGiveTheSameBitsOnAnyNumberOfThreads) {
  const Architecture net = small_transformer();
  // More tokens than one block of queries holds.
  const auto images = noise(3, 40, 640, 4);
  const Tensor wanted = engine(net, 3).run(images.data(), 40, 640)[0];
  for (const int threads : {2, 3}) {
    const Tensor got = engine(net, 3, {}, "fp32", threads).run(images.data(), 40, 640)[0];
    EXPECT_EQ(std::memcmp(got.data, wanted.data, wanted.bytes()), 0) << threads;
  }
  EXPECT_LE(worst(net, 40, 640, {"head"}), 1e-5);
}

TEST(EngineFused, GroupsOfAnySize) {
  for (const auto& [channels, groups] :
       {std::pair{16, 4}, std::pair{20, 4}, std::pair{64, 2}, std::pair{128, 32}}) {
    Architecture net;
    net.name = "groups";
    Layer grouped = conv("b", "a", channels, channels);
    grouped.groups = groups;
    net.layers = {conv("a", "input", 3, channels), grouped,
                  layer("relu", Op::Relu, {"b"}, channels, channels)};
    net.tap = "relu";
    EXPECT_LE(worst(net, 15, 15, {"relu"}), 1e-5) << channels << " / " << groups;
  }
}

/// Windows of two sizes, then a matrix.
Architecture pooled() {
  Architecture net;
  net.name = "pooled";
  net.layers = {conv("a", "input", 3, 16),
                layer("pool", Op::AvgPool, {"a"}, 16, 16),
                layer("flat", Op::Flatten, {"pool"}, 16, 16),
                layer("fc", Op::Linear, {"flat"}, 16 * 49, 4096),
                layer("relu", Op::Relu, {"fc"}, 4096, 4096),
                layer("fc2", Op::Linear, {"relu"}, 4096, 1000)};
  net.layers[1].size = 7;
  net.tap = "fc2";
  return net;
}

TEST(EngineFused, AnUnevenPoolMayFeedAMatrix) {
  EXPECT_LE(worst(pooled(), 8, 9, {"fc2"}), 1e-5);
  if (has_avx512()) {
    EXPECT_LE(worst(pooled(), 8, 9, {"fc2"}, "bf16"), 5e-2);
  }
}

TEST(EngineFused, ThreadsDoNotSplitTheSumsOfAMatrix) {
  const auto images = noise(8, 8, 9, 4);
  const Tensor wanted = engine(pooled(), 8).run(images.data(), 8, 9)[0];
  for (const int threads : {2, 4}) {
    const Tensor got = engine(pooled(), 8, {}, "fp32", threads).run(images.data(), 8, 9)[0];
    EXPECT_EQ(std::memcmp(got.data, wanted.data, wanted.bytes()), 0) << threads;
  }
}

TEST(EngineFused, ThePlainWayGivesTheSameBitsInOtherPlaces) {
  for (const char* name : {"resnet18", "mobilenet_v1_025", "resnet20"}) {
    const FusedEngine shared = engine(nn::make_architecture(name), 7);
    const auto images = noise(7, 64, 64, 12);
    const Tensor wanted = shared.run(images.data(), 64, 64)[0];
    const auto n = static_cast<std::size_t>(wanted.size()) / 7;
    for (const int count : {1, 2, 5, 7}) {
      const Tensor got = shared.run_plainly(images.data(), count, 64, 64)[0];
      ASSERT_EQ(got.shape[0], count);
      EXPECT_EQ(std::memcmp(got.data, wanted.data, static_cast<std::size_t>(count) * n * sizeof(float)), 0)
          << name << ", " << count;
    }
  }
}

/// Sums up every image; wrong at one position of the batch, or rejects every image.
class Sums final : public nn::Engine {
 public:
  explicit Sums(int batch, int wrong_place = -1, double by = 0, bool takes = true)
      : batch_(batch), wrong_(wrong_place), by_(by), takes_(takes) {}
  std::vector<Tensor> run(const float* images, int height, int width) const override {
    if (!takes_) throw nn::UnfitInput("too small");
    return {sums(images, batch_, height * width * 3)};
  }
  std::vector<Tensor> run_plainly(const float* images, int count, int height, int width) const override {
    return {sums(images, count, height * width * 3)};
  }

 private:
  Tensor sums(const float* images, int count, int size) const {
    Tensor out = Tensor::allocate(DType::F32, {count, 1});
    for (int i = 0; i < count; ++i) {
      double sum = 0;
      for (int k = 0; k < size; ++k) sum += images[i * size + k];
      out.as<float>()[i] = static_cast<float>(sum * (i == wrong_ ? 1 + by_ : 1));
    }
    return out;
  }

  int batch_, wrong_;
  double by_;
  bool takes_;
};

/// The output of a model read from code: which engine was used, and the warnings.
struct Checked {
  bool fast = false;
  std::vector<std::string> warnings;
};
Checked checked(int batch, int wrong_place, double by, bool takes = true) {
  constexpr int kSide = 2;
  Checked out;
  nn::EngineOptions options;
  options.batch = batch;
  options.warn = [&](const std::string& text) { out.warnings.push_back(text); };
  int made = 0;
  const nn::CheckedEngine engine(
      [&](int n) { return std::make_unique<Sums>(n, n == batch ? wrong_place : -1, by, takes); },
      [&](int n) { return std::make_unique<Sums>(n); },
      [&](int n) {
        ++made;
        return std::make_unique<Sums>(n);
      },
      options, "m.pt");
  const auto images = noise(batch, kSide, kSide, 2);
  const float first = *engine.run(images.data(), kSide, kSide)[0].as<float>();
  EXPECT_NEAR(first / *Sums(batch).run(images.data(), kSide, kSide)[0].as<float>(), 1, 2e-5);
  out.fast = made == 0;
  return out;
}

TEST(EngineFused, AModelReadFromCodeIsComparedInEveryPlaceBeforeItIsTrusted) {
  for (const int batch : {1, 2, 3, 8}) {
    EXPECT_TRUE(checked(batch, -1, 0).fast);
    for (int place = 0; place < batch; ++place) {
      const Checked wrong = checked(batch, place, 0.01);
      EXPECT_FALSE(wrong.fast) << batch << ", " << place;
      EXPECT_THAT(wrong.warnings,
                  ::testing::ElementsAre(::testing::AllOf(
                      ::testing::StartsWith("m.pt: merged layers are wrong for 2 x 2 images (image " +
                                            std::to_string(place + 1) + " of a batch of " +
                                            std::to_string(batch) + " is off by "),
                      ::testing::EndsWith("); LibTorch's optimiser is used, which is slower"))));
      EXPECT_TRUE(checked(batch, place, 1e-5).fast) << "rounding";
    }
  }
  EXPECT_THAT(checked(3, -1, 0, false).warnings,
              ::testing::ElementsAre("m.pt: merged layers fail where the model works (too small); LibTorch's "
                                     "optimiser is used, which is slower"));
}

/// Leaves its name in the thread's settings.
class Setting final : public nn::Engine {
 public:
  Setting(std::string name, std::string& settings, bool takes, double value = 1)
      : name_(std::move(name)), settings_(settings), takes_(takes), value_(value) {}
  void enter_thread() const override { settings_ = name_; }
  std::vector<Tensor> run(const float*, int, int) const override { return values(); }
  std::vector<Tensor> run_plainly(const float*, int, int, int) const override { return values(); }

 private:
  std::vector<Tensor> values() const {
    EXPECT_EQ(settings_, name_) << "of another engine";
    if (!takes_) throw nn::UnfitInput("too small");
    Tensor out = Tensor::allocate(DType::F32, {1, 1});
    *out.as<float>() = static_cast<float>(value_);
    return {out};
  }

  std::string name_;
  std::string& settings_;
  bool takes_;
  double value_;
};

TEST(EngineFused, AThreadHasItsOwnSettingsBackWhateverTheOtherEngineDid) {
  for (const bool takes : {true, false}) {
    std::string settings;
    nn::EngineOptions options;
    options.batch = 1;
    options.warn = [](const std::string&) {};
    const nn::CheckedEngine engine(
        [&](int) { return std::make_unique<Setting>("fast", settings, true, 2); },
        [&](int) { return std::make_unique<Setting>("reference", settings, takes); },
        [&](int) { return std::make_unique<Setting>("instead", settings, true); }, options, "m.pt");
    engine.enter_thread();
    const auto images = noise(1, 2, 2, 1);
    if (takes) {
      EXPECT_EQ(*engine.run(images.data(), 2, 2)[0].as<float>(), 1);  // the fast one is wrong
    } else {
      EXPECT_THROW(engine.run(images.data(), 2, 2), nn::UnfitInput);
      EXPECT_EQ(settings, "fast");
      EXPECT_THROW(engine.run_plainly(images.data(), 1, 2, 2), nn::UnfitInput);
    }
    EXPECT_EQ(settings, "fast");
  }
}

TEST(EngineFused, StepsAreWhatIsLeftOfAResNet) {
  const Architecture net = nn::make_architecture("resnet18");
  const Lowered steps = lower(net, weights_of(net), {net.tap});
  // 20 convolutions, two pools and flatten; sums, activations and norms ride on the convolutions.
  EXPECT_EQ(steps.steps.size(), 23u);
  EXPECT_EQ(std::count_if(steps.steps.begin(), steps.steps.end(),
                          [](const Step& s) { return s.residual != Step::kNone; }),
            8);
}

TEST(EngineFused, ASizeThatDoesNotFitIsNamed) {
  nn::Options options;
  options.side = 32;
  const Architecture net = nn::make_architecture("lenet", options);
  const auto images = noise(1, 24, 40, 1);
  EXPECT_THAT(
      [&] { engine(net, 1).run(images.data(), 24, 40); },
      ::testing::ThrowsMessage<nn::UnfitInput>(::testing::StartsWith(
          "the model does not take images of 40 x 24 ([n,3,24,40]): lenet: layer fc1 (Linear) takes 2048 "
          "values, gets [1920]")));
}

TEST(EngineFused, ManySizesAreTakenAndFewAreKept) {
  const Architecture net = nn::make_architecture("resnet8");
  const FusedEngine shared = engine(net, 1);
  const auto images = noise(1, 64, 64, 1);
  const Tensor first = shared.run(images.data(), 16, 16)[0];
  for (int side = 17; side < 64; ++side) shared.run(images.data(), side, side);
  const Tensor again = shared.run(images.data(), 16, 16)[0];
  EXPECT_EQ(std::memcmp(first.data, again.data, first.bytes()), 0);
}

}  // namespace
}  // namespace graft::fused
