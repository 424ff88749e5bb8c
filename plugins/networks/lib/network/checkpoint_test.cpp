// Files that users have: checkpoints of training scripts in both formats of torch.save, names with prefixes,
// custom classifiers, and files that are mistaken for weights.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <functional>

#include <graft/error.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>

#include <network/bind.h>
#include <network/published.h>
#include <network/testing/checkpoint_writer.h>
#include <network/testing/test_tensors.h>
#include "temp_folder.h"

namespace graft::nn {
namespace {

using graft::testing::error_of;
using namespace std::string_literals;
using test::CheckpointWriter;
using test::equal;
using test::filled;
using test::Tensors;
using test::weights_of;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Shapes = std::vector<std::pair<std::string, Shape>>;
using Writer = CheckpointWriter;

std::string state_dict(Writer& writer, const Tensors& tensors, const std::string& prefix = {}) {
  Writer::Items items;
  for (const auto& [name, t] : tensors) items.emplace_back(prefix + name, writer.tensor(t));
  return Writer::map(items);
}

/// The state of an optimiser: tensors by numbers, and groups.
std::string optimizer(Writer& writer) {
  Writer::Items state;
  for (int i = 0; i < 3; ++i)
    state.emplace_back(Writer::number(i), Writer::map({{"step", Writer::number(7)},
                                                       {"exp_avg", writer.tensor(filled({5, 3}, 9))}}));
  return Writer::map({{"state", Writer::dict(state)},
                      {"param_groups", "](" + Writer::map({{"lr", Writer::number(1)}}) + "e"}});
}

std::string namespace_object() {
  return Writer::object("argparse", "Namespace",
                        {{"lr", Writer::number(3)}, {"arch", Writer::text("resnet8")}});
}

class Checkpoint : public ::testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<WeightFile> open(const std::string& content) {
    std::filesystem::remove(folder_ / "x.pth");
    return open_weights(folder_.write("x.pth", content));
  }
  Tensors read(const WeightFile& file) {
    std::vector<std::string> names;
    for (const TensorInfo& t : file.tensors()) names.push_back(t.name);
    return file.read(names);
  }
  std::string path() const { return (folder_ / "x.pth").string(); }

