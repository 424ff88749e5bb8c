#include <network/bind.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include <graft/error.h>
#include <graft/safetensors.h>
#include <graft/testing/error_of.h>

#include <network/testing/test_tensors.h>
#include "temp_folder.h"

namespace graft::nn {
namespace {

using graft::testing::error_of;
using test::filled;
using test::Tensors;
using test::weights_of;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Bind : public ::testing::Test {
 protected:
  std::unique_ptr<WeightFile> file(const Tensors& tensors) {
    return open_weights(folder_.write("weights", to_safetensors(tensors)));
  }
  std::string path() const { return (folder_ / "weights").string(); }

  const Architecture net_ = make_architecture("resnet8", {.classes = 3, .width = 4, .side = {}});
  test::TempFolder folder_;
};

TEST_F(Bind, GivesEveryTensorByItsPath) {
  Tensors tensors = weights_of(net_);
  tensors["bn1.num_batches_tracked"] = filled({}, 100);
  const Tensors bound = bind(net_, *file(tensors));
  EXPECT_EQ(bound.size(), tensors.size() - 1);
  for (const auto& [name, t] : bound) EXPECT_EQ(t.as<float>()[0], tensors.at(name).as<float>()[0]) << name;
}

TEST_F(Bind, StripsWhatDataParallelAdds) {
  const Tensors bound = bind(net_, *file(weights_of(net_, "module.")));
  EXPECT_EQ(bound.size(), weights_of(net_).size());
  EXPECT_EQ(bound.count("conv1.weight"), 1u);
}

TEST_F(Bind, OneErrorNamesAllThatDoesNotFit) {
  Tensors tensors = weights_of(net_);
  tensors.erase("bn1.bias");
  tensors.erase("layer1.0.conv1.weight");
  tensors["layer2.0.bn1.weight"] = filled({4}, 1);
  tensors["head.weight"] = filled({2, 2}, 1);
  EXPECT_EQ(error_of([&] { bind(net_, *file(tensors)); }),
            path() +
                ": does not fit resnet8\n"
                "  missing (2): bn1.bias [4], layer1.0.conv1.weight [4,4,3,3]\n"
                "  unexpected (1): head.weight [2,2]\n"
                "  of another shape (1): layer2.0.bn1.weight [4], expected [8]\n"
                "  use weights that were trained with this architecture");
}

TEST_F(Bind, NamesTheArchitectureThatFitsBetterAndShowsTenOfEach) {
  const auto other = file(weights_of(make_architecture("resnet20", {.classes = 7, .width = 4, .side = {}})));
  const std::string text = error_of([&] { bind(net_, *other); });
  EXPECT_THAT(text,
              StartsWith(path() + ": does not fit resnet8\n  unexpected (60): layer1.1.bn1.bias [4], "));
  EXPECT_THAT(text,
              HasSubstr(" and 50 more\n  of another shape (2): linear.weight [7,16], expected [3,16], "));
  EXPECT_THAT(
      text,
      HasSubstr(
          "\n  97 of its 97 tensors fit resnet20, width 4, classes 7: is this the right architecture?"));
}

TEST_F(Bind, AClassifierMattersOnlyWhereItIsNeeded) {
  Tensors tensors = weights_of(net_);
  tensors["linear.weight"] = filled({100, 16}, 1);
  tensors["linear.bias"] = filled({100}, 1);
  EXPECT_EQ(bind(net_, *file(tensors), {"flatten"}).count("linear.weight"), 0u);
  EXPECT_THAT(error_of([&] { bind(net_, *file(tensors)); }),
              HasSubstr("fit resnet8, width 4, classes 100: is this the right architecture?"));
  // Made without: as good as one that is not looked at.
  EXPECT_NO_THROW(bind(make_architecture("resnet8", {.classes = 0, .width = 4, .side = {}}), *file(tensors)));
  tensors.erase("linear.weight");
  tensors.erase("linear.bias");
  EXPECT_NO_THROW(bind(net_, *file(tensors), {"layer3"}));
  // Later layers need not be there either, but what is there must be known.
  tensors.erase("layer3.0.bn2.bias");
  EXPECT_NO_THROW(bind(net_, *file(tensors), {"layer2"}));
  tensors["layer2.0.stranger"] = filled({1}, 1);
  EXPECT_THAT(error_of([&] { bind(net_, *file(tensors), {"layer2"}); }),
              HasSubstr("unexpected (1): layer2.0.stranger [1]"));
}

TEST_F(Bind, RefusesValuesThatAreNotFinite) {
  for (const float value : {INFINITY, -INFINITY, NAN}) {
    Tensors tensors = weights_of(net_);
    tensors["bn1.bias"].as<float>()[1] = value;
    EXPECT_EQ(
        error_of([&] { bind(net_, *file(tensors)); }),
        path() +
            ": tensor 'bn1.bias' has 1 of 4 values that are not finite: the file is damaged, or its training "
            "diverged; use another checkpoint");
  }
}

TEST_F(Bind, RefusesVariancesThatHaveNoSquareRoot) {
  Tensors tensors = weights_of(net_);
  float* const variances = tensors["layer2.0.bn1.running_var"].as<float>();
  variances[1] = -0.5f;
  variances[2] = -1.1e-5f;  // less than zero with eps, too
  EXPECT_EQ(error_of([&] { bind(net_, *file(tensors)); }),
            path() +
                ": tensor 'layer2.0.bn1.running_var' has 2 of 8 values that are no variances: each must be "
                "greater than -1e-05, the least is -0.5; the file is damaged, use another checkpoint");
  EXPECT_NO_THROW(bind(net_, *file(tensors), {"layer1"}));  // which are not needed
  variances[1] = variances[2] = 0;                          // a channel that never changed
  EXPECT_NO_THROW(bind(net_, *file(tensors)));
}

TEST_F(Bind, EveryArchitectureIsRecognised) {
  for (const std::string& name : architecture_names()) {
    if (name.substr(0, 3) == "vgg") continue;  // half a gigabyte each
    const auto best = best_fit(*file(weights_of(make_architecture(name))));
    ASSERT_TRUE(best) << name;
    EXPECT_EQ(best->architecture.name, name);
    EXPECT_TRUE(best->fit.complete()) << name;
  }
  const Architecture lenet = make_architecture("lenet", {.classes = 4, .width = 6, .side = 28});
  const auto best = best_fit(*file(weights_of(lenet)));
  ASSERT_TRUE(best);
  EXPECT_EQ(best->architecture.name, "lenet");
  EXPECT_EQ(best->options.side, 28);
  EXPECT_EQ(best->options.width, 6);
  EXPECT_TRUE(best->fit.complete());
  // As many classes as ImageNet-21k has, and hardly any.
  for (const int classes : {21'841, 1}) {
    const auto other = best_fit(
        *file(weights_of(make_architecture("resnet8", {.classes = classes, .width = {}, .side = {}}))));
    EXPECT_EQ(other->architecture.classes, classes);
  }
  EXPECT_FALSE(best_fit(*file({{"a", filled({2}, 1)}, {"b", filled({2, 2}, 1)}})));
}

TEST(RealWeights, FitTheirArchitectures) {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr) GTEST_SKIP() << "GRAFT_DATA is not set";
  const std::string at = std::string(data) + "/weights/";
  for (const char* name : {"resnet20", "resnet56"})
    for (const char* end : {"_cifar10.pth", "_cifar10.safetensors"}) {
      const auto file = open_weights(at + name + end);
      EXPECT_NO_THROW(bind(make_architecture(name), *file)) << name << end;
      EXPECT_EQ(best_fit(*file)->architecture.name, name);
    }
  const auto mobilenet = open_weights(at + "mobilenet_v1_075_imagenet.safetensors");
  EXPECT_EQ(bind(make_architecture("mobilenet_v1_075"), *mobilenet).size(), 137u);
  EXPECT_EQ(
      bind(make_architecture("mobilenet_v1_075", {.classes = 0, .width = {}, .side = {}}), *mobilenet).size(),
      135u);
  EXPECT_EQ(bind(make_architecture("mobilenet_v1_075"), *mobilenet, {"avgpool"}).size(), 135u);
  const auto best = best_fit(*mobilenet);
  EXPECT_EQ(best->architecture.name, "mobilenet_v1_075");
  EXPECT_TRUE(best->fit.complete());
}

}  // namespace
}  // namespace graft::nn
