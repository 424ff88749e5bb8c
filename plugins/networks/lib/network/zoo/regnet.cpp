// RegNet X and Y (Radosavovic et al. 2020, arXiv:2003.13678), of torchvision and timm.

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

/// Names of one publisher; numbers of stage and block in place of {}.
struct RegNetNames {
  const char *stem, *stem_norm, *stem_act;
  const char* block;
  int first_block;
  /// Three convolutions with their norms, squeeze-and-excitation, and the branch beside.
  const char *conv[3], *norm[3], *act[3], *excitation, *skip, *skip_norm;
  const char* classifier;
};

constexpr RegNetNames kRegNetNames[] = {{"stem.0",
                                         "stem.1",
                                         "stem.2",
                                         "trunk_output.block{0}.block{0}-{1}.",
                                         0,
                                         {"f.a.0", "f.b.0", "f.c.0"},
                                         {"f.a.1", "f.b.1", "f.c.1"},
                                         {"f.a.2", "f.b.2", "activation"},
                                         "f.se",
                                         "proj.0",
                                         "proj.1",
                                         "fc"},
                                        {"stem.conv",
                                         "stem.bn",
                                         "stem.act",
                                         "s{0}.b{1}.",
                                         1,
                                         {"conv1.conv", "conv2.conv", "conv3.conv"},
                                         {"conv1.bn", "conv2.bn", "conv3.bn"},
                                         {"conv1.act", "conv2.act", "act3"},
                                         "se",
                                         "downsample.conv",
                                         "downsample.bn",
                                         "head.fc"}};

void regnet_block(CnnReader& r, const RegNetNames& names, const std::string& at, int stride) {
  r.net.block(at.substr(0, at.size() - 1), "RegNetBlock");
  const Builder::Value in = r.net.last();
  for (std::size_t i = 0; i < 3; ++i) {
    r.conv(at + names.conv[i], i == 1 ? stride : 1);
    r.norm(at + names.norm[i]);
    if (i < 2) r.act(at + names.act[i], Op::Relu);
    if (i == 1 && r.has(at + names.excitation + ".fc1.weight"))
      r.excitation(at + names.excitation, "fc1", "fc2", Op::Relu, Op::Sigmoid);
  }
  const Builder::Value branch = r.net.last();
  Builder::Value skip = in;
  if (r.has(at + names.skip + ".weight")) {
    r.net.go_on_from(in);
    r.conv(at + names.skip, stride);
    r.norm(at + names.skip_norm);
    skip = r.net.last();
  }
  r.net.go_on_from(branch);
  r.add(at + "add", skip);
  r.act(at + names.act[2], Op::Relu);
}

}  // namespace

std::optional<Architecture> build_regnet(const ModelFiles& files, TensorMap& tensors,
                                         std::vector<std::string>& notes) {
  const auto names =
      std::find_if(std::begin(kRegNetNames), std::end(kRegNetNames),
                   [&](const RegNetNames& one) { return tensors.has(std::string(one.stem) + ".weight"); });
  if (names == std::end(kRegNetNames)) return {};
  const std::string name = architecture_named(files);
  if (name.starts_with("regnetz") || name.starts_with("regnetv"))
    throw Error(fmt::format(
        "is a {}, whose activations are not those of RegNet X and Y: export it as TorchScript", name));
  CnnReader r("RegNet", tensors);
  r.conv(names->stem, 2);
  r.norm(names->stem_norm);
  r.act(names->stem_act, Op::Relu);
  for (int stage = 1;; ++stage) {
    const auto block = [&](int i) {
      return fmt::format(fmt::runtime(names->block), stage, names->first_block + i);
    };
    if (!r.has(block(0) + names->conv[0] + ".weight")) break;
    for (int i = 0; r.has(block(i) + names->conv[0] + ".weight"); ++i)
      regnet_block(r, *names, block(i), i == 0 ? 2 : 1);
  }
  r.net.pooled_tap();
  r.classifier(names->classifier);
  return r.net.finish(cnn_preprocessing(files, 232, 224, "bilinear", notes));
}

}  // namespace graft::nn::zoo
