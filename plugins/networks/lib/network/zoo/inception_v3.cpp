// Inception v3 (Szegedy et al. 2015, arXiv:1512.00567), of torchvision and timm.

#include <utility>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

class InceptionV3 {
 public:
  explicit InceptionV3(TensorMap& tensors) : r_("Inception v3", tensors, 1e-3) {}

  Architecture build(Preprocessing preprocessing) {
    conv("Conv2d_1a_3x3", 2, false);
    conv("Conv2d_2a_3x3", 1, false);
    conv("Conv2d_2b_3x3");
    r_.net.max_pool("maxpool1", 3, 2);
    conv("Conv2d_3b_1x1");
    conv("Conv2d_4a_3x3", 1, false);
    r_.net.max_pool("maxpool2", 3, 2);
    for (const char* name : {"Mixed_5b", "Mixed_5c", "Mixed_5d"})
      block(name, {{"branch1x1"},
                   {"branch5x5_1", "branch5x5_2"},
                   {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"},
                   {kMean, "branch_pool"}});
    block("Mixed_6a", {{"branch3x3/2"}, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3/2"}, {kMax}});
    for (const char* name : {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"})
      block(name, {{"branch1x1"},
                   {"branch7x7_1", "branch7x7_2", "branch7x7_3"},
                   {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"},
                   {kMean, "branch_pool"}});
    block("Mixed_7a", {{"branch3x3_1", "branch3x3_2/2"},
                       {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4/2"},
                       {kMax}});
    // Some branches part once more.
    for (const char* name : {"Mixed_7b", "Mixed_7c"})
      block(name, {{"branch1x1"},
                   {"branch3x3_1", "branch3x3_2a"},
                   {"branch3x3_1", "branch3x3_2b"},
                   {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a"},
                   {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3b"},
                   {kMean, "branch_pool"}});
    r_.net.pooled_tap();
    r_.net.dropout("dropout", 0.5);
    r_.classifier("fc");
    return r_.net.finish(std::move(preprocessing));
  }

 private:
  static constexpr const char *kMean = "mean", *kMax = "max";

  void conv(const std::string& at, int stride = 1, bool padded = true) {
    Layer& layer = r_.conv(at + ".conv", stride);
    if (!padded) layer.padding = {};
    r_.norm(at + ".bn");
    r_.act(at + ".relu", Op::Relu);
  }

  /// Branches, one after the other: of convolutions, of which those with "/2" halve the image, and of pools.
  void block(const std::string& at, const std::vector<std::vector<std::string>>& branches) {
    r_.net.block(at, "Inception");
    const Builder::Value in = r_.net.last();
    std::map<std::string, Builder::Value> known;
    std::vector<Builder::Value> ends;
    for (const auto& branch : branches) {
      r_.net.go_on_from(in);
      for (std::string part : branch) {
        if (const auto found = known.find(part); found != known.end()) {
          r_.net.go_on_from(found->second);
          continue;
        }
        const bool halves = part.ends_with("/2");
        const std::string name = at + "." + part.substr(0, part.find('/'));
        if (part == kMax) {
          r_.net.max_pool(name, 3, 2);
        } else if (part == kMean) {
          Layer& pool = r_.net.simple(name, Op::WindowAvgPool);
          pool.kernel = 3;
          pool.padding = {1, 1, 1, 1};
          pool.count_padding = true;
        } else {
          conv(name, halves ? 2 : 1, !halves);
        }
        known.emplace(part, r_.net.last());
      }
      ends.push_back(r_.net.last());
    }
    r_.concat(at + ".concat", ends);
  }

  CnnReader r_;
};

}  // namespace

std::optional<Architecture> build_inception(const ModelFiles& files, TensorMap& tensors,
                                            std::vector<std::string>& notes) {
  ignore_below(tensors, "AuxLogits.");
  Preprocessing preprocessing = cnn_preprocessing(files, 342, 299, "bilinear", notes);
  if (preprocessing_file(files) == nullptr) normalise_to_half(preprocessing, notes);
  return InceptionV3(tensors).build(std::move(preprocessing));
}

}  // namespace graft::nn::zoo
