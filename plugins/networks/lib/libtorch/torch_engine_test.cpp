// Engines over scripts and architectures, and what they refuse.

#include <cmath>
#include <fstream>
#include <string_view>

#include <graft/random.h>

#include <libtorch/model_file.h>
#include "testing/torch_fixture.h"

namespace graft::libtorch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(TorchTest, FusedBackboneEqualsThePlainModel) {
  const c10::InferenceMode inference;
  const Module model = small_mobilenet();
  model.save(file("m.pt"));
  std::vector<std::string> warnings;
  const auto engine = fused(file("m.pt"), 4, [&](const std::string& w) { warnings.push_back(w); });
  at::manual_seed(5);
  for (const auto& [height, width] : {std::pair{32, 32}, std::pair{33, 47}}) {
    const at::Tensor x = at::randn({4, 3, height, width});
    const at::Tensor wanted = Program(model).run(x).toTensor();
    const Tensor got = engine->run(x.data_ptr<float>(), height, width).at(0);
    ASSERT_EQ(got.shape, Shape(wanted.sizes().begin(), wanted.sizes().end()));
    EXPECT_LE(relative_error(at::from_blob(got.data, wanted.sizes()), wanted), 1e-5);
  }
  EXPECT_THAT(warnings, ::testing::IsEmpty());  // the fused program was good enough to be used
}

/// The error that this tests: LibTorch's optimiser left the last channels of the last image as they were.
TEST_F(TorchTest, EveryImageOfEveryBatchEqualsTheImageAlone) {
  const c10::InferenceMode inference;
  for (const std::int64_t channels : {12, 20, 24, 40, 72})
    for (const bool seen : {false, true})
      for (const int batch : {1, 2, 3, 8}) {
        const Module model = small_mobilenet_v3(channels, seen);
        model.save(file("m.pt"));
        std::vector<std::string> warnings;
        const auto engine = fused(file("m.pt"), batch, [&](const std::string& w) { warnings.push_back(w); });
        for (const int side : {32, 23}) {
          const at::Tensor x = at::randn({batch, 3, side, side});
          const Tensor got = engine->run(x.data_ptr<float>(), side, side).at(0);
          for (int i = 0; i < batch; ++i) {
            const at::Tensor wanted = Program(model).run(x.narrow(0, i, 1)).toTensor();
            EXPECT_LE(
                relative_error(at::from_blob(got.as<float>() + i * wanted.numel(), wanted.sizes()), wanted),
                1e-5)
                << channels << (seen ? ", seen, " : ", ") << "image " << i << " of " << batch;
          }
        }
        EXPECT_THAT(warnings, ::testing::IsEmpty()) << "the optimised program was right, and used";
      }
}

/// The model, wrong for one image of a batch of that size.
Optimise wrong_at(int place, int batch) {
  return [=](const Module&) {
    const std::string at = std::to_string(place);
    return module_of(
        "def forward(self, x):\n    y = torch.mean(x, [2, 3])\n    z = torch.zeros_like(y)\n    if "
        "x.size(0) == " +
            std::to_string(batch) + ":\n        z[" + at + "] = 0.01\n    return y + z\n",
        {});
  };
}

TEST_F(TorchTest, AnOptimisedProgramIsNotUsedWhenAnyImageOfABatchIsWrong) {
  module_of("def forward(self, x):\n    return torch.mean(x, [2, 3])\n", {}).save(file("m.pt"));
  nn::Model model;
  model.name = model.torchscript = file("m.pt");
  const auto run = [&](int batch, const Optimise& optimise, std::vector<std::string>& warnings) {
    nn::EngineOptions options;
    options.batch = batch;
    options.warn = [&](const std::string& text) { warnings.push_back(text); };
    const at::Tensor x = at::randn({batch, 3, 6, 6});
    const Tensor got = make_fused_engine(model, options, optimise)->run(x.data_ptr<float>(), 6, 6).at(0);
    return (at::from_blob(got.data, {batch, 3}) - x.mean({2, 3})).abs().max().item<double>();
  };
  for (const int batch : {1, 2, 3, 8, 11})
    for (const int wrong : {1, 2, 3, batch})
      for (int place = 0; place < wrong; ++place) {
        std::vector<std::string> warnings;
        EXPECT_LE(run(batch, wrong_at(place, wrong), warnings), 1e-6);
        EXPECT_THAT(warnings, ::testing::ElementsAre(StartsWith(
                                  file("m.pt") + ": the fused network is wrong for 6 x 6 images (image " +
                                  std::to_string(place + 1) + " of a batch of " + std::to_string(wrong) +
                                  " is off by ")));
      }
  std::vector<std::string> warnings;
  run(8, wrong_at(0, 100), warnings);  // never wrong: used
  EXPECT_THAT(warnings, ::testing::IsEmpty());
}

