// Networks of inverted residuals in the names of timm: EfficientNet, V2, Lite and Edge, MobileNet v2 and v3,
// MNASNet. Its files all have the same names; what tells them apart is the name of the architecture.

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

struct TimmEfficientNetKind {
  const char* name;  ///< How names of architectures begin, after "tf_"; "#" is a digit.
  Op activation;
  bool is_v3 = false;
};
constexpr TimmEfficientNetKind kTimmKinds[] = {{"efficientnet_b#", Op::Silu},
                                               {"efficientnetv2_", Op::Silu},
                                               {"efficientnet_lite#", Op::Relu6},
                                               {"efficientnet_es", Op::Relu},
                                               {"efficientnet_em", Op::Relu},
                                               {"efficientnet_el", Op::Relu},
                                               {"mobilenetv2_", Op::Relu6},
                                               {"mobilenetv3_large_", Op::HardSwish, true},
                                               {"mobilenetv3_small_", Op::HardSwish, true},
                                               {"mnasnet_", Op::Relu},
                                               {"semnasnet_", Op::Relu}};

bool begins(const std::string& name, const std::string& pattern) {
  return name.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), name.begin(),
                    [](char p, char c) { return p == '#' ? c >= '0' && c <= '9' : p == c; });
}

class TimmEfficientNet {
 public:
  TimmEfficientNet(const ModelFiles& files, TensorMap& tensors, std::vector<std::string>& notes)
      : name_(architecture_named(files)),
        tf_(name_.starts_with("tf_")),
        kind_(kind_of(files, tensors, notes)),
        r_("EfficientNet", tensors, tf_ ? 1e-3 : 1e-5) {
    while (tensors_of_block(stages_, 0)) ++stages_;
  }

  Architecture build(Preprocessing preprocessing) {
    if (tf_) r_.pad_as_tensorflow();
    r_.conv("conv_stem", 2);
    r_.norm("bn1");
    r_.act("act1", kind_.activation);
    // MobileNet v3 small has a stage less, and halves the image in the first.
    const bool small = kind_.is_v3 && stages_ < 7;
    const std::vector<int> strides =
        small ? std::vector{2, 2, 2, 1, 2, 1, 1} : std::vector{1, 2, 2, 2, 1, 2, 1};
    for (int stage = 0; stage < std::min(stages_, 7); ++stage)
      for (int i = 0; tensors_of_block(stage, i); ++i) {
        const bool with_relu = kind_.is_v3 && stage < (small ? 2 : 3);
        block(fmt::format("blocks.{}.{}", stage, i), i == 0 ? strides[static_cast<std::size_t>(stage)] : 1,
              with_relu || minimal() ? Op::Relu : kind_.activation);
      }
    if (kind_.is_v3) {
      r_.net.simple("global_pool", Op::GlobalPool);
      head();
      r_.net.simple("flatten", Op::Flatten);
      r_.net.tap_here();
    } else {
      head();
      r_.net.pooled_tap();
    }
    r_.classifier("classifier");
    return r_.net.finish(std::move(preprocessing));
  }

 private:
  TimmEfficientNetKind kind_of(const ModelFiles& files, const TensorMap& tensors,
                               std::vector<std::string>& notes) const {
    const std::string plain = tf_ ? name_.substr(3) : name_;
    for (const TimmEfficientNetKind& kind : kTimmKinds)
      if (begins(plain, kind.name)) return kind;
    if (!files.config.is_null() || !tensors.has("blocks.3.0.se.conv_reduce.weight"))
      throw Error(
          fmt::format("has the tensors of timm's EfficientNet, MobileNet or MNASNet, and is named '{}', "
                      "which does not specify the activation: name the folder with its config.json, or "
                      "export it as TorchScript",
                      name_));
    const bool is_v3 = tensors.has("conv_head.bias");
    notes.push_back(
        fmt::format("guessed: {} with PyTorch's padding and batch-norm eps 1e-5; timm's tf_ models have "
                    "others: name the folder with its config.json",
                    is_v3 ? "MobileNet v3" : "EfficientNet, with SiLU,"));
    return {"", is_v3 ? Op::HardSwish : Op::Silu, is_v3};
  }

  bool minimal() const { return name_.find("minimal") != std::string::npos; }

  bool tensors_of_block(int stage, int i) const {
    const std::string at = fmt::format("blocks.{}.{}.", stage, i);
    for (const char* part : {"conv_pw.weight", "conv_dw.weight", "conv_exp.weight", "conv.weight"})
      if (r_.has(at + part)) return true;
    return false;
  }

  void head() {
    r_.conv("conv_head");
    if (r_.has("bn2.weight")) r_.norm("bn2");
    r_.act("act2", minimal() ? Op::Relu : kind_.activation);
  }

  void block(const std::string& at, int stride, Op activation) {
    r_.net.block(at, "InvertedResidual");
    const Builder::Value in = r_.net.last();
    // In the order in which they are computed; all but the last have an activation.
    std::vector<std::string> convolutions;
    const bool widens = r_.has(at + ".conv_pwl.weight");
    for (const char* part : {"conv_exp", "conv_pw", "conv_dw", "conv_pwl", "conv"})
      if (r_.has(at + "." + part + ".weight")) convolutions.emplace_back(part);
    if (!widens) std::reverse(convolutions.begin(), convolutions.end());  // the pointwise one comes last
    for (std::size_t i = 0; i < convolutions.size(); ++i) {
      const std::string& part = convolutions[i];
      const bool spatial = part != "conv_pw" && part != "conv_pwl";
      r_.conv(fmt::format("{}.{}", at, part), spatial ? stride : 1);
      r_.norm(fmt::format("{}.bn{}", at, i + 1));
      if (part == "conv" || i + 1 < convolutions.size())
        r_.act(fmt::format("{}.act{}", at, i + 1), activation);
      if (i + 2 == convolutions.size() && r_.has(at + ".se.conv_reduce.weight"))
        r_.excitation(at + ".se", "conv_reduce", "conv_expand", kind_.is_v3 ? Op::Relu : activation,
                      kind_.is_v3 ? Op::HardSigmoid : Op::Sigmoid);
    }
    // MobileNet v3 ends with a single convolution of each pixel, without a sum.
    const bool sums = convolutions.size() > 1 || r_.map().shape(at + ".conv.weight", 4)[2] > 1;
    if (sums && stride == 1 && r_.net.last().channels == in.channels) r_.add(at + ".add", in);
  }

  const std::string name_;
  const bool tf_;
  const TimmEfficientNetKind kind_;
  CnnReader r_;
  int stages_ = 0;
};

}  // namespace

std::optional<Architecture> build_timm_efficientnet(const ModelFiles& files, TensorMap& tensors,
                                                    std::vector<std::string>& notes) {
  TimmEfficientNet net(files, tensors, notes);
  return net.build(cnn_preprocessing(files, 256, 224, "bicubic", notes));
}

}  // namespace graft::nn::zoo
