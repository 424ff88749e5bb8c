// ONNX models: what becomes of a graph, compared with the graph itself, evaluated operator by operator.

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <network/cost.h>

#include "testing/onnx_fixture.h"

namespace graft::nn {
namespace {

using graft::testing::error_of;
using test::OnnxWriter;
using ::testing::ElementsAre;
using Ints = OnnxWriter::Ints;

TEST_F(OnnxTest, AConvolutionalNetworkIsItsLayers) {
  OnnxWriter to;
  to.input("x", {1, 3, 17, 14});
  weight(to, "stem.weight", {8, 3, 3, 5});
  weight(to, "stem.bias", {8});
  to.node("Conv", {"x", "stem.weight", "stem.bias"}, {"c"},
          {OnnxWriter::numbers("pads", {1, 2, 0, 1}), OnnxWriter::numbers("strides", {2, 2})}, "/stem/Conv");
  to.node("Relu", {"c"}, {"r"}, {}, "/act/Relu");
  for (const char* name : {"s", "b", "m"}) weight(to, name, {8});
  weight(to, "v", {8}, 0.5, 2);
  to.node("BatchNormalization", {"r", "s", "b", "m", "v"}, {"n"}, {OnnxWriter::real("epsilon", 1e-3F)},
          "/layer1/layer1.0/norm/BatchNormalization");
  to.node("MaxPool", {"n"}, {"p"},
          {OnnxWriter::numbers("kernel_shape", {3, 3}), OnnxWriter::numbers("strides", {2, 2}),
           OnnxWriter::number("ceil_mode", 1)});
  weight(to, "deep", {8, 1, 3, 3});
  to.node("Conv", {"p", "deep"}, {"d"},
          {OnnxWriter::number("group", 8), OnnxWriter::text("auto_pad", "SAME_UPPER"),
           OnnxWriter::numbers("strides", {2, 2})},
          "/layer1/layer1.0/conv/Conv");
  to.node("AveragePool", {"d"}, {"a"},
          {OnnxWriter::numbers("kernel_shape", {2, 2}), OnnxWriter::numbers("pads", {1, 1, 1, 1}),
           OnnxWriter::number("count_include_pad", 1)});
  head(to, "a", 8);
  const Published model = read(to);
  EXPECT_THAT(operations_of(model), ElementsAre("Conv", "Relu", "BatchNorm", "MaxPool", "Conv",
                                                "WindowAvgPool", "GlobalPool", "Flatten", "Linear"));
  EXPECT_EQ(model.architecture.name, "m.onnx");
  EXPECT_EQ(model.architecture.classifier, "y");
  EXPECT_EQ(model.architecture.classes, 5);
  EXPECT_EQ(model.architecture.tap, "flatten");
  EXPECT_EQ(model.architecture.features, 8);
  EXPECT_EQ(model.architecture.layers[0].name, "stem");
  EXPECT_EQ(resolve_tap(model.architecture, "layer1.0"), "layer1.0.conv");
  EXPECT_EQ(model.findings[0].value, "ONNX, opset 17, IR 8, by graft");
  EXPECT_EQ(model.findings[1].value,
            "2 Conv, 1 AveragePool, 1 BatchNormalization, 1 Flatten, 1 Gemm, 1 GlobalAveragePool, 1 MaxPool, "
            "1 Relu");
  // It was exported for one size.
  EXPECT_EQ(model.architecture.only, Extent(17, 14));
  EXPECT_EQ(error_of([&] { cost_of(model.architecture, 17, 15); }),
            "m.onnx: is for images of 14 x 17 px alone, got 15 x 17");
}

TEST_F(OnnxTest, SizesThatAreLeftOpenStayOpen) {
  OnnxWriter to = image({-1, -1}, 4);
  head(to, "c", 4);
  const Published model = read(to);
  EXPECT_EQ(model.architecture.only, std::nullopt);
  EXPECT_EQ(cost_of(model.architecture, 31, 9).layers.back().output, (Shape{5}));
  EXPECT_EQ(model.findings[2].value, "any");
  // Not where the graph depends on the size: all pixels of 224 x 224 px.
  OnnxWriter other = image({-1, -1}, 4);
  to = image({-1, -1}, 4);
  to.node("AveragePool", {"c"}, {"p"}, {OnnxWriter::numbers("kernel_shape", {224, 224})});
  to.node("Flatten", {"p"}, {"y"});
  to.output("y");
  EXPECT_EQ(open_published(write(to.bytes()))->architecture.only, Extent(224));
}

TEST_F(OnnxTest, WhatGraphsDoToOddSidesKeepsThemToTheirSize) {
  // Zeros on the right of odd sides alone: of a first layer, and of one whose sides the first has halved.
  for (const bool at_first : {true, false}) {
    OnnxWriter to = image({-1, -1}, 4);
    std::string value = "c";
    if (!at_first) {
      weight(to, "half", {4, 4, 3, 3});
      to.node("Conv", {"c", "half"}, {"h"},
              {OnnxWriter::numbers("strides", {2, 2}), OnnxWriter::numbers("pads", {1, 1, 1, 1})});
      value = "h";
    }
    to.node("MaxPool", {value}, {"p"},
            {OnnxWriter::numbers("kernel_shape", {2, 2}), OnnxWriter::numbers("strides", {2, 2}),
             OnnxWriter::text("auto_pad", "SAME_UPPER")});
    head(to, "p", 4);
    EXPECT_EQ(open_published(write(to.bytes()))->architecture.only, Extent(224)) << at_first;
  }
  // A convolution has a rule for it.
  OnnxWriter to = image({-1, -1}, 4);
  weight(to, "half", {4, 4, 3, 3});
  to.node("Conv", {"c", "half"}, {"h"},
          {OnnxWriter::numbers("strides", {2, 2}), OnnxWriter::text("auto_pad", "SAME_UPPER")});
  head(to, "h", 4);
  EXPECT_EQ(open_published(write(to.bytes()))->architecture.only, std::nullopt);
}

TEST_F(OnnxTest, AnOpsetThatIsNewerThanTheKnownOnesIsAGuess) {
  OnnxWriter to = image({6, 6}, 4, 99);
  head(to, "c", 4);
  EXPECT_THAT(open_published(write(to.bytes()))->notes,
              ::testing::Contains("guessed: its operators mean what they mean in opset 23: its own, 99, is "
                                  "newer"));
}

TEST_F(OnnxTest, ActivationsAreKnownByWhatTheyCompute) {
  struct Chain {
    const char* op;
    std::function<void(OnnxWriter&)> nodes;  ///< From "c" to "a".
  };
  const auto binary = [](OnnxWriter& to, const char* op, const char* a, const char* b, const char* out) {
    to.node(op, {a, b}, {out});
  };
  const std::vector<Chain> chains = {
      {"Relu6",
       [&](OnnxWriter& to) {
         scalar(to, "low", 0);
         scalar(to, "high", 6);
         to.node("Clip", {"c", "low", "high"}, {"a"});
       }},
      {"Relu",
       [&](OnnxWriter& to) {
         scalar(to, "low", 0);
         to.node("Max", {"low", "c"}, {"a"});
       }},
      {"Silu",
       [&](OnnxWriter& to) {
         to.node("Sigmoid", {"c"}, {"s"});
         binary(to, "Mul", "c", "s", "a");
       }},
      {"QuickGelu",
       [&](OnnxWriter& to) {
         scalar(to, "k", 1.702F);
         binary(to, "Mul", "c", "k", "z");
         to.node("Sigmoid", {"z"}, {"s"});
         binary(to, "Mul", "s", "c", "a");
       }},
      {"Gelu",
       [&](OnnxWriter& to) {
         scalar(to, "root", std::sqrt(2.0F));
         scalar(to, "one", 1);
         scalar(to, "half", 0.5F);
         binary(to, "Div", "c", "root", "z");
         to.node("Erf", {"z"}, {"e"});
         binary(to, "Add", "e", "one", "f");
         binary(to, "Mul", "c", "f", "g");
         binary(to, "Mul", "g", "half", "a");
       }},
      {"GeluTanh",
       [&](OnnxWriter& to) {
         scalar(to, "three", 3);
         scalar(to, "k", 0.044715F);
         scalar(to, "r", 0.7978845608F);
         scalar(to, "one", 1);
         scalar(to, "half", 0.5F);
         binary(to, "Pow", "c", "three", "p");
         binary(to, "Mul", "k", "p", "q");
         binary(to, "Add", "c", "q", "s");
         binary(to, "Mul", "s", "r", "t");
         to.node("Tanh", {"t"}, {"u"});
         binary(to, "Add", "one", "u", "v");
         binary(to, "Mul", "half", "c", "h");
         binary(to, "Mul", "h", "v", "a");
       }},
      {"HardSwish",
       [&](OnnxWriter& to) {
         to.node("HardSigmoid", {"c"}, {"s"}, {OnnxWriter::real("alpha", 1.0F / 6)});
         binary(to, "Mul", "c", "s", "a");
       }},
      {"HardSwish",
       [&](OnnxWriter& to) {
         scalar(to, "three", 3);
         scalar(to, "low", 0);
         scalar(to, "high", 6);
         binary(to, "Add", "c", "three", "z");
         to.node("Clip", {"z", "low", "high"}, {"r"});
         binary(to, "Mul", "c", "r", "p");
         binary(to, "Div", "p", "high", "a");
       }},
      {"HardSigmoid",
       [&](OnnxWriter& to) { to.node("HardSigmoid", {"c"}, {"a"}, {OnnxWriter::real("alpha", 1.0F / 6)}); }},
      {"Tanh", [&](OnnxWriter& to) { to.node("Tanh", {"c"}, {"a"}); }},
  };
  for (const Chain& chain : chains) {
    OnnxWriter to = image({6, 6}, 4);
    chain.nodes(to);
    weight(to, "next", {4, 4, 1, 1});
    to.node("Conv", {"a", "next"}, {"d"});
    head(to, "d", 4);
    EXPECT_THAT(operations_of(read(to)),
                ElementsAre("Conv", chain.op, "Conv", "GlobalPool", "Flatten", "Linear"))
        << chain.op;
  }
  OnnxWriter to = image({6, 6}, 4);
  to.node("HardSigmoid", {"c"}, {"a"});  // with the slope 0.2
  head(to, "a", 4);
  EXPECT_EQ(
      error(to),
      "node 'pooled' (GlobalAveragePool) takes what node 'a' makes, alone or with the operators before it: "
      "not "
      "one of the activations that graft knows (Relu, Relu6, Silu, Sigmoid, Gelu, QuickGelu, HardSigmoid, "
      "HardSwish, Tanh); export the model as TorchScript");
}

TEST_F(OnnxTest, GatesShufflesAndSumsOfBranches) {
  OnnxWriter to = image({6, 4}, 8);
  to.node("ReduceMean", {"c"}, {"m"}, {OnnxWriter::numbers("axes", {2, 3})});
  weight(to, "w1", {4, 8, 1, 1});
  weight(to, "w2", {8, 4, 1, 1});
  to.node("Conv", {"m", "w1"}, {"e1"});
  to.node("Relu", {"e1"}, {"e2"});
  to.node("Conv", {"e2", "w2"}, {"e3"});
  to.node("Sigmoid", {"e3"}, {"gate"});
  to.node("Mul", {"gate", "c"}, {"scaled"});
  to.integers("halves", {4, 4});
  to.node("Split", {"scaled", "halves"}, {"first", "second"}, {OnnxWriter::number("axis", 1)});
  weight(to, "w3", {4, 4, 1, 1});
  to.node("Conv", {"second", "w3"}, {"other"});
  to.node("Concat", {"first", "other"}, {"both"}, {OnnxWriter::number("axis", 1)});
  to.integers("apart", {1, 2, 4, 6, 4});
  to.integers("together", {1, 8, 6, 4});
  to.node("Reshape", {"both", "apart"}, {"s1"});
  to.node("Transpose", {"s1"}, {"s2"}, {OnnxWriter::numbers("perm", {0, 2, 1, 3, 4})});
  to.node("Reshape", {"s2", "together"}, {"shuffled"});
  weight(to, "w4", {8, 8, 1, 1});
  to.node("Conv", {"shuffled", "w4"}, {"last"});
  to.node("Add", {"last", "c"}, {"sum"});
  head(to, "sum", 8);
  EXPECT_THAT(operations_of(read(to)),
              ElementsAre("Conv", "GlobalPool", "Conv", "Relu", "Conv", "Sigmoid", "Mul", "ChannelSlice",
                          "Conv", "ChannelSlice", "Concat", "ChannelShuffle", "Conv", "Add", "GlobalPool",
                          "Flatten", "Linear"));
}

/// A vision transformer of one block; attention by three linear layers, and an own scale, where `apart`.
void add_transformer(OnnxWriter& to, const std::function<void(const std::string&, const Ints&)>& weight,
                     bool apart, bool long_norms) {
  const auto binary = [&](const char* op, const std::string& a, const std::string& b,
                          const std::string& out) {
    to.node(op, {a, b}, {out});
  };
  to.weight("two", {}, {2});
  to.weight("eps", {}, {1e-6F});
  to.weight("scale", {}, {apart ? 0.3F : 0.5F});
  const auto norm = [&](const std::string& in, const std::string& out) {
    weight(out + ".weight", {8});
    weight(out + ".bias", {8});
    if (!long_norms) {
      to.node("LayerNormalization", {in, out + ".weight", out + ".bias"}, {out},
              {OnnxWriter::real("epsilon", 1e-6F)});
      return;
    }
    to.node("ReduceMean", {in}, {out + "m"}, {OnnxWriter::numbers("axes", {-1})});
    binary("Sub", in, out + "m", out + "c");
    binary("Pow", out + "c", "two", out + "q");
    to.node("ReduceMean", {out + "q"}, {out + "v"}, {OnnxWriter::numbers("axes", {-1})});
    binary("Add", out + "v", "eps", out + "e");
    to.node("Sqrt", {out + "e"}, {out + "r"});
    binary("Div", out + "c", out + "r", out + "n");
    binary("Mul", out + "n", out + ".weight", out + "s");
    binary("Add", out + "s", out + ".bias", out);
  };
  const auto linear = [&](const std::string& in, const std::string& out, std::int64_t from,
                          std::int64_t width) {
    weight(out + ".w", {from, width});
    weight(out + ".b", {width});
    binary("MatMul", in, out + ".w", out + "_");
    binary("Add", out + ".b", out + "_", out);
  };
  weight("patch", {8, 3, 4, 4});
  to.node("Conv", {"x", "patch"}, {"p"}, {OnnxWriter::numbers("strides", {4, 4})});
  to.integers("rows", {1, 8, -1});
  to.node("Reshape", {"p", "rows"}, {"p1"});
  to.node("Transpose", {"p1"}, {"p2"}, {OnnxWriter::numbers("perm", {0, 2, 1})});
  weight("cls", {1, 1, 8});
  to.node("Concat", {"cls", "p2"}, {"p3"}, {OnnxWriter::number("axis", 1)});
  weight("pos", {1, 7, 8});
  binary("Add", "p3", "pos", "t");
  norm("t", "n1");
  to.integers("heads", {1, 7, 2, 4});
  to.integers("heads3", {1, 7, 3, 2, 4});
  if (apart) {
    for (const char* part : {"q", "k", "v"}) {
      const std::string name = part;
      linear("n1", name + "l", 8, 8);
      to.node("Reshape", {name + "l", "heads"}, {name + "r"});
      to.node("Transpose", {name + "r"}, {name}, {OnnxWriter::numbers("perm", {0, 2, 1, 3})});
    }
  } else {
    linear("n1", "qkv", 8, 24);
    to.node("Reshape", {"qkv", "heads3"}, {"qkv1"});
    to.node("Transpose", {"qkv1"}, {"qkv2"}, {OnnxWriter::numbers("perm", {2, 0, 3, 1, 4})});
    to.integers("ones", {1, 1, 1});
    to.integers("zero", {0});
    to.node("Split", {"qkv2", "ones"}, {"q0", "k0", "v0"}, {OnnxWriter::number("axis", 0)});
    for (const char* part : {"q", "k", "v"}) to.node("Squeeze", {part + std::string("0"), "zero"}, {part});
  }
  binary("Mul", "q", "scale", "qs");
  to.node("Transpose", {"k"}, {"kt"}, {OnnxWriter::numbers("perm", {0, 1, 3, 2})});
  binary("MatMul", "qs", "kt", "w");
  to.node("Softmax", {"w"}, {"ws"}, {OnnxWriter::number("axis", -1)});
  binary("MatMul", "ws", "v", "o");
  to.node("Transpose", {"o"}, {"o1"}, {OnnxWriter::numbers("perm", {0, 2, 1, 3})});
  to.integers("tokens", {1, 7, 8});
  to.node("Reshape", {"o1", "tokens"}, {"o2"});
  linear("o2", "proj", 8, 8);
  binary("Add", "t", "proj", "t1");
  norm("t1", "n2");
  linear("n2", "fc1", 8, 16);
  to.node("Relu", {"fc1"}, {"h"});
  linear("h", "fc2", 16, 8);
  binary("Add", "t1", "fc2", "t2");
  norm("t2", "n3");
  to.weight("unused", {1}, {0});
  to.integers("first", {0});
  to.node("Gather", {"n3", "first"}, {"token"}, {OnnxWriter::number("axis", 1)});
  to.node("Flatten", {"token"}, {"cls1"});
  linear("cls1", "y", 8, 5);
  to.output("y");
}

TEST_F(OnnxTest, AVisionTransformerHoweverItIsWritten) {
  for (const bool apart : {false, true})
    for (const bool long_norms : {false, true}) {
      OnnxWriter to(long_norms ? 13 : 17);
      to.input("x", {-1, 3, 8, 12});
      add_transformer(
          to, [&](const std::string& name, const Ints& shape) { weight(to, name, shape); }, apart,
          long_norms);
      const Published model = read(to);
      EXPECT_THAT(operations_of(model), ElementsAre("Conv", "Embed", "LayerNorm", "Linear", "Attention",
                                                    "Linear", "Add", "LayerNorm", "Linear", "Relu", "Linear",
                                                    "Add", "LayerNorm", "TokenMean", "Linear"));
      const Layer& embed = model.architecture.layers[1];
      EXPECT_EQ(embed.prefix, 1);
      EXPECT_EQ(Extent(embed.grid_height, embed.grid_width), Extent(2, 3));
      EXPECT_EQ(model.architecture.layers[4].heads, 2);
      EXPECT_EQ(model.architecture.features, 8);
      EXPECT_EQ(model.architecture.pool, "cls");
    }
}

TEST_F(OnnxTest, NumbersOfHalfThePrecision) {
  OnnxWriter to;
  to.input("x", {1, 3, 4, 4}, 10);
  to.tensor("w", {2, 3, 1, 1}, 10,
            OnnxWriter::field(9, std::string("\x00\x3c\x00\xc0\x00\x38\x00\x3c\x00\x3c\x00\x40", 12)));
  to.tensor("b", {2}, 16, OnnxWriter::field(9, std::string("\x80\x3f\x20\xc0", 4)));
  to.node("Conv", {"x", "w", "b"}, {"c"});
  head(to, "c", 2);
  const Published model = read(to);
  const auto weights = model.weights->read({"c.weight", "c.bias"});
  const auto values = [](const Tensor& t) {
    return std::vector<float>(t.as<float>(), t.as<float>() + t.size());
  };
  EXPECT_THAT(values(weights.at("c.weight")), ElementsAre(1, -2, 0.5F, 1, 1, 2));
  EXPECT_THAT(values(weights.at("c.bias")), ElementsAre(1, -2.5F));
}

/// Attention in shifted windows of 2 x 2 of an image "c" of 4 x 4 px and 4 channels, two heads: "a".
/// `masked`: what is added for pixels of other regions.
void add_window_attention(OnnxWriter& to, const std::function<void(const std::string&, const Ints&)>& weight,
                          const std::vector<float>& table, float masked) {
  const auto node = [&](const char* op, const std::vector<std::string>& in, const std::string& out,
                        const std::vector<OnnxWriter::Setting>& settings = {}) {
    to.node(op, in, {out}, settings);
  };
  const auto turned = [&](const std::string& in, const std::string& out, const Ints& order) {
    node("Transpose", {in}, out, {OnnxWriter::numbers("perm", order)});
  };
  const auto shaped = [&](const std::string& in, const std::string& out, const Ints& shape) {
    to.integers(out + ".shape", shape);
    node("Reshape", {in, out + ".shape"}, out);
  };
  /// The rows or columns from `first` on, then those before.
  const auto rolled = [&](const std::string& in, const std::string& out, std::int64_t axis,
                          std::int64_t first) {
    for (const auto& [name, value] :
         {std::pair("a", axis), {"f", first}, {"z", std::int64_t{0}}, {"e", std::int64_t{99}}})
      to.integers(out + name, {value});
    node("Slice", {in, out + "f", out + "e", out + "a"}, out + "1");
    node("Slice", {in, out + "z", out + "f", out + "a"}, out + "2");
    node("Concat", {out + "1", out + "2"}, out, {OnnxWriter::number("axis", axis)});
  };
  turned("c", "n", {0, 2, 3, 1});
  rolled("n", "r1", 1, 1);
  rolled("r1", "r2", 2, 1);
  shaped("r2", "w1", {1, 2, 2, 2, 2, 4});
  turned("w1", "w2", {0, 1, 3, 2, 4, 5});
  shaped("w2", "w3", {4, 4, 4});
  weight("qkv.w", {4, 12});
  weight("qkv.b", {12});
  node("MatMul", {"w3", "qkv.w"}, "qkv1");
  node("Add", {"qkv1", "qkv.b"}, "qkv2");
  shaped("qkv2", "qkv3", {4, 4, 3, 2, 2});
  turned("qkv3", "qkv4", {2, 0, 3, 1, 4});
  for (const auto& [name, at] : {std::pair("q", 0), {"k", 1}, {"v", 2}}) {
    to.integers(name + std::string("at"), {at});
    node("Gather", {"qkv4", name + std::string("at")}, name + std::string("0"),
         {OnnxWriter::number("axis", 0)});
    shaped(name + std::string("0"), name, {4, 2, 4, 2});
  }
  to.weight("scale", {}, {std::sqrt(0.5F)});
  node("Mul", {"q", "scale"}, "qs");
  turned("k", "kt", {0, 1, 3, 2});
  node("MatMul", {"qs", "kt"}, "s1");
  std::vector<float> bias, mask;
  for (int head = 0; head < 2; ++head)
    for (int i = 0; i < 16; ++i) {
      const int a = i / 4, b = i % 4;  // places of the query and of the key in the window
      const int entry = ((a / 2 - b / 2 + 1) * 3 + a % 2 - b % 2 + 1) * 2 + head;
      bias.push_back(table[static_cast<std::size_t>(entry)]);
    }
  for (int window = 0; window < 4; ++window)
    for (int i = 0; i < 16; ++i) {
      // Of the last window along a side, the last pixel came from the other end.
      const auto region = [&](int place) {
        const int y = window / 2 == 1 ? 1 + place / 2 : 0, x = window % 2 == 1 ? 1 + place % 2 : 0;
        return 3 * y + x;
      };
      mask.push_back(region(i / 4) == region(i % 4) ? 0 : masked);
    }
  to.weight("bias", {1, 2, 4, 4}, bias);
  to.weight("mask", {1, 4, 1, 4, 4}, mask);
  node("Add", {"s1", "bias"}, "s2");
  shaped("s2", "s3", {1, 4, 2, 4, 4});
  node("Add", {"s3", "mask"}, "s4");
  shaped("s4", "s5", {4, 2, 4, 4});
  node("Softmax", {"s5"}, "p", {OnnxWriter::number("axis", -1)});
  node("MatMul", {"p", "v"}, "o1");
  turned("o1", "o2", {0, 2, 1, 3});
  shaped("o2", "o3", {1, 2, 2, 2, 2, 4});
  turned("o3", "o4", {0, 1, 3, 2, 4, 5});
  shaped("o4", "o5", {1, 4, 4, 4});
  rolled("o5", "o6", 1, 3);
  rolled("o6", "o7", 2, 3);
  turned("o7", "a", {0, 3, 1, 2});
}

TEST_F(OnnxTest, AttentionInShiftedWindows) {
  const std::vector<float> table = noise(18);
  const auto model = [&](float masked) {
    OnnxWriter to = image({4, 4}, 4);
    add_window_attention(
        to, [&](const std::string& name, const Ints& shape) { weight(to, name, shape); }, table, masked);
    head(to, "a", 4);
    return to;
  };
  const Published read_back = read(model(-100));
  EXPECT_THAT(operations_of(read_back),
              ElementsAre("Conv", "Conv", "WindowAttention", "GlobalPool", "Flatten", "Linear"));
  const Layer& layer = read_back.architecture.layers[2];
  EXPECT_EQ(layer.shift, 1);
  EXPECT_EQ(layer.kernel, Extent(2));
  EXPECT_EQ(layer.heads, 2);
  EXPECT_EQ(error(model(-50)),
            "node 'o1' (MatMul) is of an attention with a bias that is not one per pair of places, or with "
            "another mask: no operation of graft does that");
}

TEST_F(OnnxTest, ImagesWithTheirChannelsLast) {
  OnnxWriter to;
  to.input("x", {1, 6, 5, 3});
  to.node("Transpose", {"x"}, {"i"}, {OnnxWriter::numbers("perm", {0, 3, 1, 2})});
  weight(to, "w", {4, 3, 3, 3});
  to.node("Conv", {"i", "w"}, {"c"});
  head(to, "c", 4);
  EXPECT_THAT(operations_of(read(to)), ElementsAre("Conv", "GlobalPool", "Flatten", "Linear"));
}

TEST_F(OnnxTest, TheLastSoftmaxIsLeftOut) {
  OnnxWriter to = image({6, 6}, 4);
  to.node("GlobalAveragePool", {"c"}, {"pooled"});
  to.node("Flatten", {"pooled"}, {"flat"});
  weight(to, "w", {4, 5});
  weight(to, "b", {5});
  to.node("Gemm", {"flat", "w", "b"}, {"z"});
  to.node("Softmax", {"z"}, {"y"}, {OnnxWriter::number("axis", 1)});
  to.output("y");
  const Published model = read(to);
  EXPECT_THAT(model.notes, ::testing::Contains("its last Softmax is left out: logits, not probabilities"));
}

TEST_F(OnnxTest, NormalizationInTheGraphStays) {
  OnnxWriter to;
  to.input("x", {1, 3, 6, 6});
  to.weight("mean", {1, 3, 1, 1}, {0.4F, 0.5F, 0.6F});
  to.weight("std", {1, 3, 1, 1}, {0.2F, 0.25F, 0.3F});
  to.node("Sub", {"x", "mean"}, {"x1"});
  to.node("Div", {"x1", "std"}, {"x2"});
  weight(to, "w", {4, 3, 3, 3});
  to.node("Conv", {"x2", "w"}, {"c"});
  head(to, "c", 4);
  EXPECT_THAT(operations_of(read(to)), ElementsAre("BatchNorm", "Conv", "GlobalPool", "Flatten", "Linear"));
}

}  // namespace
}  // namespace graft::nn