TEST_F(TorchTest, AModelInTrainingModeIsRefused) {
  // Like a trace without .eval(): the flag is a constant in the graph.
  const auto source = [](const char* value) {
    return std::string(
               "def forward(self, x):\n    y = torch.conv2d(x, self.w, None, [2, 2], [1, 1], [1, 1], 1)\n"
               "    return torch.mean(") +
           value + ", [2, 3])\n";
  };
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"w", at::randn({8, 3, 3, 3})}, {"mean", at::zeros({8})}, {"var", at::ones({8})}};
  const Module norm = module_of(
      source("torch.relu(torch.batch_norm(y, None, None, self.mean, self.var, True, 0.1, 1e-5, False))"),
      tensors);
  const Module dropout = module_of(source("torch.dropout(y, 0.5, True)"), tensors);
  for (const bool fuse : {false, true})
    for (const int batch : {1, 4, 16}) {
      nn::Model model;
      model.name = model.torchscript = file("m.pt");
      nn::EngineOptions options;
      options.batch = batch;
      options.warn = [](const std::string&) {};
      const at::Tensor x = at::randn({batch, 3, 32, 32});
      const auto error = [&] {
        return error_of([&] {
          (fuse ? make_fused_engine(model, options) : make_torch_engine(model, options))
              ->run(x.data_ptr<float>(), 32, 32);
        });
      };
      norm.save(file("m.pt"));
      EXPECT_THAT(
          error(),
          AllOf(StartsWith(file("m.pt") +
                           ": the features of an image depend on its neighbours in the batch (image 1"),
                HasSubstr(
                    "): it was probably traced in training mode; call model.eval() before torch.jit.trace or "
                    "torch.jit.script, and export it again")))
          << fuse << batch;
      dropout.save(file("m.pt"));
      EXPECT_THAT(error(),
                  AllOf(StartsWith(file("m.pt") + ": the features of an image change from call to call ("),
                        HasSubstr("dropout is active")))
          << fuse << batch;
    }
}

TEST_F(TorchTest, ModelsThatSqueezeOrWantANumberOfImagesStillRun) {
  const at::Tensor x = at::randn({4, 3, 6, 6});
  for (const auto& [source, values] :
       {std::pair{"def forward(self, x):\n    return torch.squeeze(torch.mean(x, [2, 3], True))\n", 3},
        std::pair{"def forward(self, x):\n    return torch.relu(x).view([4, -1])\n", 108}}) {
    module_of(source, {}).save(file("m.pt"));
    const auto engine = fused(file("m.pt"), 4, [](const std::string& text) { ADD_FAILURE() << text; });
    EXPECT_EQ(engine->run(x.data_ptr<float>(), 6, 6).at(0).shape, (Shape{4, values}));
  }
}

TEST_F(TorchTest, ModulesOfAScriptAreListedWithTheirOwnParameters) {
  Module inner = module_of("def forward(self, x):\n    return torch.conv2d(x, self.weight, self.bias)\n",
                           {{"weight", at::randn({8, 3, 3, 3})}, {"bias", at::randn({8})}});
  Module outer("Net");
  outer.register_attribute("training", c10::BoolType::get(), true);
  outer.register_parameter("scale", at::ones({8, 1, 1}), false);
  outer.register_module("stem", inner);
  outer.define("def forward(self, x):\n    return torch.mean(self.stem.forward(x) * self.scale, [2, 3])\n");
  outer.eval();
  outer.save(file("m.pt"));
  const auto modules = fused(file("m.pt"), 1)->modules();
  ASSERT_EQ(modules.size(), 2U);
  EXPECT_EQ(modules[0].path, "");
  EXPECT_EQ(modules[0].type, "Net");
  EXPECT_EQ(modules[0].parameters, 8);
  EXPECT_EQ(modules[1].path, "stem");
  EXPECT_EQ(modules[1].parameters, 224);
}

TEST_F(TorchTest, BitsDependNeitherOnSlotNorOnNeighboursNorOnTheCall) {
  small_mobilenet().save(file("m.pt"));
  const auto engine = fused(file("m.pt"), 4);
  at::manual_seed(6);
  const at::Tensor one = at::randn({3, 32, 32});
  std::vector<std::vector<float>> rows;
  for (int call = 0; call < 12; ++call) {
    at::Tensor batch = call % 2 ? at::randn({4, 3, 32, 32}) : at::zeros({4, 3, 32, 32});
    const int slot = call % 4;
    batch[slot].copy_(one);
    const Tensor got = engine->run(batch.data_ptr<float>(), 32, 32).at(0);
    const std::int64_t one_row = got.size() / 4;
    rows.emplace_back(got.as<float>() + slot * one_row, got.as<float>() + (slot + 1) * one_row);
  }
  for (const auto& row : rows) EXPECT_EQ(row, rows.front());
}

