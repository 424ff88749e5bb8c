#include "checkpoints.h"

namespace graft::model {

std::string_view Checkpoint::digest() const {
  const std::string_view name = file;
  return name.substr(name.rfind('-') + 1, 8);
}

const std::vector<Checkpoint>& checkpoints() {
  // ImageNet-1k, torchvision's IMAGENET1K_V1 (torchvision/models/*.py).
  static const std::vector<Checkpoint> kAll = {
      {"resnet18", "resnet18-f37072fd.pth"},
      {"resnet34", "resnet34-b627a593.pth"},
      {"resnet50", "resnet50-0676ba61.pth"},
      {"resnet101", "resnet101-63fe2227.pth"},
      {"vgg11", "vgg11-8a719046.pth"},
      {"vgg13", "vgg13-19584684.pth"},
      {"vgg16", "vgg16-397923af.pth"},
      {"vgg19", "vgg19-dcbb9e9d.pth"},
      {"vgg11_bn", "vgg11_bn-6002323d.pth"},
      {"vgg13_bn", "vgg13_bn-abd245e5.pth"},
      {"vgg16_bn", "vgg16_bn-6c64b313.pth"},
      {"vgg19_bn", "vgg19_bn-c79401a0.pth"},
      {"mobilenet_v2", "mobilenet_v2-b0353104.pth"},
      {"efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth"},
  };
  return kAll;
}

const Checkpoint* checkpoint_of(std::string_view architecture) {
  for (const Checkpoint& checkpoint : checkpoints())
    if (checkpoint.architecture == architecture) return &checkpoint;
  return nullptr;
}

}  // namespace graft::model
