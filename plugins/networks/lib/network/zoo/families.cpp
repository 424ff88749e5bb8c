#include "tensor_map.h"

namespace graft::nn::zoo {

const std::vector<PublishedFamily>& published_families() {
  static const std::vector<PublishedFamily> kAll = [] {
    std::vector<PublishedFamily> all = vision_transformers();
    all.insert(all.end(), convnexts().begin(), convnexts().end());
    for (const auto& family :
         {swin_transformer, published_resnet, regnet, published_efficientnet, timm_efficientnet, mobilenet_v3,
          mnasnet, densenet, inception_v3, googlenet, squeezenet, shufflenet_v2, maxvit})
      all.push_back(family());
    return all;
  }();
  return kAll;
}

}  // namespace graft::nn::zoo
