// ResNets whose sizes stand in their files, of torchvision and timm: ResNeXt (Xie et al. 2016,
// arXiv:1611.05431), Wide ResNet (Zagoruyko and Komodakis 2016, arXiv:1605.07146), ResNet-C and -D (He et al.
// 2018, arXiv:1812.01187), SE-ResNet (Hu et al. 2017, arXiv:1709.01507), with blocks of two or three
// convolutions, of which the 3 x 3 has the stride; and timm's with low-pass filters in place of strides.

#include <utility>

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// The branch beside a block: nothing, a convolution, or a mean of 2 x 2 pixels and a convolution (D).
Builder::Value resnet_skip(CnnReader& r, const std::string& at, const Builder::Value& in, int stride) {
  const std::string name = at + ".downsample.";
  if (!r.has(name + "1.weight")) return in;
  r.net.go_on_from(in);
  if (r.has(name + "0.weight")) {
    r.conv(name + "0", stride);
    r.norm(name + "1");
    return r.net.last();
  }
  if (stride > 1) {
    Layer& pool = r.net.simple(name + "0", Op::WindowAvgPool);
    pool.kernel = 2;
    pool.stride = stride;
    pool.padding_rule = PaddingRule::Ceil;
  }
  r.conv(name + "1");
  r.norm(name + "2");
  return r.net.last();
}

/// What halves an image in place of a stride, which has no tensors.
enum class LowPass { None, Mean, Blur };

LowPass low_pass_of(const std::string& architecture) {
  const auto named = [&](const char* part) { return architecture.find(part) != std::string::npos; };
  if (named("resnetblur")) return LowPass::Blur;
  return named("resnetaa") || named("resnextaa") ? LowPass::Mean : LowPass::None;
}

void low_pass(CnnReader& r, const std::string& name, LowPass kind) {
  Layer& pool = r.net.simple(name, kind == LowPass::Blur ? Op::BlurPool : Op::WindowAvgPool);
  pool.kernel = kind == LowPass::Blur ? 1 : 2;
  pool.stride = 2;
}

void resnet_block(CnnReader& r, const std::string& at, int stride, LowPass filter) {
  const bool deep = r.has(at + ".conv3.weight");
  r.net.block(at, deep ? "Bottleneck" : "BasicBlock");
  const Builder::Value in = r.net.last();
  const int last = deep ? 3 : 2;
  for (int i = 1; i <= last; ++i) {
    const bool halves = i == last - 1 && stride > 1;
    r.conv(fmt::format("{}.conv{}", at, i), halves && filter == LowPass::None ? stride : 1);
    r.norm(fmt::format("{}.bn{}", at, i));
    if (i < last) r.act(fmt::format("{}.relu{}", at, i), Op::Relu);
    if (halves && filter != LowPass::None) low_pass(r, at + ".aa", filter);
  }
  if (r.has(at + ".se.fc1.weight")) r.excitation(at + ".se", "fc1", "fc2", Op::Relu, Op::Sigmoid);
  const Builder::Value branch = r.net.last();
  const Builder::Value skip = resnet_skip(r, at, in, stride);
  r.net.go_on_from(branch);
  r.add(at + ".add", skip);
  r.act(fmt::format("{}.relu{}", at, last), Op::Relu);
}

std::optional<Architecture> build_resnet(const ModelFiles& files, TensorMap& tensors,
                                         std::vector<std::string>& notes) {
  const bool deep_stem = tensors.has("conv1.0.weight");
  if (!deep_stem && (!tensors.has("conv1.weight") || tensors.shape("conv1.weight", 4)[2] != 7))
    return {};  // one for small images
  const LowPass filter = low_pass_of(architecture_named(files));
  CnnReader r("ResNet", tensors);
  if (deep_stem) {
    for (const int i : {0, 3}) {
      r.conv(fmt::format("conv1.{}", i), i == 0 ? 2 : 1);
      r.norm(fmt::format("conv1.{}", i + 1));
      r.act(fmt::format("conv1.{}", i + 2), Op::Relu);
    }
    r.conv("conv1.6");
  } else {
    r.conv("conv1", 2);
  }
  r.norm("bn1");
  r.act("relu", Op::Relu);
  if (filter != LowPass::Mean) r.net.max_pool("maxpool", 3, filter == LowPass::None ? 2 : 1, 1);
  if (filter != LowPass::None) low_pass(r, "aa", filter);
  for (int stage = 1; r.has(fmt::format("layer{}.0.conv1.weight", stage)); ++stage)
    for (int i = 0; r.has(fmt::format("layer{}.{}.conv1.weight", stage, i)); ++i)
      resnet_block(r, fmt::format("layer{}.{}", stage, i), stage > 1 && i == 0 ? 2 : 1, filter);
  r.net.pooled_tap();
  r.classifier("fc");
  return r.net.finish(cnn_preprocessing(files, 232, 224, "bilinear", notes));
}

}  // namespace

std::optional<Published> read_resnet(const ModelFiles& files, TensorMap tensors, std::optional<int>) {
  const bool has_filters = low_pass_of(architecture_named(files)) != LowPass::None;
  return read_cnn(files, std::move(tensors), build_resnet, !has_filters);
}

}  // namespace graft::nn::zoo
