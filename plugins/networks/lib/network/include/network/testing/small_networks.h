#pragma once

#include <string>
#include <utility>
#include <vector>

#include <network/architecture.h>

namespace graft::nn::test {

// Networks by which engines are compared with the loops.

inline Layer layer(std::string name, Op op, std::vector<std::string> from, int in, int out) {
  Layer l;
  l.name = std::move(name);
  l.op = op;
  l.from = std::move(from);
  l.in = in;
  l.out = out;
  return l;
}
inline Layer conv(std::string name, const std::string& from, int in, int out, int kernel = 3,
                  int stride = 1) {
  Layer l = layer(std::move(name), Op::Conv, {from}, in, out);
  l.kernel = kernel;
  l.stride = stride;
  const int pad = kernel / 2;
  l.padding = {pad, pad, pad, pad};
  return l;
}

/// Every operation that later convolutional networks have, on channels that fill blocks and that do not.
inline Architecture convolutional() {
  Architecture net;
  net.name = "convolutional";
  const auto add = [&](Layer one) -> Layer& { return net.layers.emplace_back(std::move(one)); };
  Layer& stem = add(conv("stem", "input", 3, 16, 3, 2));
  stem.padding = {};
  stem.padding_rule = PaddingRule::Same;
  add(layer("stem_swish", Op::HardSwish, {"stem"}, 16, 16));
  add(layer("gate", Op::HardSigmoid, {"stem_swish"}, 16, 16));  // on a value that others read
  add(layer("first_norm", Op::BatchNorm, {"gate"}, 16, 16));    // before a convolution
  Layer& wide = add(conv("wide", "first_norm", 16, 20));
  wide.kernel = {1, 7};
  wide.padding = {0, 3, 0, 3};
  Layer& tall = add(conv("tall", "wide", 20, 32));
  tall.kernel = {7, 1};
  tall.padding = {3, 0, 3, 0};
  Layer& dilated = add(conv("dilated", "tall", 32, 32));
  dilated.dilation = 2;
  dilated.padding = {2, 2, 2, 2};
  add(layer("dilated_gate", Op::HardSigmoid, {"dilated"}, 32, 32));
  add(layer("joined", Op::Concat, {"dilated_gate", "stem_swish"}, 48, 48));
  add(layer("ragged", Op::Concat, {"wide", "joined"}, 68, 68));
  add(layer("slice", Op::ChannelSlice, {"ragged"}, 68, 30)).first = 7;
  add(layer("shuffle", Op::ChannelShuffle, {"slice"}, 30, 30)).groups = 3;
  Layer& max = add(layer("max", Op::MaxPool, {"shuffle"}, 30, 30));
  max.kernel = 3;
  max.stride = 2;
  max.padding_rule = PaddingRule::Ceil;
  const auto average = [&](const char* name, PaddingRule rule, bool counts) {
    Layer& one = add(layer(name, Op::WindowAvgPool, {"shuffle"}, 30, 30));
    one.kernel = {3, 2};
    one.stride = 2;
    one.padding = {1, 1, 1, 1};
    one.padding_rule = rule;
    one.count_padding = counts;
  };
  average("mean", PaddingRule::Fixed, false);
  average("counted", PaddingRule::Fixed, true);
  average("mean_ceil", PaddingRule::Ceil, false);
  average("counted_ceil", PaddingRule::Ceil, true);
  add(layer("blurred", Op::BlurPool, {"shuffle"}, 30, 30)).stride = 2;
  add(layer("merged", Op::PatchMerge, {"shuffle"}, 30, 120));
  net.tap = "merged";
  return net;
}

/// Two blocks of attention in windows, of which one is shifted, and a smaller image between.
inline Architecture windowed(WindowRule rule) {
  Architecture net;
  net.name = "windowed";
  const auto add = [&](Layer one) -> Layer& { return net.layers.emplace_back(std::move(one)); };
  Layer& patches = add(layer("patches", Op::Conv, {"input"}, 3, 24));
  patches.kernel = patches.stride = 2;
  add(layer("norm", Op::LayerNorm, {"patches"}, 24, 24));
  std::string last = "norm";
  int scale = 1;
  const auto block = [&](const std::string& name, int shift) {
    Layer& qkv = add(layer(name + "_qkv", Op::Conv, {last}, 24, 72));
    qkv.bias = true;
    qkv.padding_rule = PaddingRule::Multiple;
    qkv.size = 3;
    Layer& windows = add(layer(name, Op::WindowAttention, {name + "_qkv", last}, 72, 24));
    windows.heads = 3;
    windows.kernel = 3;
    windows.shift = shift;
    windows.windows = rule;
    if (rule == WindowRule::Timm) {
      windows.from.push_back("norm");
      windows.size = scale;
    }
    add(layer(name + "_add", Op::Add, {name, last}, 24, 24));
    last = name + "_add";
  };
  block("a", 0);
  block("b", 1);
  add(layer("merge", Op::PatchMerge, {last}, 24, 96));
  add(layer("merge_norm", Op::LayerNorm, {"merge"}, 96, 96));
  add(layer("reduced", Op::Conv, {"merge_norm"}, 96, 24));
  last = "reduced";
  scale = 2;
  block("c", 1);
  net.tap = "c_add";
  return net;
}

}  // namespace graft::nn::test
