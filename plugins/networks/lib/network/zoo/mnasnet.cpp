// MNASNet B1 (Tan et al. 2018, arXiv:1807.11626), of torchvision, of any width.

#include <fmt/format.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// Three convolutions; the last has no activation.
void mnasnet_block(CnnReader& r, const std::string& at, int stride) {
  const Builder::Value in = r.net.last();
  r.net.block(at, "InvertedResidual");
  for (int i = 0; i < 3; ++i) {
    r.conv(fmt::format("{}.layers.{}", at, 3 * i), i == 1 ? stride : 1);
    r.norm(fmt::format("{}.layers.{}", at, 3 * i + 1));
    if (i < 2) r.act(fmt::format("{}.layers.{}", at, 3 * i + 2), Op::Relu);
  }
  if (stride == 1 && r.net.last().channels == in.channels) r.add(at + ".add", in);
}

}  // namespace

std::optional<Architecture> build_mnasnet(const ModelFiles& files, TensorMap& tensors,
                                          std::vector<std::string>& notes) {
  CnnReader r("MNASNet", tensors);
  const auto layer = [](int i) { return fmt::format("layers.{}", i); };
  const auto conv_norm = [&](int i, int stride) {
    r.conv(layer(i), stride);
    r.norm(layer(i + 1));
  };
  for (const int i : {0, 3}) {
    conv_norm(i, i == 0 ? 2 : 1);
    r.act(layer(i + 2), Op::Relu);
  }
  conv_norm(6, 1);
  constexpr int kFirst = 8, kStrides[] = {2, 2, 2, 1, 2, 1};
  int stage = 0;
  for (const int stride : kStrides) {
    const auto block = [&](int i) { return fmt::format("layers.{}.{}", kFirst + stage, i); };
    for (int i = 0; i == 0 || r.has(block(i) + ".layers.0.weight"); ++i)
      mnasnet_block(r, block(i), i == 0 ? stride : 1);
    ++stage;
  }
  conv_norm(kFirst + stage, 1);
  r.act(layer(kFirst + stage + 2), Op::Relu);
  r.net.pooled_tap();
  r.net.dropout("classifier.0", 0.2);
  r.classifier("classifier.1");
  return r.net.finish(cnn_preprocessing(files, 256, 224, "bilinear", notes));
}

}  // namespace graft::nn::zoo
