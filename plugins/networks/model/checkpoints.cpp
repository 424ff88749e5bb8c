#include "checkpoints.h"

namespace graft::model {
namespace {

/// A file whose size is known.
Checkpoint exact(const char* architecture, const char* file, const char* sha256, std::uint64_t bytes) {
  return {architecture, file, sha256, bytes, bytes};
}

/// Of the size, what torchvision's documentation says.
Checkpoint about(const char* architecture, const char* file, const char* sha256, std::uint64_t mib) {
  return {architecture, file, sha256, 0, mib << 20};
}

}  // namespace

const std::vector<Checkpoint>& checkpoints() {
  // ImageNet-1k, torchvision's IMAGENET1K_V1 (torchvision/models/*.py). torchvision publishes 32 bits of the
  // SHA-256, in the names. The whole ones are here where projects that do not depend on each other pin the
  // same one.
  static const std::vector<Checkpoint> kAll = {
      exact("resnet18", "resnet18-f37072fd.pth",
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 46'830'571),
      exact("resnet34", "resnet34-b627a593.pth",
            "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 87'319'819),
      exact("resnet50", "resnet50-0676ba61.pth",
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 102'530'333),
      about("resnet101", "resnet101-63fe2227.pth",
            "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a", 171),
      about("vgg11", "vgg11-8a719046.pth", "", 507),
      about("vgg13", "vgg13-19584684.pth", "", 508),
      exact("vgg16", "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            553'433'881),
      exact("vgg19", "vgg19-dcbb9e9d.pth", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
            574'673'361),
      about("vgg11_bn", "vgg11_bn-6002323d.pth", "", 507),
      about("vgg13_bn", "vgg13_bn-abd245e5.pth", "", 508),
      exact("vgg16_bn", "vgg16_bn-6c64b313.pth",
            "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", 553'507'836),
      exact("vgg19_bn", "vgg19_bn-c79401a0.pth",
            "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6", 574'769'405),
      about("mobilenet_v2", "mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889", 14),
      exact("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth",
            "7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934", 21'444'401),
  };
  return kAll;
}

const Checkpoint* checkpoint_of(std::string_view architecture) {
  for (const Checkpoint& checkpoint : checkpoints())
    if (checkpoint.architecture == architecture) return &checkpoint;
  return nullptr;
}

}  // namespace graft::model
