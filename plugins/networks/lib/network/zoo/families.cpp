#include <utility>

#include "cnn.h"
#include "vit.h"

namespace graft::nn::zoo {
namespace {

template <CnnBuild* Build>
std::optional<Published> read(const ModelFiles& files, TensorMap tensors, std::optional<int>) {
  return read_cnn(files, std::move(tensors), Build);
}

}  // namespace

const std::vector<PublishedFamily>& published_families() {
  static const std::vector<PublishedFamily> kAll = {
      {"ViT",
       {"patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight",
        "embeddings.patch_embeddings.weight", "embeddings.patch_embedding.weight", "visual.|conv1.weight",
        "conv_proj.weight"},
       read_vision_transformer,
       vit::all_names,
       "DeiT, DINOv2 with and without registers, DINOv3, the image towers of CLIP and SigLIP, and ViTs of "
       "other sizes such as UNI and Virchow"},
      {"ConvNeXt",
       {"stages.0.blocks.0.conv_dw.weight", "stages.0.0.dwconv.weight", "features.1.0.block.0.weight"},
       read_convnext,
       nullptr,
       "v1, v2, and the ConvNeXt of DINOv3"},
      {"Swin Transformer",
       {"layers.0.blocks.0.attn.relative_position_bias_table",
        "features.1.0.attn.relative_position_bias_table"},
       read<build_swin>},
      {"ResNet, ResNeXt, Wide ResNet, ResNet-D, SE-ResNet", {"layer1.0.conv1.weight"}, read_resnet},
      {"RegNet",
       {"trunk_output.block1.block1-0.f.a.0.weight", "s1.b1.conv1.conv.weight"},
       read<build_regnet>},
      {"EfficientNet", {"features.1.0.block.0.0.weight"}, read<build_efficientnet>},
      {"EfficientNet, MobileNet, MNASNet (timm)", {"conv_stem.weight"}, read<build_timm_efficientnet>},
      {"MobileNet v3", {"features.1.block.0.0.weight"}, read<build_mobilenet_v3>},
      {"MNASNet", {"layers.8.0.layers.0.weight"}, read<build_mnasnet>},
      {"DenseNet",
       {"features.denseblock1.denselayer1.conv1.weight", "features.denseblock1.denselayer1.conv.1.weight"},
       read<build_densenet>},
      {"Inception v3", {"Mixed_5b.branch1x1.conv.weight"}, read<build_inception>},
      {"GoogLeNet", {"inception3a.branch1.conv.weight"}, read<build_googlenet>},
      {"SqueezeNet", {"features.3.squeeze.weight"}, read<build_squeezenet>},
      {"ShuffleNet v2", {"stage2.0.branch1.0.weight"}, read<build_shufflenet>},
      {"MaxViT", {"blocks.0.layers.0.layers.MBconv.layers.conv_a.0.weight"}, read<build_maxvit>},
  };
  return kAll;
}

}  // namespace graft::nn::zoo
