#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <graft/payload.h>
#include <preprocessing/preprocessing.h>

namespace graft::nn {

// Networks as data. The folder, in the order that a model meets it: `architecture` names the layers, `zoo/`
// has one file per family that makes them, `cost` infers shapes and counts, `weight_file` opens what others
// have trained, `bind` brings the two together. No tensor library is used here: modules, engines and tables
// are made from this description by others.

using graft::to_string;  // of a Shape, beside those below

enum class Op {
  Conv,       ///< in, out, kernel, stride, padding, groups, bias; cross-correlation, zeros outside
  BatchNorm,  ///< out; eps, momentum (of the new value, as PyTorch counts it)
  Relu,       ///< max(x, 0)
  Relu6,      ///< min(max(x, 0), 6)
  Silu,       ///< x sigmoid(x)
  Sigmoid,    ///< 1 / (1 + exp(-x))
  Add,        ///< two inputs of one shape
  Mul,        ///< [c,h,w] times [c,1,1]: the scale of squeeze-and-excitation
  MaxPool,    ///< kernel, stride, padding; windows that leave the image count only what is inside
  AvgPool,  ///< mean over windows [floor(i h / size), ceil((i + 1) h / size)): any image becomes size x size
  GlobalPool,  ///< mean over height and width: [c,1,1]
  Flatten,     ///< [c,h,w] becomes [c h w]
  Dropout,     ///< dropout: the probability of zero; nothing at inference
  Linear,      ///< in, out, bias
  Shortcut,    ///< in, out, stride: every stride-th pixel, zeros for channels that are missing, half of them
               ///< before and half behind (He et al. 2015, arXiv:1512.03385, option A)
};

/// "Conv", "BatchNorm", ...
const char* to_string(Op op);

/// Pixels of zero around an image. TensorFlow's `same` is unequal: stride 2 pads right and bottom only.
struct Padding {
  int top = 0, left = 0, bottom = 0, right = 0;
  friend bool operator==(const Padding&, const Padding&) = default;
};

/// One operation. Its value is known to later layers by its name; the name of a layer with weights is also
/// the path of its tensors: `layer1.0.conv1` has `layer1.0.conv1.weight`.
struct Layer {
  std::string name;
  Op op = Op::Relu;
  std::vector<std::string> from;  ///< Names of earlier layers; "input" is the batch of images [n,3,h,w].
  int in = 0, out = 0;            ///< Channels, or values of a Linear.
  int kernel = 1, stride = 1, groups = 1;
  Padding padding = {};
  bool bias = false;
  double eps = 1e-5, momentum = 0.1;
  int size = 1;        ///< AvgPool: height and width of the output.
  double dropout = 0;  ///< Dropout: probability.
};

/// A tensor of a layer, by its path in checkpoints.
struct Parameter {
  std::string path;
  Shape shape;
  bool trainable = true;  ///< False for the running mean and variance of a BatchNorm.
};

/// In the order of PyTorch: weight, bias, running_mean, running_var. Conv: [out,in/groups,kernel,kernel];
/// Linear: [out,in]. Empty for a layer without weights.
std::vector<Parameter> parameters_of(const Layer& layer);

/// A part that people know by one name: the layers whose names begin with `name` and a dot, the last of which
/// is its value.
struct Block {
  std::string name, type;  ///< "layer2.0", "Bottleneck"
};

using preprocessing::Preprocessing;

/// A network, in the order of computation. The last layer is the classifier where there is one.
struct Architecture {
  std::string name;
  std::vector<Layer> layers;
  std::vector<Block> blocks;
  std::string tap;  ///< The layer whose value, [n,features], other tasks start from.
  int features = 0;
  std::string classifier;  ///< Path of the last Linear, also where `classes` is 0 and it is left out.
  int classes = 0;
  Preprocessing preprocessing;

  /// Null when no layer has that name.
  const Layer* find(std::string_view layer) const;
};

/// Larger makes no network that anybody trains, and would overflow what counts it.
constexpr int kMaxWidth = 4096, kMaxClasses = 10'000'000, kMaxSide = 16384;

/// What can be chosen; unset: what the published weights have.
struct Options {
  std::optional<int> classes;  ///< 0: without the classifier.
  /// Channels of the first layer; only of the networks for small images: has_width().
  std::optional<int> width;
  /// Height and width of the images, in pixels: what is resized and cropped to, in the published proportion.
  /// The layers of lenet depend on it, of no other network.
  std::optional<int> side;
};

/// Every name that make_architecture knows, family by family.
const std::vector<std::string>& architecture_names();

/// Whether `Options::width` may be given.
bool has_width(std::string_view name);

/// Throws Error for another name (with the nearest), and for options that the network cannot have.
Architecture make_architecture(const std::string& name, const Options& options = {});

/// The layer whose value a user means by a name as torchvision's modules have it: a layer ("layer1.0.conv1"),
/// or anything that layers' names begin with ("layer1", "layer1.0", "features"), which means the last of
/// them. Throws Error with the nearest name and what can be tapped.
std::string resolve_tap(const Architecture& architecture, const std::string& name);

/// The same network with only the layers that the named ones need; none named: the last layer. Throws Error
/// for an unknown name.
Architecture reduced_to(const Architecture& architecture, const std::vector<std::string>& outputs);

}  // namespace graft::nn
