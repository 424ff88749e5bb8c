// Swin Transformer, first version (Liu et al. 2021, arXiv:2103.14030), of torchvision, timm and Microsoft.

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// Names of one publisher; numbers of stage and block in place of {}.
struct SwinNames {
  const char *patch, *patch_norm;
  const char* block;  ///< Of stage and block.
  const char *fc1, *fc2;
  const char* merge;            ///< Of stage.
  int first_stage, stage_step;  ///< The number of a stage is first + step x stage.
  int merge_number;             ///< What is added to that for what merges in front of the stage.
  WindowRule windows;
};

constexpr SwinNames kSwinNames[] = {
    {"features.0.0", "features.0.2", "features.{}.{}.", "mlp.0", "mlp.3", "features.{}", 1, 2, -1,
     WindowRule::Torchvision},
    {"patch_embed.proj", "patch_embed.norm", "layers.{}.blocks.{}.", "mlp.fc1", "mlp.fc2",
     "layers.{}.downsample", 0, 1, 0, WindowRule::Timm},
    {"patch_embed.proj", "patch_embed.norm", "layers.{}.blocks.{}.", "mlp.fc1", "mlp.fc2",
     "layers.{}.downsample", 0, 1, -1, WindowRule::Timm}};

const SwinNames& names_of(const TensorMap& tensors) {
  if (tensors.has("features.0.0.weight")) return kSwinNames[0];
  // Microsoft's, and older files of timm, merge at the end of a stage, others in front of the next.
  return kSwinNames[tensors.has("layers.0.downsample.reduction.weight") ? 2 : 1];
}

class Swin {
 public:
  explicit Swin(TensorMap& tensors) : names_(names_of(tensors)), r_("Swin Transformer", tensors) {}

  Architecture build(Preprocessing preprocessing) {
    Layer& patches = r_.conv(names_.patch);
    patches.stride = patches.kernel.height;
    patches.padding = {};
    if (patches.kernel.height != patches.kernel.width)
      throw Error(fmt::format("has patches of {} x {} px: expected squares", patches.kernel.width,
                              patches.kernel.height));
    if (r_.has(std::string(names_.patch_norm) + ".weight")) r_.layer_norm(names_.patch_norm, kEps);
    grid_ = r_.net.last().name;
    for (int stage = 0; is_there(stage, 0); ++stage) {
      if (stage > 0) merge(stage);
      for (int i = 0; is_there(stage, i); ++i) block(stage, i);
    }
    r_.layer_norm("norm", kEps);
    r_.net.pooled_tap();
    r_.classifier(r_.has("head.fc.weight") ? "head.fc" : "head");
    return r_.net.finish(std::move(preprocessing));
  }

 private:
  static constexpr double kEps = 1e-5;

  int number(int stage) const { return names_.first_stage + names_.stage_step * stage; }
  std::string block_name(int stage, int i) const {
    return fmt::format(fmt::runtime(names_.block), number(stage), i);
  }
  bool is_there(int stage, int i) const { return r_.has(block_name(stage, i) + "attn.qkv.weight"); }

  void merge(int stage) {
    const std::string at = fmt::format(fmt::runtime(names_.merge), number(stage) + names_.merge_number);
    r_.net.add(at + ".merge", Op::PatchMerge, 4 * r_.net.last().channels);
    r_.layer_norm(at + ".norm", kEps);
    r_.pointwise(at + ".reduction");
  }

  /// Side of the windows and heads, of the biases' table: a row per pair of places.
  std::pair<int, int> windows_of(const std::string& table) const {
    const Shape shape = r_.map().shape(table, 2);
    const int span = static_cast<int>(std::lround(std::sqrt(static_cast<double>(shape[0]))));
    if (std::int64_t{span} * span != shape[0] || span % 2 == 0 || shape[1] > kMaxWidth)
      throw Error(
          fmt::format("tensor '{}{}' is {}: expected [(2 side - 1)^2,heads] for windows that are squares",
                      r_.map().prefix(), table, to_string(shape)));
    return {(span + 1) / 2, static_cast<int>(shape[1])};
  }

  void block(int stage, int index) {
    const std::string at = block_name(stage, index);
    r_.net.block(at.substr(0, at.size() - 1), "SwinBlock");
    const Builder::Value in = r_.net.last();
    r_.layer_norm(at + "norm1", kEps);
    attention(at, in, stage, index);
    r_.pointwise(at + "attn.proj");
    r_.add(at + "add1", in);
    const Builder::Value middle = r_.net.last();
    r_.layer_norm(at + "norm2", kEps);
    r_.pointwise(at + names_.fc1);
    r_.act(at + "mlp.act", Op::Gelu);
    r_.pointwise(at + names_.fc2);
    r_.add(at + "add2", middle);
  }

  void attention(const std::string& at, const Builder::Value& in, int stage, int index) {
    const std::string table = at + "attn.relative_position_bias_table";
    const auto [side, heads] = windows_of(table);
    // Zeros enter the product: what is outside has the bias for its query, key and value.
    Layer& qkv = r_.pointwise(at + "attn.qkv");
    qkv.padding_rule = PaddingRule::Multiple;
    qkv.size = side;
    if (qkv.out != 3 * in.channels || in.channels % heads != 0)
      throw Error(
          fmt::format("'{}attn.qkv' gives {} values for {} heads of a width of {}: expected thrice the "
                      "width, which the heads divide",
                      at, qkv.out, heads, in.channels));
    Layer& layer = r_.net.add(at + "attn.windows", Op::WindowAttention, in.channels);
    layer.from.push_back(in.name);
    layer.heads = heads;
    layer.kernel = side;
    layer.shift = index % 2 == 0 ? 0 : side / 2;
    layer.windows = names_.windows;
    if (layer.windows == WindowRule::Timm) {
      layer.from.push_back(grid_);
      layer.size = 1 << stage;
    }
    r_.map().take(layer.name + ".bias_table",
                  {(2 * std::int64_t{side} - 1) * (2 * std::int64_t{side} - 1), heads}, table);
    for (const char* derived : {"relative_position_index", "attn_mask"})
      for (const char* part : {"attn.", ""}) r_.map().ignore(at + part + derived);
  }

  const SwinNames& names_;
  CnnReader r_;
  std::string grid_;
};

}  // namespace

std::optional<Architecture> build_swin(const ModelFiles& files, TensorMap& tensors,
                                       std::vector<std::string>& notes) {
  const bool torchvision = tensors.has("features.0.0.weight");
  int resize = 256;
  if (torchvision) {
    // T, S and B of torchvision: by their width and the length of the third stage.
    const bool is_base = tensors.shape("features.0.0.weight", 4)[0] == 128;
    resize = is_base ? 238 : tensors.has("features.5.17.attn.qkv.weight") ? 246 : 232;
  }
  return Swin(tensors).build(cnn_preprocessing(files, resize, 224, "bicubic", notes));
}

}  // namespace graft::nn::zoo
