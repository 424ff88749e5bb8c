// ConvNeXt (Liu et al. 2022, arXiv:2201.03545) and its second version (Woo et al. 2023, arXiv:2301.00808), of
// Meta, timm and torchvision, also as DINOv3 has it. The layers have the names of timm.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "builder.h"
#include "tensor_map.h"

namespace graft::nn::zoo {
namespace {

/// Names of one publisher, before "weight" and "bias"; numbers of stage and block in place of {}.
struct ConvNextNames {
  const char* stem;
  const char* stem_norm;
  const char* down_norm;  ///< Of stage, which is the second at least.
  const char* down;
  const char* block;  ///< Of stage and block.
  const char *depthwise, *norm, *fc1, *fc2;
  const char *scale, *response_scale, *response_shift;
  const char *last_norm, *classifier;
  int stage_step, first_stage;  ///< The number of a stage is first + step x stage, also of what leads to it.
};

constexpr ConvNextNames kConvNextNames[] = {
    {"stem.0.", "stem.1.", "stages.{}.downsample.0.", "stages.{}.downsample.1.", "stages.{}.blocks.{}.",
     "conv_dw.", "norm.", "mlp.fc1.", "mlp.fc2.", "gamma", "mlp.grn.weight", "mlp.grn.bias", "head.norm.",
     "head.fc.", 1, 0},
    {"downsample_layers.0.0.", "downsample_layers.0.1.", "downsample_layers.{}.0.", "downsample_layers.{}.1.",
     "stages.{}.{}.", "dwconv.", "norm.", "pwconv1.", "pwconv2.", "gamma", "grn.gamma", "grn.beta", "norm.",
     "head.", 1, 0},
    {"features.0.0.", "features.0.1.", "features.{}.0.", "features.{}.1.", "features.{}.{}.", "block.0.",
     "block.2.", "block.3.", "block.5.", "layer_scale", "", "", "classifier.0.", "classifier.2.", 2, 1},
};

class ConvNext {
 public:
  ConvNext(const ConvNextNames& names, TensorMap& tensors) : names_(names), map_(tensors) {}

  Architecture build(const std::string& family, Preprocessing preprocessing) {
    Builder net(family);
    conv(net, "stem.0", names_.stem);
    norm(net, "stem.1", names_.stem_norm);
    constexpr int kMostStages = 16, kMostBlocks = 1000;
    for (int stage = 0; stage < kMostStages && map_.has(block(stage, 0) + names_.depthwise + "weight");
         ++stage) {
      if (stage > 0) {
        const std::string at = fmt::format("stages.{}.downsample.", stage);
        // torchvision counts what leads to a stage, too: right before it.
        const int number = names_.first_stage + names_.stage_step * stage - (names_.stage_step - 1);
        norm(net, at + "0", fmt::format(fmt::runtime(names_.down_norm), number));
        conv(net, at + "1", fmt::format(fmt::runtime(names_.down), number));
      }
      for (int i = 0; i < kMostBlocks && map_.has(block(stage, i) + names_.depthwise + "weight"); ++i)
        one_block(net, fmt::format("stages.{}.blocks.{}", stage, i), block(stage, i));
    }
    net.simple("head.pool", Op::GlobalPool);
    net.simple("head.flatten", Op::Flatten);
    norm(net, "head.norm", names_.last_norm);
    net.tap_here();
    const std::string classifier = names_.classifier;
    if (!map_.has(classifier + "weight")) {
      net.classifier("head.fc", 0);
    } else {
      const std::int64_t in = net.last().channels, out = map_.shape(classifier + "weight", 2)[0];
      net.classifier("head.fc", static_cast<int>(out));
      take("head.fc", {out, in}, classifier);
    }
    return net.finish(std::move(preprocessing));
  }

 private:
  /// A weight of this shape, and the bias of its outputs.
  void take(const std::string& name, const Shape& shape, const std::string& from) {
    map_.take(name + ".weight", shape, from + "weight");
    map_.take(name + ".bias", {shape[0]}, from + "bias");
  }

  std::string block(int stage, int index) const {
    return fmt::format(fmt::runtime(names_.block), names_.first_stage + names_.stage_step * stage, index);
  }