TEST_F(TorchTest, UnusableFilesGiveOneLineEach) {
  small_mobilenet().save(file("good.pt"));
  std::string content;
  {
    std::ifstream in(file("good.pt"), std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  const auto error_with = [&](const std::string& text) {
    std::ofstream(file("bad.pt"), std::ios::binary) << text;
    return error_of([&] { load_torchscript(file("bad.pt")); });
  };
  for (const std::string text : {"", "no model at all\n"})
    EXPECT_EQ(
        error_with(text),
        file("bad.pt") +
            ": expected a TorchScript archive, got a file that is no zip archive; export the model with "
            "torch.jit.script or torch.jit.trace and .save(), or copy the file again");
  for (const int percent : {1, 50, 90, 99}) {
    const std::string error =
        error_with(content.substr(0, content.size() * static_cast<std::size_t>(percent) / 100));
    EXPECT_THAT(error, AllOf(StartsWith(file("bad.pt") + ": "),
                             ::testing::EndsWith("it is truncated or damaged: copy it again")));
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  // A zip archive of something else.
  std::string other = content;
  for (std::size_t at = 0; (at = other.find("data.pkl", at)) != std::string::npos;) other[at + 3] = '0';
  EXPECT_THAT(
      error_with(other),
      AllOf(StartsWith(file("bad.pt") + ": expected a TorchScript archive, got a file that LibTorch "),
            HasSubstr("export the model with torch.jit.script or torch.jit.trace and .save(), or "
                      "copy the file again")));
  EXPECT_THAT(error_of([&] { load_torchscript(file("absent.pt")); }), HasSubstr("absent.pt"));
}

/// LibTorch itself loads it, and computes other features.
TEST_F(TorchTest, OneFlippedBitInAWeightIsAnError) {
  const Module model = small_mobilenet();
  model.save(file("m.pt"));
  std::string content;
  {
    std::ifstream in(file("m.pt"), std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (const at::Tensor& weight : model.parameters()) {
    if (weight.dim() != 4) continue;
    const std::string_view bytes(static_cast<const char*>(weight.data_ptr()), weight.nbytes());
    const std::size_t at = content.find(bytes);
    ASSERT_NE(at, std::string::npos);
    std::string flipped = content;
    flipped[at + 2] = static_cast<char>(flipped[at + 2] ^ 1);
    std::ofstream(file("m.pt"), std::ios::binary) << flipped;
    EXPECT_THAT(error_of([&] { load_torchscript(file("m.pt")); }),
                AllOf(StartsWith(file("m.pt") + ": "), HasSubstr("bad CRC"),
                      HasSubstr("it is truncated or damaged: copy it again")));
  }
}

TEST_F(TorchTest, CodeThatIsLongerThanTheFileIsRead) {
  std::string source = "def forward(self, x):\n    y = torch.mean(x, [2, 3])\n";
  for (int i = 0; i < 2000; ++i) source += "    y = torch.relu(y)\n";
  module_of(source + "    return y\n", {}).save(file("m.pt"));
  EXPECT_NO_THROW(load_torchscript(file("m.pt")));
}

TEST_F(TorchTest, WeightsThatAreNotFloatComeWithACure) {
  std::vector<float> images(2 * 3 * 4 * 4);
  for (const auto& [type, name] : {std::pair{at::kDouble, "Double"}, std::pair{at::kHalf, "Half"}}) {
    Module module =
        module_of("def forward(self, x):\n    return torch.mean(torch.conv2d(x, self.w), [2, 3])\n",
                  {{"w", at::randn({8, 3, 1, 1}).to(type)}});
    for (const bool freeze : {false, true}) {
      module.eval();
      (freeze ? torch::jit::freeze(module) : module).save(file("m.pt"));
      nn::Model model;
      model.name = model.torchscript = file("m.pt");
      nn::EngineOptions options;
      options.batch = 2;
      std::string error = "no error";
      try {
        make_torch_engine(model, options)->run(images.data(), 4, 4);
      } catch (const nn::UnfitInput& e) {
        error = e.what();
      }
      EXPECT_THAT(error,
                  ::testing::EndsWith(std::string(" (its weights are ") + name +
                                      ", and images are Float: call .float() of the model, and save it "
                                      "again)"))
          << freeze;
    }
  }
}

TEST_F(TorchTest, ModelsOfTheWrongFormAreNamed) {
  const auto backbone = [&](const std::string& source) {
    module_of(source, {{"w", at::randn({8, 3, 1, 1})}}).save(file("m.pt"));
    return fused(file("m.pt"), 2);
  };
  std::vector<float> images(2 * 3 * 4 * 4);
  EXPECT_EQ(error_of([&] { backbone("def forward(self, x, y):\n    return x + y\n"); }),
            file("m.pt") +
                ": expected a forward that takes one tensor of images, got one with 2 arguments; wrap the "
                "model so that it takes [n,3,height,width]");
  EXPECT_EQ(
      error_of([&] { backbone("def forward(self, x):\n    return (x, x)\n")->run(images.data(), 4, 4); }),
      file("m.pt") +
          ": expected a model that returns one tensor, got Tuple; wrap it so that forward returns the "
          "features alone, or name what you want with taps");
  EXPECT_EQ(
      error_of([&] { backbone("def forward(self, x):\n    return x.sum()\n")->run(images.data(), 4, 4); }),
      file("m.pt") +
          ": expected an output with one row per image, [2,...], got []; the model must keep the batch "
          "as the first axis");
  EXPECT_EQ(error_of([&] {
              backbone("def forward(self, x):\n    return torch.argmax(torch.flatten(x, 1), 1)\n")
                  ->run(images.data(), 4, 4);
            }),
            file("m.pt") +
                ": expected features, floating-point numbers, got values of type Long; save the model again "
                "without what makes these of its features (argmax, a comparison)");
  try {
    backbone("def forward(self, x):\n    return torch.linear(x, torch.zeros([5, 7]), None)\n")
        ->run(images.data(), 4, 4);
    FAIL();
  } catch (const nn::UnfitInput& e) {
    EXPECT_THAT(e.what(), StartsWith("the model does not take images of 4 x 4 ([n,3,4,4]): "));
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
  }
}

/// Random weights, as `untrained` makes them.
std::unique_ptr<nn::Engine> random_engine(const std::string& name, bool fuse,
                                          const std::vector<std::string>& taps = {}) {
  nn::Model model;
  model.name = name;
  model.architecture = nn::make_architecture(name);
  nn::EngineOptions options;
  for (const std::string& tap : taps) options.taps.push_back(nn::resolve_tap(*model.architecture, tap));
  options.batch = 2;
  options.forget = 3;
  options.warn = [](const std::string& text) { ADD_FAILURE() << text; };
  return fuse ? make_fused_engine(model, options) : make_torch_engine(model, options);
}

TEST_F(TorchTest, FusedEnginesAreWithinTheStatedToleranceOfTheReference) {
  Random random(4);
  for (const char* name : {"resnet18", "resnet50", "vgg11_bn", "mobilenet_v2", "mobilenet_v1_050",
                           "efficientnet_b0", "resnet20", "lenet"}) {
    // oneDNN pools to 7 x 7 only what is a multiple of that.
    const std::string_view network(name);
    const int side = network == "resnet20" || network == "lenet" ? 32 : network == "vgg11_bn" ? 224 : 64;
    std::vector<float> images(2u * 3u * static_cast<std::size_t>(side * side));
    for (float& v : images) v = static_cast<float>(random.uniform(-2, 2));
    const Tensor wanted = random_engine(name, false)->run(images.data(), side, side).at(0);
    const Tensor got = random_engine(name, true)->run(images.data(), side, side).at(0);
    ASSERT_EQ(got.shape, wanted.shape) << name;
    const at::Tensor a = at::from_blob(got.data, {got.size()}),
                     b = at::from_blob(wanted.data, {wanted.size()});
    EXPECT_LE(relative_error(a, b), 1e-4) << name;
    EXPECT_GT(b.abs().max().item<float>(), 0) << name;
  }
}

TEST_F(TorchTest, TapsOfAnArchitectureAreTheValuesOnTheWay) {
  std::vector<float> images(2u * 3u * 64u * 64u, 0.5f);
  const auto engine = random_engine("resnet18", true, {"layer2", "layer4", "avgpool"});
  const auto out = engine->run(images.data(), 64, 64);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].shape, (Shape{2, 128, 8, 8}));
  EXPECT_EQ(out[1].shape, (Shape{2, 512, 2, 2}));
  EXPECT_EQ(out[2].shape, (Shape{2, 512, 1, 1}));
  // The last is the mean of the one before.
  for (int c = 0; c < 512; ++c) {
    const float* v = out[1].as<float>() + 4 * c;
    EXPECT_NEAR(out[2].as<float>()[c], (v[0] + v[1] + v[2] + v[3]) / 4,
                1e-4f * (1 + std::fabs(out[2].as<float>()[c])));
  }
}

TEST_F(TorchTest, ADeviceThatIsNotThereIsNamed) {
  EXPECT_EQ(error_of([] { Device device("gpu"); }),
            "device: expected auto, cpu, cuda or cuda:NUMBER, got 'gpu'");
  EXPECT_THAT(error_of([] { Device device("cuda:77"); }), StartsWith("device: 'cuda:77' is not available: "));
  EXPECT_TRUE(Device("cpu").is_cpu());
}

}  // namespace
}  // namespace graft::libtorch