  const Architecture net_ = make_architecture("resnet8", {.classes = 3, .width = 4, .side = {}});
  const Tensors weights_ = weights_of(net_);
  test::TempFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Formats, Checkpoint, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Old" : "Zip"; });

TEST_P(Checkpoint, WeightsAreFoundBelowEveryUsualName) {
  for (const char* name : {"state_dict", "model_state_dict", "model", "net", "network", "params", "teacher",
                           "ema", "model_ema", "state_dict_ema", "params_ema", "generator_of_features"}) {
    Writer writer(GetParam());
    // Other tensors come before and after, so that positions in an old file matter.
    const std::string best = writer.tensor(filled({}, 71.5F)), momentum = optimizer(writer);
    const std::string weights = state_dict(writer, weights_), more = optimizer(writer);
    const auto file = open(writer.file(Writer::map({{"epoch", Writer::number(7)},
                                                    {"best_acc1", best},
                                                    {"optimizer", momentum},
                                                    {name, weights},
                                                    {"args", namespace_object()},
                                                    {"optimizer_d", more}})));
    EXPECT_TRUE(equal(read(*file), weights_)) << name;
    EXPECT_EQ(file->taken(), "takes the weights below '"s + name + "'");
  }
}

TEST_P(Checkpoint, AStateDictAloneIsTakenWithoutAWord) {
  Writer writer(GetParam());
  const auto file = open(writer.file(state_dict(writer, weights_)));
  EXPECT_TRUE(equal(read(*file), weights_));
  EXPECT_EQ(file->taken(), "");
}

TEST_P(Checkpoint, WeightsComeBeforeAveragesAndATeacherBeforeItsStudent) {
  const Tensors others = weights_of(net_, {}, 1000);
  const auto chosen = [&](const std::string& first, const std::string& second) {
    std::string taken[2];
    for (const bool swapped : {false, true}) {  // their order in the file does not matter
      Writer writer(GetParam());
      std::string a = state_dict(writer, weights_), b = state_dict(writer, others);
      Writer::Items items = {{first, a}, {second, b}};
      if (swapped) std::swap(items[0], items[1]);
      const auto file = open(writer.file(Writer::map(items)));
      EXPECT_TRUE(equal(read(*file), weights_)) << first << ", " << second;
      taken[swapped ? 1 : 0] = file->taken();
    }
    EXPECT_EQ(taken[0], taken[1]);
    return taken[0];
  };
  const std::string after = "', which can be saved alone to be used";
  EXPECT_EQ(chosen("state_dict", "state_dict_ema"),
            "takes the weights below 'state_dict', not those below 'state_dict_ema" + after);
  EXPECT_EQ(chosen("model", "model_ema"),
            "takes the weights below 'model', not those below 'model_ema" + after);
  EXPECT_EQ(chosen("params", "params_ema"),
            "takes the weights below 'params', not those below 'params_ema" + after);
  EXPECT_EQ(chosen("net", "ema"), "takes the weights below 'net', not those below 'ema" + after);
  EXPECT_EQ(chosen("teacher", "student"),
            "takes the weights below 'teacher', not those below 'student" + after);
  EXPECT_EQ(chosen("model", "discriminator"),
            "takes the weights below 'model', not those below 'discriminator" + after);
}

TEST_P(Checkpoint, FewTensorsBesideANetworkAreNotTakenForItWhateverTheirName) {
  const Tensors few = {{"weight", filled({2}, 1)}, {"bias", filled({2}, 2)}};
  for (const auto& [network, beside] :
       {std::pair("model_ema", "normalizer"), std::pair("student", "head"),
        std::pair("state_dict_ema", "state_dict"), std::pair("net_a", "model")})
    for (const bool swapped : {false, true}) {
      Writer writer(GetParam());
      const std::string a = state_dict(writer, weights_), b = state_dict(writer, few);
      Writer::Items items = {{network, a}, {beside, b}};
      if (swapped) std::swap(items[0], items[1]);
      const auto file = open(writer.file(Writer::map(items)));
      EXPECT_TRUE(equal(read(*file), weights_)) << network << ", " << beside;
      EXPECT_EQ(file->taken(), "takes the weights below '"s + network + "'");
    }
}

TEST_P(Checkpoint, TwoSetsOfWeightsWithoutAUsualNameAreRefused) {
  Writer writer(GetParam());
  const std::string a = state_dict(writer, weights_), b = state_dict(writer, weights_of(net_, {}, 1000));
  EXPECT_EQ(error_of([&] {
              open(writer.file(Writer::map({{"net_a", a}, {"net_b", b}})));
            }),
            path() +
                ": has two sets of 37 tensors, below 'net_a' and below 'net_b', and neither has a usual "
                "name: save one of them alone, in Python: torch.save(torch.load(...)['net_a'], "
                "'weights.pth')");
}

TEST_P(Checkpoint, NestedDictsAndObjectsAroundTheWeights) {
  Writer writer(GetParam());
  // Lightning: hyper-parameters of a custom class, callbacks by class, the weights with the prefix "model.".
  const std::string weights = state_dict(writer, weights_, "model.");
  const auto file = open(writer.file(Writer::map(
      {{"pytorch-lightning_version", Writer::text("1.9.0")},
       {"state_dict", weights},
       {"callbacks", Writer::dict({{Writer::global("pytorch_lightning.callbacks", "ModelCheckpoint"),
                                    Writer::map({{"best_model_score", writer.tensor(filled({}, 1))}})}})},
       {"hyper_parameters", Writer::object("pytorch_lightning.utilities.parsing", "AttributeDict", {})},
       {"best",
        Writer::call("numpy.core.multiarray", "scalar",
                     Writer::call("numpy", "dtype", Writer::text("f8")) + Writer::text("12345678"))}})));
  EXPECT_EQ(file->tensors().size(), weights_.size());
  const auto best = best_fit(*file);
  ASSERT_TRUE(best);
  EXPECT_TRUE(best->fit.complete());
  EXPECT_EQ(taken(best->architecture, *file, best->fit),
            "takes the weights below 'state_dict'; all 35 tensors fit resnet8 under the prefix model.");
  // A dict in a dict.
  Writer deep(GetParam());
  const std::string trunk = state_dict(deep, weights_);
  const std::string heads = state_dict(deep, {{"0.weight", filled({2, 2}, 1)}});
  const auto nested = open(deep.file(Writer::map(
      {{"classy_state_dict",
        Writer::map({{"base_model",
                      Writer::map({{"model", Writer::map({{"trunk", trunk}, {"heads", heads}})}})}})}})));
  EXPECT_TRUE(equal(read(*nested), weights_));
  EXPECT_EQ(nested->taken(), "takes the weights below 'classy_state_dict.base_model.model.trunk'");
}

TEST_P(Checkpoint, AWholeModelIsNamedAndNotOpened) {
  Writer writer(GetParam());
  const std::string model =
      Writer::object("torchvision.models.resnet", "ResNet",
                     {{"training", "\x89"}, {"_modules", Writer::map({})}, {"_parameters", Writer::map({})}});
  const std::string rest =
      " names torchvision.models.resnet.ResNet: expected a state_dict, which holds tensors only, got a whole "
      "model, which is code; nothing was executed; save its weights alone, in Python: "
      "torch.save(model.state_dict(), 'weights.pth')";
  EXPECT_EQ(error_of([&] { open(writer.file(model)); }), path() + ": its pickle" + rest);
  EXPECT_EQ(error_of([&] {
              open(writer.file(Writer::map({{"epoch", Writer::number(3)}, {"ema", "N"}, {"model", model}})));
            }),
            path() + ": its 'model'" + rest);
  const std::string accuracy = writer.tensor(filled({}, 71));
  EXPECT_EQ(error_of([&] {
              open(writer.file(Writer::map({{"best_acc1", accuracy}, {"net", model}})));
            }),
            path() + ": its 'net'" + rest);
}

TEST_P(Checkpoint, ATruncatedOneIsAnErrorEverywhere) {
  Writer writer(GetParam());
  const Tensors few = {{"conv1.weight", filled({4, 3, 3, 3}, 1)}, {"conv1.bias", filled({4}, 2)}};
  const std::string momentum = optimizer(writer), weights = state_dict(writer, few);
  const std::string whole = writer.file(Writer::map({{"optimizer", momentum}, {"net", weights}}));
  for (std::size_t n = 0; n < whole.size(); n += 7)
    EXPECT_NE(error_of([&] { read(*open(whole.substr(0, n))); }), "no error") << n << " of " << whole.size();
}

// --- Prefixes --------------------------------------------------------------------------------------------

class Names : public ::testing::Test {
 protected:
  /// A file with these tensors: its header, and a hole where the numbers would be.
  std::unique_ptr<WeightFile> file(const Shapes& tensors) {
    std::string header = "{";
    std::uint64_t at = 0;
    for (const auto& [name, shape] : tensors) {
      const std::uint64_t end = at + static_cast<std::uint64_t>(elements(shape)) * 4;
      header += (header.size() > 1 ? ",\"" : "\"") + name + R"(":{"dtype":"F32","shape":)" +
                to_string(shape) + R"(,"data_offsets":[)" + std::to_string(at) + "," + std::to_string(end) +
                "]}";
      at = end;
    }
    header += "}";
    const std::uint64_t n = header.size();
    std::filesystem::remove(folder_ / "x.safetensors");  // rewriting one makes some file systems wait
    const auto path =
        folder_.write("x.safetensors", std::string(reinterpret_cast<const char*>(&n), 8) + header);
    std::filesystem::resize_file(path, 8 + n + at);
    return open_weights(path);
  }
  /// The tensors of a network up to its tap.
  static Shapes body(const Architecture& net, const std::string& prefix = {}) {
    Shapes out;
    for (const Layer& layer : reduced_to(net, {net.tap}).layers)
      for (const Parameter& p : parameters_of(layer)) out.emplace_back(prefix + p.path, p.shape);
    return out;
  }
  std::string path() const { return (folder_ / "x.safetensors").string(); }
  std::string error_at(const Architecture& net, const Shapes& tensors,
                       const std::vector<std::string>& outputs = {}) {
    const auto opened = file(tensors);
    const std::string text =
        error_of([&] { check_fit(net, *opened, outputs.empty() ? std::vector{net.tap} : outputs); });
    return text.starts_with(path() + ": ") ? text.substr(path().size() + 2) : text;
  }
  std::string words(const std::string& name, const Shapes& tensors) {
    const auto opened = file(tensors);
    const auto best = best_fit(*opened);
    if (!best || best->architecture.name != name || !best->fit.complete()) return "does not fit " + name;
    return taken(best->architecture, *opened, best->fit);
  }