  /// A convolution whose windows lie side by side: its kernel is its stride.
  void conv(Builder& net, const std::string& name, const std::string& from) {
    const Shape shape = map_.shape(from + "weight", 4);
    const int out = bounded(shape[0], from), kernel = bounded(shape[2], from), in = net.last().channels;
    Layer& layer = net.add(name, Op::Conv, out);
    layer.kernel = layer.stride = kernel;
    layer.bias = true;
    take(name, {out, in, kernel, kernel}, from);
  }

  int bounded(std::int64_t n, const std::string& from) const {
    constexpr std::int64_t kMost = 1 << 16;
    if (n > kMost)
      throw Error(fmt::format("tensor '{}weight' has an axis of {}: expected at most {}", from, n, kMost));
    return static_cast<int>(n);
  }

  void norm(Builder& net, const std::string& name, const std::string& from) {
    Layer& layer = net.simple(name, Op::LayerNorm);
    layer.eps = 1e-6;
    take(name, {layer.out}, from);
  }

  /// A linear layer at each pixel.
  void pointwise(Builder& net, const std::string& name, int out, const std::string& from) {
    const int in = net.last().channels;
    net.conv(name, out, 1).bias = true;
    take(name, {out, in, 1, 1}, from);
  }

  void one_block(Builder& net, const std::string& path, const std::string& at) {
    const Builder::Value in = net.last();
    const int width = in.channels;
    net.block(path, "Block");
    const int kernel = bounded(map_.shape(at + names_.depthwise + "weight", 4)[2], at + names_.depthwise);
    net.depthwise(path + ".conv_dw", kernel, 1).bias = true;
    take(path + ".conv_dw", {width, 1, kernel, kernel}, at + names_.depthwise);
    norm(net, path + ".norm", at + names_.norm);
    const std::string fc1 = at + names_.fc1;
    const TensorInfo* wide = map_.find(fc1 + "weight");
    const int hidden = wide == nullptr || wide->shape.empty() ? 4 * width : bounded(wide->shape[0], fc1);
    pointwise(net, path + ".mlp.fc1", hidden, fc1);
    net.simple(path + ".mlp.act", Op::Gelu);
    if (const std::string scale = names_.response_scale; !scale.empty() && map_.has(at + scale)) {
      net.simple(path + ".mlp.grn", Op::ResponseNorm).eps = 1e-6;
      map_.take(path + ".mlp.grn.weight", {hidden}, at + scale);
      map_.take(path + ".mlp.grn.bias", {hidden}, at + names_.response_shift);
    }
    pointwise(net, path + ".mlp.fc2", width, at + names_.fc2);
    if (map_.has(at + names_.scale)) {
      net.simple(path + ".ls", Op::LayerScale);
      map_.take(path + ".ls.gamma", {width}, at + names_.scale);
    }
    const Builder::Value branch = net.last();
    net.binary(path + ".add", Op::Add, branch, in);
  }

  const ConvNextNames& names_;
  TensorMap& map_;
};

}  // namespace

std::optional<Published> read_convnext(const ModelFiles& files, TensorMap tensors, std::optional<int>) {
  const auto names = std::find_if(std::begin(kConvNextNames), std::end(kConvNextNames), [&](const auto& one) {
    return tensors.has(fmt::format(fmt::runtime(one.block), one.first_stage, 0) + one.depthwise + "weight") &&
           tensors.has(std::string(one.stem) + "weight");
  });
  if (names == std::end(kConvNextNames)) return {};
  // DINOv3's has the last norm twice.
  const bool is_dinov3 = tensors.has("norms.3.weight");
  const std::string family = is_dinov3 ? "DINOv3 ConvNeXt" : "ConvNeXt";
  Preprocessing usual;
  if (names->stage_step == 2)
    usual.resize = 236;
  else
    usual.filter = is_dinov3 ? "bilinear" : "bicubic";
  usual.squash = usual.tensors = is_dinov3;
  if (is_dinov3) usual.resize = 224;
  Published out;
  out.architecture = ConvNext(*names, tensors).build(family, preprocessing_of(files, usual));
  tensors.require_all(family);
  tensors.ignore("norms.3.weight");
  tensors.ignore("norms.3.bias");
  tensors.require_all_used(family);
  out.weights = TensorMap::renamed(std::move(tensors));
  return out;
}

}  // namespace graft::nn::zoo
