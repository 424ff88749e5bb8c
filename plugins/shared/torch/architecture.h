#pragma once

#include <string>
#include <vector>

namespace graft {

/// One operation of a network. Its value is known to later layers by its name; the name of a layer with
/// weights is also the path of its parameters: `layer1.0.conv1` has `layer1.0.conv1.weight`.
struct Layer {
  enum class Op {
    Conv,       ///< in, out, kernel, stride, padding, bias
    BatchNorm,  ///< out channels; eps 1e-5, momentum 0.1
    Relu,
    Add,       ///< two inputs
    MaxPool,   ///< kernel, stride
    Shortcut,  ///< every stride-th pixel; zeros for the channels that are missing (He et al. 2015, option A)
    GlobalPool,  ///< mean over height and width
    Flatten,
    Linear,  ///< in, out, bias
  };

  std::string name;
  Op op = Op::Relu;
  std::vector<std::string> from;  ///< Names of earlier layers; "input" is the batch of images [n,3,h,w].
  int in = 0, out = 0, kernel = 1, stride = 1, padding = 0;
  bool bias = false;
};

/// A network as data, in the order of computation. The last layer is the classifier; `tap` names the layer
/// whose value, [n,features], is what other tasks start from.
struct Architecture {
  std::string name;
  std::vector<Layer> layers;
  std::string tap;
  int features = 0;
  int side = 0;  ///< The only image size that fits, in pixels; 0: any.
};

/// Names that make_architecture knows: resnet8, resnet14, resnet20, lenet.
const std::vector<std::string>& architecture_names();

/// `resnet*`: the CIFAR networks of He et al. 2015 (arXiv:1512.03385, section 4.2): three stages of `width`,
/// 2 `width` and 4 `width` channels, parameters named as in the common PyTorch checkpoints (conv1, bn1,
/// layer1.0.conv1, ..., linear). `lenet`: LeNet-5 with ReLU and max pooling, `width` channels in the first
/// layer, for square images of `side` pixels. Throws Error for another name or an image too small.
Architecture make_architecture(const std::string& name, int width, int classes, int side);

}  // namespace graft