  const Architecture net_ = make_architecture("resnet8");
  test::TempFolder folder_;
};

TEST_F(Names, AnyPrefixIsFoundInEveryArchitecture) {
  const std::vector<std::string> prefixes = {"module.",
                                             "model._orig_mod.module.",
                                             "_orig_mod.",
                                             "backbone.",
                                             "net.",
                                             "encoder.",
                                             "features.",
                                             "model.",
                                             "classifier.",
                                             "0.",
                                             "student.backbone."};
  for (const std::string& name : architecture_names()) {
    const Architecture net = make_architecture(name);
    EXPECT_EQ(words(name, body(net)), "") << name;
    // All of them for one network of each layout; two for the others.
    const bool every = name == "resnet8" || name == "mobilenet_v2" || name == "vgg11" || name == "lenet";
    for (std::size_t i = 0; i < (every ? prefixes.size() : 2); ++i)
      EXPECT_EQ(words(name, body(net, prefixes[i])), "all " + std::to_string(body(net).size()) +
                                                         " tensors fit " + name + " under the prefix " +
                                                         prefixes[i]);
  }
}

TEST_F(Names, WhatLiesBesideThePrefixIsNamed) {
  Shapes tensors = body(net_, "encoder_q.");
  tensors.emplace_back("encoder_q.linear.0.weight", Shape{64, 64});  // a projector in place of the classifier
  for (const auto& one : body(net_, "encoder_k.")) tensors.push_back(one);
  tensors.emplace_back("queue", Shape{128, 16});
  EXPECT_EQ(words("resnet8", tensors),
            "all 35 tensors fit resnet8 under the prefix encoder_q.; not used, not part of resnet8: "
            "encoder_k.conv1.weight, encoder_k.bn1.weight, encoder_k.bn1.bias and 33 more");
  // Without a prefix, by the usual names of heads.
  Shapes swav = body(net_);
  swav.emplace_back("projection_head.0.weight", Shape{64, 64});
  swav.emplace_back("prototypes.weight", Shape{30, 64});
  EXPECT_EQ(words("resnet8", swav),
            "not used, not part of resnet8: projection_head.0.weight, prototypes.weight");
}

TEST_F(Names, TwoNetworksInOneFileAreRefused) {
  Shapes tensors = body(net_, "net1.");
  for (const auto& one : body(net_, "net2.")) tensors.push_back(one);
  EXPECT_EQ(
      error_at(net_, tensors),
      "has the tensors of resnet8 more than once, under the prefixes 'net1.' and 'net2.', and nothing says "
      "which are meant; save one network's state_dict alone");
}

TEST_F(Names, CountersOfModulesAreLeftOut) {
  Shapes tensors = body(net_, "module.");
  tensors.emplace_back("module.bn1.num_batches_tracked", Shape{});
  tensors.emplace_back("module.layer1.0.conv1.total_ops", Shape{1});
  tensors.emplace_back("module.total_params", Shape{1});
  tensors.emplace_back("n_averaged", Shape{});
  EXPECT_EQ(words("resnet8", tensors), "all 35 tensors fit resnet8 under the prefix module.");
}

TEST_F(Names, AnUnknownPartOfAModuleIsRefusedAndAStrangerIsForTheUserToJudge) {
  Shapes excited = body(net_);
  excited.emplace_back("layer1.0.se.fc1.weight", Shape{4, 16, 1, 1});
  EXPECT_THAT(error_at(net_, excited),
              StartsWith("does not fit resnet8\n  unexpected (1): layer1.0.se.fc1.weight "
                         "[4,16,1,1]\n"));
  Shapes strange = body(net_);
  strange.emplace_back("extra.buffer", Shape{3});
  const auto opened = file(strange);
  const Fit how = fit(net_, *opened, {net_.tap});
  EXPECT_TRUE(how.complete());
  ASSERT_EQ(how.strangers.size(), 1u);
  EXPECT_EQ(how.strangers[0].name, "extra.buffer");
  EXPECT_NO_THROW(check_fit(net_, *opened, {net_.tap}));
}

TEST_F(Names, AGreyNetworkIsToldThatImagesHaveThreeChannels) {
  Shapes grey = body(net_);
  grey[0].second = {16, 1, 3, 3};
  EXPECT_EQ(
      error_at(net_, grey),
      "does not fit resnet8\n  of another shape (1): conv1.weight [16,1,3,3], expected [16,3,3,3]\n"
      "  the network must take three channels, this one takes 1: graft reads every image as RGB, also grey "
      "ones; in Python, weights['conv1.weight'] = weights['conv1.weight'].repeat(1, 3, 1, 1) / 3 makes "
      "it take them");
  grey[0].second = {16, 12, 3, 3};
  EXPECT_THAT(error_at(net_, grey), ::testing::EndsWith("graft reads every image as RGB, also grey ones"));
}

// --- Classifiers -----------------------------------------------------------------------------------------

/// Usual replacements of a classifier `at`, or of the Sequential that it ends.
std::vector<Shapes> own_classifiers(const Architecture& net) {
  const std::string at = net.classifier + ".", part = at.substr(0, at.find('.') + 1);
  const Shape wide{100, net.features}, narrow{2, 100};
  return {{},
          {{at + "weight", {2, net.features}}, {at + "bias", {2}}},
          {{at + "0.weight", wide}, {at + "3.weight", narrow}},
          {{at + "1.weight", narrow}, {at + "1.num_batches_tracked", {}}},
          {{part + "9.weight", wide}, {part + "9.bias", {100}}, {part + "11.weight", narrow}},
          {{at + "net.layers.0.weight", wide}, {at + "cls_token", {1, 1, 8}}}};
}

TEST_F(Names, AnyClassifierIsOpenedUpToTheFeatures) {
  for (const std::string& name : architecture_names()) {
    const Architecture net = make_architecture(name);
    int form = 0;
    for (const Shapes& classifier : own_classifiers(net)) {
      const std::string prefix = form % 2 == 0 ? "" : "model.";
      Shapes tensors = body(net, prefix);
      for (const auto& [path, shape] : classifier) tensors.emplace_back(prefix + path, shape);
      EXPECT_THAT(words(name, tensors), ::testing::Not(StartsWith("does not fit"))) << name << ", " << form;
      EXPECT_EQ(error_at(net, tensors), "no error") << name << ", form " << form;
      ++form;
    }
  }
}

TEST_F(Names, ATapBehindAnotherClassifierIsAnError) {
  const Architecture net = make_architecture("mobilenet_v2");
  Shapes tensors = body(net);
  tensors.emplace_back("classifier.4.weight", Shape{2, 256});
  tensors.emplace_back("classifier.1.weight", Shape{256, 1280});
  tensors.emplace_back("classifier.1.bias", Shape{256});
  EXPECT_EQ(
      error_at(net, tensors, {"classifier.1"}),
      "does not fit mobilenet_v2\n  unexpected (1): classifier.4.weight [2,256]\n"
      "  of another shape (2): classifier.1.weight [256,1280], expected [1000,1280], classifier.1.bias "
      "[256], expected [1000]\n  its classifier differs from that of mobilenet_v2, so nothing from there on "
      "can be computed; take the value before it, `taps: flatten`, or export the model as TorchScript");
  const auto opened = file(tensors);
  const auto best = best_fit(*opened);
  ASSERT_TRUE(best);
  EXPECT_EQ(error_of([&] { resolve_tap(best->architecture, "classifier.1"); }),
            "mobilenet_v2 has no classifier 'classifier.1' in this file, which was saved without one or with "
            "another one: take 'flatten', the value before it, or an earlier layer");
  // The features of a VGG are those of its classifier's first layers.
  const Architecture vgg = make_architecture("vgg11");
  Shapes replaced;
  for (const auto& one : body(vgg))
    if (!one.first.starts_with("classifier.")) replaced.push_back(one);
  replaced.emplace_back("classifier.weight", Shape{2, 25088});
  EXPECT_THAT(error_at(vgg, replaced), HasSubstr("take the value before it, `taps: flatten`"));
  EXPECT_EQ(error_at(vgg, replaced, {"flatten"}), "no error");
}

// --- No weights at all -----------------------------------------------------------------------------------

/// A tensor as PyTorch makes one with this function.
std::string special(const std::string& function) {
  return Writer::call("torch._utils", function, Writer::number(1));
}

TEST_P(Checkpoint, TensorsThatAreQuantisedOrSparseAreNamed) {
  for (const std::string name : {"layer3.0.conv1.weight", "conv1.weight"}) {
    Tensors tensors = weights_;
    tensors.erase(name);
    Writer writer(GetParam());
    Writer::Items items{{name, special("_rebuild_sparse_tensor")},
                        {"fc.packed", special("_rebuild_qtensor")}};
    for (const auto& [path, tensor] : tensors) items.emplace_back(path, writer.tensor(tensor));
    const auto file = open(writer.file(Writer::map(items)));
    const std::string wanted = "2 of its tensors cannot be read: " + name +
                               " (sparse), fc.packed (quantised); save plain tensors, in Python: "
                               "model.dequantize() of quantised ones, tensor.to_dense() of sparse ones";
    EXPECT_THAT(error_of([&] { bind(net_, *file); }), HasSubstr(wanted));
    EXPECT_EQ(nearest_family(*file), wanted);
  }
  Writer writer(GetParam());
  EXPECT_THAT(error_of([&] {
                open(writer.file(Writer::map({{"conv1.weight", special("_rebuild_qtensor")}})));
              }),
              HasSubstr("tensor 'conv1.weight' is quantised, as are all others"));
}

TEST_F(Names, TensorsOfWholeNumbersAreRefusedBeforeARun) {
  const Architecture net = make_architecture("resnet8", {.classes = 10, .width = 4, .side = {}});
  Tensors tensors = weights_of(net);
  Tensor& weight = tensors["conv1.weight"];
  weight = Tensor::allocate(DType::U8, weight.shape);
  std::fill_n(weight.as<std::uint8_t>(), weight.size(), std::uint8_t{1});
  const auto file = open_weights(folder_.write("u8.safetensors", to_safetensors(tensors)));
  EXPECT_EQ(error_of([&] { check_fit(net, *file); }),
            file->path().string() +
                ": tensor 'conv1.weight' has type U8: expected F32, F16, BF16, F64 or I64; save it as "
                "floating-point numbers (dequantise quantised weights first)");
}

TEST_F(Names, AFileWithTheFirstTensorOfThousandsOfNetworksIsRefused) {
  Tensors tensors;
  for (int i = 0; i < 1001; ++i) tensors[std::to_string(i) + ".conv1.weight"] = filled({1}, 1);
  for (int i = 0; i < 1001; ++i) tensors[std::to_string(i) + ".conv_proj.weight"] = filled({1}, 1);
  const auto path = folder_.write("many.safetensors", to_safetensors(tensors));
  EXPECT_EQ(
      error_of([&] { best_fit(*open_weights(path)); }),
      path.string() +
          ": has more than 1000 tensors whose names end with 'conv1.weight', each of which could begin a "
          "network; save one network's state_dict alone");
  EXPECT_EQ(error_of([&] { open_published(find_model_files(path)); }),
            path.string() +
                ": has more than 1000 tensors whose names end with 'conv_proj.weight', each of "
                "which could begin a network; save one network's state_dict alone");
}

TEST(ForeignFile, SaysWhatItIs) {
  const test::TempFolder folder;
  const auto got = [&](const std::string& name, const std::string& content) {
    const auto path = folder.write(name, content);
    std::string text = error_of([&] { open_weights(path); });
    const std::string start =
        path.string() + ": expected weights as safetensors or as a state_dict of torch.save, got ";
    if (text.starts_with(start)) return text.substr(start.size());
    return text.starts_with(path.string()) ? text.substr(path.string().size() + 2) : text;
  };
  const std::string to_export =
      "; export the model as TorchScript, or load its weights into PyTorch and save model.state_dict()";
  EXPECT_EQ(
      got("lfs.pth", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n"),
      "a git-LFS pointer, which stands for a file that was not fetched; run `git lfs pull` where it was "
      "cloned, or download the file itself");
  const std::string page =
      "an HTML page: the server sent a page (a login, a warning, an error) in place of the file; "
      "download the file itself";
  EXPECT_EQ(got("a.pth", "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"),
            page);
  EXPECT_EQ(got("b.pth", "\n  <HTML>\n<body>404</body>"), page);
  EXPECT_EQ(got("c.pth", "\xef\xbb\xbf<html lang=\"de\">"), page);
  EXPECT_EQ(got("d.pth", "\xff\xfe<\0h\0t\0m\0l\0>\0"s), page);
  EXPECT_EQ(got("e.pth", "\xfe\xff\0<\0h\0t\0m\0l\0>"s), page);
  EXPECT_THAT(got("d.pth", "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
              StartsWith("an XML document: "));
  EXPECT_THAT(got("e.json", R"({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}})"),
              StartsWith("an index of weights that lie in several files; "));
  EXPECT_EQ(got("f.pth", "Repository not found\n"),
            "a text file that begins with 'Repository not found'; name the file with the weights");
  EXPECT_EQ(got("k.h5", "\x89HDF\r\n\x1a\n\0\0\0\0"s),
            "an HDF5 file (a Keras .h5 model, for example)" + to_export);
  EXPECT_EQ(got("saved_model.pb", "\x08\x01\x12\x90\x01\x0a"s),
            "a TensorFlow SavedModel (saved_model.pb)" + to_export);
  EXPECT_EQ(got("frozen.pb", "\x0a\x1c\x0a\x05input"s), "a part of a TensorFlow model" + to_export);
  EXPECT_EQ(got("m.tflite", "\x1c\0\0\0TFL3"s), "a TensorFlow Lite model" + to_export);
  EXPECT_EQ(got("n.npy", "\x93NUMPY\x01\0"s), "a NumPy array (.npy); save the weights as safetensors");
  EXPECT_EQ(got("g.gz", "\x1f\x8b\x08\0"s), "a gzip file; unpack it and name the file inside");
  EXPECT_EQ(got("t.tar", std::string(257, '\0') + "ustar"),
            "a tar archive; unpack it and name the file inside");
  EXPECT_EQ(got("z.pth", std::string(4096, '\0')),
            "a file that begins with zeros: an incomplete download; download it again");
  EXPECT_EQ(got("p.pkl", "\x80\x04\x95\0\0\0\0\0\0\0\0}."s),
            "a Python pickle that torch.save did not write; load it in Python and save the tensors as "
            "safetensors");
  EXPECT_EQ(got("0.pth", ""), "an empty file; download or copy it again");
  EXPECT_EQ(
      got("m.keras",
          test::make_zip({{"metadata.json", "{}"}, {"config.json", "{}"}, {"model.weights.h5", "x"}})),
      "is a Keras model (.keras): export the model as TorchScript, or load its weights into PyTorch and save "
      "model.state_dict()");
  EXPECT_EQ(got("n.npz", test::make_zip({{"a.npy", "x"}, {"b.npy", "y"}})),
            "holds NumPy arrays (.npz): save the weights as safetensors");
  EXPECT_EQ(got("w.zip", test::make_zip({{"resnet18.pth", "x"}})),
            "holds 'resnet18.pth': unpack it and name that file");
  const test::TempFolder hub;
  hub.write("model.safetensors", "x");
  EXPECT_EQ(error_of([&] { open_weights(hub.path()); }),
            hub.path().string() +
                ": expected a file, got a folder or a device; it holds model.safetensors: name that file");
}

// --- What PyTorch itself writes --------------------------------------------------------------------------

TEST(PyTorch, EveryFileOfItGivesTheSameWeights) {
  const std::string python = "/usr/bin/python3";
  if (std::system((python + " -c 'import torch' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "needs Debian's python3-torch";
  const test::TempFolder folder;
  const std::string at = folder.path().string();
  ASSERT_EQ(std::system((python + " " GRAFT_NETWORK_TESTDATA "/make_checkpoints.py " + at).c_str()), 0);
  const Architecture net = make_architecture("lenet");
  const auto wanted = bind(net, *open_weights(folder / "plain.pth"), {net.tap});
  ASSERT_GT(wanted.size(), 4u);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const std::string name = entry.path().filename();
    if (name.starts_with("whole")) {
      EXPECT_THAT(error_of([&] { open_weights(entry.path()); }),
                  HasSubstr("got a whole model, which is code"))
          << name;
      continue;
    }
    const auto file = open_weights(entry.path());
    EXPECT_TRUE(equal(bind(net, *file, {net.tap}), wanted)) << name;
    const auto best = best_fit(*file);
    ASSERT_TRUE(best) << name;
    EXPECT_EQ(best->architecture.name, "lenet") << name;
    EXPECT_TRUE(best->fit.complete()) << name;
    ++files;
  }
  EXPECT_EQ(files, 25);
}

}  // namespace
}  // namespace graft::nn
