#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <graft/plugin.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <graft/safetensors.h>
#include <network/architecture.h>
#include <network/initial_weights.h>

#include "sanitizers.h"

namespace graft {
namespace {

using ::testing::HasSubstr;
using testing::StageHarness;

constexpr std::uint64_t kSeed = 77;  // of the models' random weights

class BackboneTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (std::filesystem::temp_directory_path() / "graft-backbone-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = new std::string(name);
    nn::Options small;
    small.classes = 2;
    small.width = 8;
    save(nn::make_architecture("resnet8", small), model());
    small.width = 4;
    save(nn::make_architecture("lenet", small), lenet());
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*folder_);
    delete folder_;
  }
  static void save(const nn::Architecture& net, const std::string& path) {
    std::ofstream(path, std::ios::binary) << to_safetensors(nn::initial_weights(net, kSeed));
  }
  static std::string model() { return *folder_ + "/resnet8.safetensors"; }
  static std::string lenet() { return *folder_ + "/lenet.safetensors"; }
  static StageHarness stage(const std::string& more = "", const std::string& path = model()) {
    return StageHarness("backbone", "{model: \"" + path + "\"" + (more.empty() ? "" : ", " + more) + "}");
  }
  static std::string error_of(const std::string& more, const std::string& path = model()) {
    try {
      stage(more, path);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  static inline std::string* folder_ = nullptr;
};

Image noise(int width, int height, std::uint64_t seed) {
  Image image = Image::allocate(width, height);
  Random random(seed);
  for (std::size_t i = 0; i < image.bytes(); ++i)
    image.data[i] = static_cast<std::uint8_t>(random.below(256));
  return image;
}

std::vector<float> values(const StageHarness::Outcome& outcome) {
  const auto& t = std::get<Tensor>(outcome.payload);
  return {t.as<float>(), t.as<float>() + t.size()};
}

TEST_F(BackboneTest, OneVectorPerImageAndPaddingLeavesNoTrace) {
  auto harness = stage("batch: 4");
  EXPECT_EQ(harness.as<BatchTransform>().batch_size(), 4u);
  const auto alone = harness.apply_batch({noise(32, 32, 1)});
  const auto full =
      harness.apply_batch({noise(32, 32, 2), noise(32, 32, 1), noise(32, 32, 3), noise(32, 32, 4)});
  ASSERT_EQ(values(alone[0]).size(), 32u);  // 4 x width
  EXPECT_EQ(values(alone[0]), values(full[1]));
  EXPECT_NE(values(full[0]), values(full[1]));
  EXPECT_TRUE(harness.warnings().empty()) << harness.warnings().front();
}

TEST_F(BackboneTest, FirstAndTenthCallGiveTheSameBits) {
  auto harness = stage();
  const auto first = values(harness.apply_batch({noise(32, 32, 1)})[0]);
  for (int call = 2; call <= 10; ++call)
    ASSERT_EQ(values(harness.apply_batch({noise(32, 32, 1)})[0]), first) << "call " << call;
}

TEST_F(BackboneTest, ThreadsDoNotChangeBits) {
  auto harness = stage("batch: 2");
  auto& shared = harness.as<BatchTransform>();
  std::vector<std::vector<float>> wanted;
  auto reference = stage("batch: 2");
  for (std::uint64_t i = 0; i < 24; ++i)
    wanted.push_back(values(reference.apply_batch({noise(32, 32, i)})[0]));

  std::vector<std::vector<float>> got(24);
  std::vector<std::thread> workers;
  for (std::size_t w = 0; w < 4; ++w)
    workers.emplace_back([&, w] {
      struct Keep final : BatchOutput {
        std::vector<float>* to = nullptr;
        void set(std::size_t, Payload p, std::size_t) override {
          const auto& t = std::get<Tensor>(p);
          to->assign(t.as<float>(), t.as<float>() + t.size());
        }
        void reject(std::size_t, const std::string&, const std::string& text) override {
          ADD_FAILURE() << text;
        }
      } keep;
      shared.enter_worker();
      for (std::size_t i = w; i < 24; i += 4) {
        const Item item{std::make_shared<Entry>(), 0, noise(32, 32, i)};
        keep.to = &got[i];
        shared.apply({&item, 1}, keep);
      }
    });
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(got, wanted);
}

TEST_F(BackboneTest, SizesMayMixWhereTheModelTakesThem) {
  auto harness = stage("batch: 4");
  const auto mixed = harness.apply_batch({noise(32, 32, 1), noise(40, 24, 2), noise(32, 32, 3)});
  EXPECT_EQ(values(mixed[0]), values(harness.apply_batch({noise(32, 32, 1)})[0]));
  EXPECT_EQ(values(mixed[1]), values(harness.apply_batch({noise(40, 24, 2)})[0]));
}

TEST_F(BackboneTest, AnImageThatDoesNotFitIsRejectedAlone) {
  auto harness = stage("batch: 4", lenet());
  const auto out = harness.apply_batch({noise(32, 32, 1), noise(40, 24, 2), StageHarness::tensor({1}, {0})});
  EXPECT_EQ(out[0].reject_code, "");
  EXPECT_EQ(out[1].reject_code, "model-input");
  EXPECT_THAT(
      out[1].reject_text,
      ::testing::StartsWith(
          "the model does not take images of 40 x 24 ([n,3,24,40]): lenet: layer fc1 (Linear) takes"));
  EXPECT_EQ(out[1].reject_text.find('\n'), std::string::npos);
  EXPECT_EQ(out[2].reject_code, "wrong-type");
  EXPECT_THAT(harness.warnings(), ::testing::Contains(out[1].reject_text));
}

TEST_F(BackboneTest, UntrainedForgetsTheWeightsButNotTheArchitecture) {
  auto trained = stage(), one = stage("untrained: true"), again = stage("untrained: true"),
       other = stage("untrained: true, init_seed: 2"),
       same = stage("untrained: true, init_seed: " + std::to_string(kSeed));
  const auto run = [](StageHarness& s) { return values(s.apply_batch({noise(32, 32, 1)})[0]); };
  EXPECT_EQ(run(one), run(again));
  EXPECT_NE(run(one), run(trained));
  EXPECT_EQ(run(same), run(trained));  // all that was learnt is gone, and nothing else
  EXPECT_NE(run(one), run(other));
  EXPECT_EQ(run(one).size(), run(trained).size());
  for (const float v : run(one)) EXPECT_TRUE(std::isfinite(v));
}

TEST_F(BackboneTest, NormalizationIsPartOfTheResult) {
  auto imagenet = stage(), half = stage("normalize: {mean: 0.5, std: [0.5, 0.5, 0.5]}");
  EXPECT_NE(values(imagenet.apply_batch({noise(32, 32, 1)})[0]),
            values(half.apply_batch({noise(32, 32, 1)})[0]));
  EXPECT_EQ(error_of("normalize: {mean: [0.5, 0.5], std: 1}"),
            "normalize.mean: expected one value or three (red, green, blue), got 2");
}

TEST_F(BackboneTest, APinnedFileMustMatch) {
  const std::string zeros(64, '0');
  EXPECT_THAT(
      error_of("sha256: \"" + zeros + "\""),
      ::testing::AllOf(
          ::testing::StartsWith(model() + ": expected SHA-256 " + zeros + ", got "),
          HasSubstr(": this is another file, or it was damaged; fetch it again or correct `sha256`")));
  EXPECT_EQ(error_of("sha256: abc"), "sha256: expected 64 hexadecimal digits, got 'abc'");
}

TEST_F(BackboneTest, AFileThatIsNoModelIsRefused) {
  const std::string path = *folder_ + "/text.pt";
  std::ofstream(path) << "hello";
  EXPECT_EQ(
      error_of("", path),
      path +
          ": expected weights as safetensors or as a state_dict of torch.save, got a text file that begins "
          "with 'hello'; name the file with the weights");
}

TEST_F(BackboneTest, TapsAreOutputsAndMayBeJoined) {
  const std::string network = "{architecture: resnet18, untrained: true, batch: 2, ";
  StageHarness taps("backbone", network + "taps: [layer1, layer3.0], pool: max}");
  const auto out = taps.apply_batch({noise(64, 64, 1), noise(64, 64, 2)});
  ASSERT_EQ(out[1].ports.size(), 2u);
  const auto& low = std::get<Tensor>(out[1].ports.at(0));
  const auto& high = std::get<Tensor>(out[1].ports.at(1));
  EXPECT_EQ(low.shape, Shape{64});
  EXPECT_EQ(high.shape, Shape{256});

  StageHarness joined("backbone", network + "concatenate: [layer1, layer3.0], pool: max}");
  const auto both = values(joined.apply_batch({noise(64, 64, 1), noise(64, 64, 2)})[1]);
  ASSERT_EQ(both.size(), 320u);
  EXPECT_TRUE(std::equal(low.as<float>(), low.as<float>() + 64, both.begin()));
  EXPECT_TRUE(std::equal(high.as<float>(), high.as<float>() + 256, both.begin() + 64));

  StageHarness unit("backbone", network + "taps: layer3, l2: true}");
  double length = 0;
  for (const float v : values(unit.apply_batch({noise(64, 64, 1)})[0])) length += double{v} * double{v};
  EXPECT_NEAR(length, 1, 1e-5);
  EXPECT_THAT(unit.warnings(),
              ::testing::Contains(HasSubstr("resnet18 was trained on images of 224 x 224, got 64 x 64")));
}

TEST_F(BackboneTest, ModelsThatCannotBeAreNamed) {
  const auto fault = [](const std::string& params) -> std::string {
    try {
      StageHarness stage("backbone", params);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(fault("{}"),
            "model: expected a file with weights, got none; or give `architecture` with `untrained: true`");
  EXPECT_THAT(fault("{architecture: resnet81, untrained: true}"), HasSubstr("did you mean 'resnet18'?"));
  EXPECT_THAT(fault("{architecture: resnet18, untrained: true, taps: layer5}"), HasSubstr("layer4"));
  EXPECT_EQ(fault("{architecture: resnet18, untrained: true, taps: layer1, concatenate: [layer1, layer2]}"),
            "expected one of taps, concatenate and last_blocks, got taps, concatenate");
  EXPECT_THAT(
      fault("{architecture: resnet18, untrained: true, device: \"cuda:9\"}"),
      HasSubstr(GRAFT_HAS_TORCH
                    ? "device: 'cuda:9' is not available: "
                    : "device: 'cuda:9' needs LibTorch: the service 'engine_torch' is not installed"));
}

/// CIFAR-10's test images and labels, straight from their records.
std::vector<std::pair<Image, int>> cifar_test(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::vector<std::pair<Image, int>> out;
  std::string record(3073, '\0');
  while (in.read(record.data(), 3073)) {
    Image image = Image::allocate(32, 32);
    for (std::size_t i = 0; i < 1024; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        image.data[3 * i + c] = static_cast<std::uint8_t>(record[1 + 1024 * c + i]);
    out.emplace_back(image, record[0]);
  }
  return out;
}

TEST_F(BackboneTest, CheckpointsHaveTheAccuracyThatTheyAreKnownFor) {
  const char* data = std::getenv("GRAFT_DATA");
  const std::string folder = data ? data : "";
  if (!std::filesystem::exists(folder + "/cifar10/test_batch.bin"))
    GTEST_SKIP() << "set GRAFT_DATA to a folder with cifar10/ and weights/";
  const auto images = cifar_test(folder + "/cifar10/test_batch.bin");
  for (const auto& [file, known] :
       {std::pair{"resnet20_cifar10.pth", 0.9180}, std::pair{"resnet56_cifar10.safetensors", 0.9305}}) {
    StageHarness stage("backbone",
                       "{model: \"" + folder + "/weights/" + file + "\", taps: linear, batch: 50}");
    std::size_t hits = 0;
    for (std::size_t first = 0; first < images.size(); first += 50) {
      std::vector<Payload> batch;
      for (std::size_t i = first; i < first + 50; ++i) batch.emplace_back(images[i].first);
      const auto out = stage.apply_batch(batch);
      for (std::size_t i = 0; i < 50; ++i) {
        const auto logits = values(out[i]);
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        hits += best == images[first + i].second ? 1 : 0;
      }
    }
    EXPECT_NEAR(static_cast<double>(hits) / static_cast<double>(images.size()), known, 0.001) << file;
    EXPECT_TRUE(stage.warnings().empty()) << stage.warnings().front();
  }
}

TEST_F(BackboneTest, EveryFormatOfAModelGivesTheSameFeatures) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "needs the engine torch, which this build leaves out";
  const char* data = std::getenv("GRAFT_DATA");
  const std::string weights = std::string(data ? data : "") + "/weights/";
  if (!std::filesystem::exists(weights + "resnet20_cifar10.pth"))
    GTEST_SKIP() << "set GRAFT_DATA (missing weights/)";
  const auto features = [&](const std::string& file, int side, const std::string& more) {
    StageHarness stage("backbone", "{model: \"" + weights + file + "\"" + more + "}");
    return values(stage.apply_batch({noise(side, side, 3)})[0]);
  };
  const auto near = [](const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    float scale = 0, off = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      scale = std::max(scale, std::fabs(a[i]));
      off = std::max(off, std::fabs(a[i] - b[i]));
    }
    EXPECT_LE(off, 1e-5f * scale);
  };
  const auto script = features("resnet20_cifar10_features.torchscript.pt", 32, "");
  near(features("resnet20_cifar10.pth", 32, ""), script);
  near(features("resnet20_cifar10.safetensors", 32, ""), script);
  near(features("mobilenet_v1_075_imagenet.safetensors", 224, ""),
       features("mobilenet_v1_075_imagenet.torchscript.pt", 224, ", normalize: tf"));
}

/// The layers of a script that the engine reads; of one that it runs as it is, the modules.
TEST_F(BackboneTest, TellsWhatATorchScriptFileIsMadeOf) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "needs the engine torch, which this build leaves out";
  const char* data = std::getenv("GRAFT_DATA");
  const std::string weights = std::string(data ? data : "") + "/weights/";
  if (!std::filesystem::exists(weights + "resnet20_cifar10.pth"))
    GTEST_SKIP() << "set GRAFT_DATA (missing weights/)";
  const auto network_of = [&](const std::string& file, const std::string& engine) {
    StageHarness stage("backbone", "{model: \"" + weights + file + "\", engine: " + engine + "}");
    stage.apply_batch({noise(32, 32, 3)});
    return *stage.as<BatchTransform>().facts().find("network");
  };
  const Value known = network_of("resnet20_cifar10.safetensors", "fused");
  const std::string script = "resnet20_cifar10_features.torchscript.pt";
  const Value described = network_of(script, "fused");
  EXPECT_EQ(described.find("image")->to_json(), "[32,32]");
  EXPECT_EQ(described.find("name")->as_string(), script);
  const Value::List& parts = described.find("parts")->as_list();
  ASSERT_GT(parts.size(), 10U);
  EXPECT_EQ(parts[0].find("name")->as_string(), "conv1") << "by the modules of the file";
  EXPECT_EQ(std::count_if(parts.begin(), parts.end(),
                          [](const Value& p) { return p.find("type")->as_string() == "Block"; }),
            9);
  // The classifier is not in the file.
  const auto cost = [](const Value& network) { return network.find("multiply_adds")->as_int(); };
  EXPECT_NEAR(static_cast<double>(cost(described)), static_cast<double>(cost(known)), 0.01 * cost(known));
  const Value modules = network_of(script, "torch");
  EXPECT_EQ(modules.find("multiply_adds"), nullptr);
  EXPECT_GT(modules.find("parts")->as_list().size(), 20U);
  EXPECT_NEAR(static_cast<double>(modules.find("parameters")->as_int()),
              static_cast<double>(known.find("parameters")->as_int()), 1000);
}

/// Bytes of this process that are in memory.
std::int64_t resident() {
  std::int64_t all = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> all >> pages;
  return pages * 4096;
}

TEST_F(BackboneTest, MemoryIsFlatOverTenThousandBatches) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers keep memory that was freed";
  for (const std::string engine : {"fused", "torch"}) {
    if (engine == "torch" && !GRAFT_HAS_TORCH) continue;
    auto harness = stage("batch: 2, engine: " + engine);
    const std::vector<Payload> batch{noise(16, 16, 1), noise(16, 16, 2)};
    for (int i = 0; i < 500; ++i) harness.apply_batch(batch);
    const std::int64_t before = resident();
    for (int i = 0; i < 10'000; ++i) harness.apply_batch(batch);
    EXPECT_LE(resident() - before, std::int64_t{2} << 20) << engine;
  }
}

TEST_F(BackboneTest, TheEnginesAgree) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "needs the engine torch, which this build leaves out";
  const std::vector<Payload> batch{noise(64, 64, 1), noise(64, 64, 2)};
  for (const char* network :
       {"resnet18", "vgg11_bn", "mobilenet_v1_025", "mobilenet_v2", "efficientnet_b0", "resnet56"}) {
    const auto run = [&](const std::string& engine) {
      StageHarness s("backbone", std::string("{architecture: ") + network +
                                     ", untrained: true, batch: 2, engine: " + engine + "}");
      return values(s.apply_batch(batch)[1]);
    };
    const auto wanted = run("torch"), got = run("fused");
    ASSERT_EQ(got.size(), wanted.size());
    float scale = 0, off = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      scale = std::max(scale, std::fabs(wanted[i]));
      off = std::max(off, std::fabs(wanted[i] - got[i]));
    }
    EXPECT_LE(off, 1e-4f * scale) << network;
  }
}

/// Real weights, real sizes.
TEST_F(BackboneTest, MobileNetIsIndependentOfSlotCallAndEnvironment) {
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "needs the engine torch, which this build leaves out";
  const char* data = std::getenv("GRAFT_DATA");
  const std::string path =
      std::string(data ? data : "") + "/weights/mobilenet_v1_075_imagenet.torchscript.pt";
  if (!data || !std::filesystem::exists(path)) GTEST_SKIP() << "set GRAFT_DATA (missing " << path << ")";
  auto harness = stage("batch: 4, normalize: {mean: 0.5, std: 0.5}", path);
  const auto alone = values(harness.apply_batch({noise(224, 224, 1)})[0]);
  ASSERT_EQ(alone.size(), 768u);
  for (std::size_t slot = 0; slot < 4; ++slot) {
    std::vector<Payload> batch;
    for (std::size_t i = 0; i < 4; ++i) batch.emplace_back(noise(224, 224, i == slot ? 1 : 10 + i));
    EXPECT_EQ(values(harness.apply_batch(batch)[slot]), alone) << "slot " << slot;
  }
  EXPECT_TRUE(harness.warnings().empty()) << harness.warnings().front();
}

}  // namespace
}  // namespace graft
