// ONNX models that are refused: operators without an operation, damage, and files that ask for too much.

#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <network/weight_file.h>

#include "testing/onnx_fixture.h"

namespace graft::nn {
namespace {

using test::OnnxWriter;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class OnnxErrors : public OnnxTest {};

/// A sum of a constant with itself, again and again: `to` names the last.
std::string doubled(OnnxWriter& to, const std::string& name, int times) {
  to.integers(name + "_size", {1 << 20});
  to.node("ConstantOfShape", {name + "_size"}, {name});
  std::string last = name;
  for (int i = 0; i < times; ++i) {
    const std::string next = name + std::to_string(i);
    to.node("Add", {last, last}, {next});
    last = next;
  }
  return last;
}

TEST_F(OnnxErrors, WhatNoOutputIsMadeOfIsNotComputed) {
  OnnxWriter to = image({-1, -1}, 4);
  doubled(to, "bomb", 100'000 / 8);  // hours
  head(to, "c", 4);
  EXPECT_THAT(read(to).notes, Not(::testing::Contains(HasSubstr("bomb"))));
}

TEST_F(OnnxErrors, AGraphIsFoldedForAllSizesTogetherWithinABound) {
  // Of one size it would be half of the bound: the features are those of that size alone then.
  OnnxWriter to = image({-1, -1}, 4);
  to.integers("none", {0});
  to.node("Gather", {doubled(to, "table", 16), "none"}, {"zero"});
  to.node("Add", {"c", "zero"}, {"sum"});
  head(to, "sum", 4);
  EXPECT_TRUE(read(to).architecture.only);
  to = image({-1, -1}, 4);
  to.integers("none", {0});
  to.node("Gather", {doubled(to, "table", 40), "none"}, {"zero"});
  to.node("Add", {"c", "zero"}, {"sum"});
  head(to, "sum", 4);
  EXPECT_EQ(error(to), "a graph that takes more time than any network of its size");
}

TEST_F(OnnxErrors, NumbersAreCountedBeforeTheyAreRead) {
  // Each of a byte: eight in memory.
  OnnxWriter to = image({6, 6}, 4);
  to.tensor("more", {3}, 7, OnnxWriter::field(7, std::string(1 << 20, '\1')));
  head(to, "c", 4);
  EXPECT_EQ(error(to),
            "tensor 'more' has 1048576 elements for the shape [3]: the file is truncated or damaged; copy it "
            "again");
  // In one field or in several.
  to = image({6, 6}, 4);
  to.tensor("whole", {3}, 7, OnnxWriter::field(7, std::string("\1\x80\1\2")));
  to.tensor("halves", {4}, 10,
            OnnxWriter::field(5, OnnxWriter::varint(0x3c00) + OnnxWriter::varint(0xc000)) +
                OnnxWriter::field(5, 0x3c00) + OnnxWriter::field(5, 0x3800));
  head(to, "c", 4);
  const auto tensors = open_weights(write(to.bytes()).weights)->read({"whole", "halves"});
  const auto values = [&](const char* name) {
    const Tensor& tensor = tensors.at(name);
    return std::vector<float>(tensor.as<float>(), tensor.as<float>() + tensor.size());
  };
  EXPECT_EQ(values("whole"), (std::vector<float>{1, 128, 2}));
  EXPECT_EQ(values("halves"), (std::vector<float>{1, -2, 1, 0.5f}));
}

TEST_F(OnnxErrors, WhatNoOperationComputesIsNamed) {
  OnnxWriter to = image({6, 6}, 4);
  to.node("InstanceNormalization", {"c", "s", "s"}, {"n"}, {}, "/norm/InstanceNormalization");
  head(to, "n", 4);
  EXPECT_EQ(error(to),
            "node '/norm/InstanceNormalization' (InstanceNormalization) takes 's', which nothing before it "
            "makes: its nodes "
            "are out of order or form a cycle; export it again");
  to = image({6, 6}, 4);
  to.weight("s", {4}, {1, 1, 1, 1});
  to.node("InstanceNormalization", {"c", "s", "s"}, {"n"}, {}, "/norm/InstanceNormalization");
  head(to, "n", 4);
  EXPECT_EQ(error(to),
            "node '/norm/InstanceNormalization' (InstanceNormalization) is an operator of opset 17 that "
            "graft cannot make a "
            "layer of: it knows convolutions, linear layers, pools, norms, activations, attention and what "
            "moves elements "
            "about; export the model as TorchScript");
  to = image({6, 6}, 4);
  to.node("Conv2", {"c"}, {"n"}, {}, "a", "org.example");
  head(to, "n", 4);
  EXPECT_EQ(error(to),
            "node 'a' (Conv2) is of the domain 'org.example': export the model with standard operators");
  to = image({6, 6}, 4);
  to.node("Mul", {"c", "x"}, {"n"});
  head(to, "n", 4);
  EXPECT_EQ(error(to),
            "node 'n' (Mul) joins [1,4,6,6] and [1,3,6,6] of two layers: only sums are possible, and the "
            "product of an "
            "image with a factor per channel");
  to = image({6, 6}, 4);
  for (const char* name : {"s", "b", "m", "v"}) to.weight(name, {4}, {1, 1, 1, 1});
  to.node("BatchNormalization", {"c", "s", "b", "m", "v"}, {"n"}, {OnnxWriter::number("training_mode", 1)});
  head(to, "n", 4);
  EXPECT_EQ(error(to),
            "node 'n' (BatchNormalization) is in training mode: export the model after model.eval()");
  to = image({6, 6}, 4);
  to.integers("wrong", {2, 5});
  to.node("Reshape", {"c", "wrong"}, {"n"});
  to.output("n");
  EXPECT_EQ(error(to),
            "node 'n' (Reshape) makes [2,5] of [1,4,6,6], which has another number of elements (for a batch "
            "of one image): the "
            "file may have been exported for a larger batch; export it for one image, or with a free batch");
}

TEST_F(OnnxErrors, ValuesOfTheImageThatBecomeWholeNumbersAreRefused) {
  for (const std::int64_t type : {2, 6, 7, 9}) {  // uint8, int32, int64, bool
    OnnxWriter to = image({6, 6}, 4);
    to.node("Cast", {"c"}, {"whole"}, {OnnxWriter::number("to", type)}, "/Cast");
    to.node("Cast", {"whole"}, {"n"}, {OnnxWriter::number("to", 1)}, "/Cast_1");
    head(to, "n", 4);
    EXPECT_EQ(error(to),
              "node '/Cast' (Cast) makes whole numbers or booleans of the image's values: no operation of "
              "graft does that")
        << type;
  }
}

TEST_F(OnnxErrors, ADropoutInTrainingModeIsRefused) {
  OnnxWriter to = image({6, 6}, 4);
  scalar(to, "ratio", 0.5F);
  to.tensor("training", {}, 9, OnnxWriter::field(9, std::string("\1")));
  to.node("Dropout", {"c", "ratio", "training"}, {"n"}, {}, "/Dropout");
  head(to, "n", 4);
  EXPECT_EQ(error(to), "node '/Dropout' (Dropout) is in training mode: export the model after model.eval()");

  OnnxWriter nothing = image({6, 6}, 4);
  scalar(nothing, "ratio", 0.0F);
  nothing.tensor("training", {}, 9, OnnxWriter::field(9, std::string("\1")));
  nothing.node("Dropout", {"c", "ratio", "training"}, {"n"}, {}, "/Dropout");
  head(nothing, "n", 4);
  read(nothing);  // it drops nothing
}

TEST_F(OnnxErrors, AnUnknownActivationIsNamed) {
  OnnxWriter to = image({6, 6}, 4);
  to.node("LeakyRelu", {"c"}, {"n"}, {}, "/act/LeakyRelu");
  to.node("GlobalAveragePool", {"n"}, {"p"}, {}, "/pool/GlobalAveragePool");
  to.node("Flatten", {"p"}, {"y"});
  to.output("y");
  EXPECT_EQ(
      error(to),
      "node '/pool/GlobalAveragePool' (GlobalAveragePool) takes what node '/act/LeakyRelu' makes, alone "
      "or with the operators before it: not one of the activations that graft knows (Relu, Relu6, Silu, "
      "Sigmoid, Gelu, QuickGelu, HardSigmoid, HardSwish, Tanh); export the model as TorchScript");
}

TEST_F(OnnxErrors, OpsetsInWhichOperatorsMeanSomethingElseAreRefused) {
  OnnxWriter to = image({6, 6}, 4, 6);
  head(to, "c", 4);
  EXPECT_EQ(
      error(to),
      "an ONNX model of opset 6, in which operators mean something else: expected 7 or later; export it "
      "again, with opset 11 or later");
}

TEST_F(OnnxErrors, InputsThatAreNoImagesAreRefused) {
  OnnxWriter to;
  to.input("x", {1, 1, 28, 28});
  weight(to, "w", {4, 1, 3, 3});
  to.node("Conv", {"x", "w"}, {"y"});
  to.output("y");
  EXPECT_EQ(error(to),
            "takes 'x' of 4 axes with 1 channels: expected images [n,3,height,width] of real numbers");
  OnnxWriter two = image({6, 6}, 4);
  two.input("mask", {1, 4});
  head(two, "c", 4);
  EXPECT_EQ(error(two), "takes 2 inputs (x, mask): expected images alone");
  OnnxWriter none;
  none.input("x", {1, 3, 6, 6});
  none.node("GlobalAveragePool", {"x"}, {"y"});
  none.output("y");
  EXPECT_EQ(error(none), "has no weights before its features: it is not a network that was trained");
}

TEST_F(OnnxErrors, DamagedFilesAreRefused) {
  OnnxWriter to = image({6, 6}, 4);
  head(to, "c", 4);
  const std::string whole = to.bytes();
  for (std::size_t n = 4; n < whole.size(); ++n) {
    const std::string text = error(whole.substr(0, n));
    EXPECT_THAT(text, AnyOf(HasSubstr("truncated or damaged"), HasSubstr("names no opset"))) << n;
  }
  for (std::size_t n = 4; n < whole.size(); ++n)
    for (const char flip : {'\x01', '\x7f', '\xff'}) {
      std::string bytes = whole;
      bytes[n] = static_cast<char>(bytes[n] ^ flip);
      const ModelFiles files = write(bytes);
      try {
        if (const auto model = open_published(files)) difference_from_graph(files, *model);
      } catch (const Error&) {  // any other exception fails the test
      }
    }
}

TEST_F(OnnxErrors, NamesAndPlacesAreChecked) {
  OnnxWriter to = image({6, 6}, 4);
  to.weight("stem.weight", {1}, {1});
  EXPECT_EQ(error(to), "tensor 'stem.weight' is there twice: the file is damaged; export it again");
  to = image({6, 6}, 4);
  to.node("Relu", {"c"}, {"c"});
  EXPECT_EQ(error(to), "node 'c' (Relu) makes 'c', which is there already: export it again");
  to = image({6, 6}, 4);
  to.node("Add", {"c", "b"}, {"a"});
  to.node("Relu", {"a"}, {"b"});
  to.output("b");
  EXPECT_EQ(error(to),
            "node 'a' (Add) takes 'b', which nothing before it makes: its nodes are out of order or form a "
            "cycle; export it again");
  to = image({6, 6}, 4);
  to.output("z");
  EXPECT_EQ(error(to), "its output 'z' is made by no node: export it again");
  to = image({6, 6}, 4);
  to.tensor("far", {2}, 1,
            OnnxWriter::field(13, OnnxWriter::field(1, std::string("location")) +
                                      OnnxWriter::field(2, std::string("/etc/passwd"))) +
                OnnxWriter::field(14, 1));
  EXPECT_EQ(error(to),
            "tensor 'far' lies in another file, which is not opened: save the model as one file, in Python: "
            "onnx.save_model(onnx.load('model.onnx'), 'whole.onnx', save_as_external_data=False)");
  to = image({6, 6}, 4);
  to.tensor("short", {3}, 1, OnnxWriter::field(9, std::string("1234")));
  EXPECT_EQ(error(to),
            "tensor 'short' has 4 bytes for [3] of F32: the file is truncated or damaged; copy it again");
  to = image({6, 6}, 4);
  to.tensor("huge", {1 << 20, 1 << 20, 1 << 20}, 1, "");
  EXPECT_EQ(error(to),
            "tensor 'huge' has the shape [1048576,1048576,1048576]: at most 268435456 elements are possible");
  to = image({6, 6}, 4);
  to.tensor("odd", {1}, 3, OnnxWriter::field(9, std::string("1")));
  EXPECT_EQ(error(to),
            "tensor 'odd' has the type 3: expected float, float16, bfloat16, double, int16, int32, int64, "
            "uint8 or bool; export "
            "the model before it is quantised");
  // A few bytes that ask for much.
  to = image({6, 6}, 4);
  to.integers("many", {1 << 14, 1 << 14});
  to.node("ConstantOfShape", {"many"}, {"ones"});
  to.node("Add", {"c", "ones"}, {"n"});
  head(to, "n", 4);
  EXPECT_EQ(error(to), "a graph that takes more memory than any network of its size");
}

}  // namespace
}  // namespace graft::nn
