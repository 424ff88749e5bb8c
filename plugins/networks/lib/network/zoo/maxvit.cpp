// MaxViT (Tu et al. 2022, arXiv:2204.01697), of torchvision: inverted residuals, then attention in windows
// and in a grid.

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

constexpr double kMaxVitEps = 1e-5;  // of its LayerNorms; batch-norm has 1e-3

void maxvit_residual(CnnReader& r, const std::string& at, int stride) {
  r.net.block(at, "MBConv");
  const Builder::Value in = r.net.last();
  r.norm(at + ".layers.pre_norm");
  r.conv_norm_act(at + ".layers.conv_a", 1, Op::Gelu);
  r.conv_norm_act(at + ".layers.conv_b", stride, Op::Gelu);
  r.excitation(at + ".layers.squeeze_excitation", "fc1", "fc2", Op::Silu, Op::Sigmoid);
  r.conv(at + ".layers.conv_c");
  const Builder::Value branch = r.net.last();
  r.net.go_on_from(in);
  if (stride > 1) {
    Layer& pool = r.net.simple(at + ".proj.0", Op::WindowAvgPool);
    pool.kernel = 3;
    pool.stride = stride;
    pool.padding = {1, 1, 1, 1};
    pool.count_padding = true;
  }
  for (const char* projection : {".proj.0", ".proj.1"})
    if (r.has(at + projection + ".weight")) r.conv(at + projection);
  const Builder::Value skip = r.net.last();
  r.net.go_on_from(branch);
  r.add(at + ".add", skip);
}

/// Its products are divided by the root of the width, not of the head's, which goes into the keys here.
void maxvit_attention(CnnReader& r, const std::string& at, const Builder::Value& in, WindowRule rule) {
  const std::string table = at + ".relative_position_bias_table";
  const Shape pairs = r.map().shape(table, 2);
  const int span = static_cast<int>(std::lround(std::sqrt(static_cast<double>(pairs[0]))));
  const std::int64_t width = in.channels, heads = pairs[1];
  if (std::int64_t{span} * span != pairs[0] || span % 2 == 0 || width % heads != 0)
    throw Error(fmt::format("tensor '{}{}' is {}: expected [(2 side - 1)^2,heads] with heads that divide {}",
                            r.map().prefix(), table, to_string(pairs), width));
  const std::string qkv = at + ".to_qkv";
  r.net.add(qkv, Op::Conv, static_cast<int>(3 * width)).bias = true;
  const double factor = 1 / std::sqrt(static_cast<double>(heads));
  for (const auto& [part, values] : {std::pair(".weight", width), {".bias", std::int64_t{1}}}) {
    const std::int64_t each = width * values;
    const Shape wanted = values > 1 ? Shape{3 * width, width, 1, 1} : Shape{3 * width};
    r.map().make(qkv + part, wanted, {{qkv + part, wanted}}, [each, factor](const auto& from, float* to) {
      for (std::int64_t i = 0; i < 3 * each; ++i)
        to[i] = i / each == 1 ? static_cast<float>(from[0][i] * factor) : from[0][i];
    });
  }
  Layer& layer = r.net.add(at + ".windows", Op::WindowAttention, in.channels);
  layer.from.push_back(in.name);
  layer.heads = static_cast<int>(heads);
  layer.kernel = (span + 1) / 2;
  layer.windows = rule;
  r.map().take(layer.name + ".bias_table", pairs, table);
  r.map().ignore(at + ".relative_position_index");
  r.pointwise(at + ".merge");
}

void maxvit_transformer(CnnReader& r, const std::string& at, WindowRule rule) {
  r.net.block(at, "PartitionAttention");
  const Builder::Value in = r.net.last();
  r.layer_norm(at + ".attn_layer.0", kMaxVitEps);
  maxvit_attention(r, at + ".attn_layer.1", in, rule);
  r.add(at + ".add1", in);
  const Builder::Value middle = r.net.last();
  r.layer_norm(at + ".mlp_layer.0", kMaxVitEps);
  r.pointwise(at + ".mlp_layer.1");
  r.act(at + ".mlp_layer.2", Op::Gelu);
  r.pointwise(at + ".mlp_layer.3");
  r.add(at + ".add2", middle);
}

}  // namespace

std::optional<Architecture> build_maxvit(const ModelFiles& files, TensorMap& tensors,
                                         std::vector<std::string>& notes) {
  CnnReader r("MaxViT", tensors, 1e-3);
  r.conv_norm_act("stem.0", 2, Op::Gelu);
  r.conv("stem.1.0");
  const auto layer = [](int block, int i) { return fmt::format("blocks.{}.layers.{}.layers.", block, i); };
  const auto is_there = [&](int block, int i) {
    return r.has(layer(block, i) + "MBconv.layers.conv_a.0.weight");
  };
  for (int block = 0; is_there(block, 0); ++block)
    for (int i = 0; is_there(block, i); ++i) {
      maxvit_residual(r, layer(block, i) + "MBconv", i == 0 ? 2 : 1);
      maxvit_transformer(r, layer(block, i) + "window_attention", WindowRule::Torchvision);
      maxvit_transformer(r, layer(block, i) + "grid_attention", WindowRule::Grid);
    }
  r.net.pooled_tap();
  r.layer_norm("classifier.2", kMaxVitEps);
  r.linear("classifier.3");
  r.act("classifier.4", Op::Tanh);
  r.classifier("classifier.5");
  return r.net.finish(cnn_preprocessing(files, 224, 224, "bicubic", notes));
}

}  // namespace graft::nn::zoo
