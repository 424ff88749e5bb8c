#pragma once

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
  Linear,      ///< in, out, bias; of a vector or of each token
  Shortcut,    ///< in, out, stride: every stride-th pixel, zeros for channels that are missing, half of them
               ///< before and half after (He et al. 2015, arXiv:1512.03385, option A)
  Gelu,        ///< x Phi(x), exact
  GeluTanh,    ///< its approximation by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415)
  QuickGelu,   ///< x sigmoid(1.702 x)
  LayerNorm,   ///< out; eps: over the channels at each place of an image, of each token, of a vector
  LayerScale,  ///< out: a factor per channel
  Embed,       ///< out, prefix, grid, positions: [c,h,w] becomes tokens [prefix + h w, c], row by row after
               ///< the class and register tokens, with their positions added
  SwiGlu,      ///< out: [n,2 out] becomes silu(first half) times second half (Shazeer 2020, arXiv:2002.05202)
  Attention,   ///< out, heads: [n,3 out] of queries, keys and values becomes [n,out]. With rope_periods, a
               ///< second input [c,h,w]: the patches whose grid turns queries and keys, under the prefix
  AttentionPool,  ///< out, heads: [n,2 out] of keys and values becomes [out], by one query that is a weight
  TokenMean,      ///< first, count: the mean of these tokens; count 0: of all from there on
  Concat,         ///< channels of images, or vectors, one after the other
  ResponseNorm,   ///< out; eps: global response normalisation (Woo et al. 2023, arXiv:2301.00808)
  HardSigmoid,    ///< min(max(x + 3, 0), 6) / 6
  HardSwish,      ///< x min(max(x + 3, 0), 6) / 6
  WindowAvgPool,  ///< kernel, stride, padding: mean over windows of what is inside of the image; with
                  ///< count_padding, zeros of `padding` count, too
  BlurPool,  ///< stride: means over 3 x 3 pixels by [1,2,1] x [1,2,1] / 16, mirrored at the borders (Zhang
             ///< 2019, arXiv:1904.11486)
  ChannelSlice,    ///< first, out: these channels of an image
  ChannelShuffle,  ///< groups: of g groups of n channels, channel i n + j becomes j g + i (Zhang et al. 2017,
                   ///< arXiv:1707.01083)
  PatchMerge,      ///< [c,h,w] becomes [4c,h/2,w/2], sides rounded up: of every 2 x 2 pixels, upper left,
               ///< lower left, upper right, lower right; zeros outside (Liu et al. 2021, arXiv:2103.14030)
  WindowAttention,  ///< out, heads, kernel, shift, windows: two images, [3 out,H,W] of queries, keys and
                    ///< values, whose sides are multiples of the windows', and one of h x w pixels, of which
                    ///< H x W is what its windows cover; [out,h,w]. With a bias per head and pair of places
                    ///< (ibid.)
  Tanh,             ///< of each value
};

/// How a positional embedding is brought to another grid of patches: by its owner's bicubic interpolation.
enum class PositionRule {
  HuggingFace,  ///< a = -0.75, by size
  Timm,         ///< a = -0.5, antialiased, by size
  Meta,         ///< a = -0.75, by the scale (n + 0.1) / grid: DINOv2 without registers
  OpenClip,     ///< as Timm; but as stored wherever the number of patches fits
  Torchvision,  ///< a = -0.75, corner to corner; square images only
};

/// "huggingface", "timm", ...
const char* to_string(PositionRule rule);

/// What is added around an image for windows.
enum class PaddingRule {
  Fixed,     ///< padding
  Ceil,      ///< pools: padding, and what the last windows need right and below (PyTorch's ceil_mode)
  Same,      ///< Conv, as TensorFlow: the output has ceil(side / stride); the odd pixel is right and below
  Multiple,  ///< Conv: right and below, so that sides are multiples of `size`
};

/// "fixed", "ceil", ...
const char* to_string(PaddingRule rule);

/// How the windows of WindowAttention lie on an image that they do not fill.
enum class WindowRule {
  Torchvision,  ///< padded, then shifted; not along sides that are one window
  Timm,         ///< shifted, then padded; a third input, the image of patches, has sides that decide, over
         ///< `size`, whether there is a shift. A smaller image than a window is refused: timm would make
         ///< another window of it
  Grid,  ///< not next to each other: places of a window are as far apart as there are windows along a side
         ///< (Tu et al. 2022, arXiv:2204.01697); no shift
};

/// "torchvision", "timm", "grid"
const char* to_string(WindowRule rule);

/// "Conv", "BatchNorm", ...
const char* to_string(Op op);

/// Pixels of zero around an image. TensorFlow's `same` is unequal: stride 2 pads right and bottom only.
struct Padding {
  int top = 0, left = 0, bottom = 0, right = 0;
  friend bool operator==(const Padding&, const Padding&) = default;
};

/// Height and width of a window; a number alone is both.
struct Extent {
  int height = 1, width = 1;
  Extent(int side = 1) : height(side), width(side) {}
  Extent(int rows, int columns) : height(rows), width(columns) {}
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// One operation. Its value is known to later layers by its name; the name of a layer with weights is also
/// the path of its tensors: `layer1.0.conv1` has `layer1.0.conv1.weight`.
struct Layer {
  std::string name;
  Op op = Op::Relu;
  std::vector<std::string> from;  ///< Names of earlier layers; "input" is the batch of images [n,3,h,w].
  int in = 0, out = 0;            ///< Channels, or values of a Linear.
  Extent kernel = 1;
  int stride = 1, groups = 1;
  int dilation = 1;  ///< Conv: pixels from one weight of the kernel to the next.
  Padding padding = {};
  PaddingRule padding_rule = PaddingRule::Fixed;
  bool count_padding = false;  ///< WindowAvgPool.
  bool bias = false;
  double eps = 1e-5, momentum = 0.1;
  int size = 1;        ///< AvgPool: height and width of the output; PaddingRule::Multiple, WindowRule::Timm.
  double dropout = 0;  ///< Dropout: probability.
  int heads = 1;       ///< Attention, WindowAttention.
  int prefix = 0;      ///< Embed, Attention: tokens before those of patches.
  /// Embed: the grid that the positional embedding was trained with; 0: it has none.
  int grid_height = 0, grid_width = 0;
  PositionRule positions = PositionRule::Timm;
  std::vector<double> rope_periods = {};  ///< Attention: head / 4 periods; empty: no rotary embedding.
  int first = 0, count = 0;               ///< TokenMean; ChannelSlice: first.
  int shift = 0;                          ///< WindowAttention: pixels, along both sides.
  WindowRule windows = WindowRule::Torchvision;
};

/// A tensor of a layer, by its path in checkpoints.
struct Parameter {
  std::string path;
  Shape shape;
  bool trainable = true;  ///< False for the running mean and variance of a BatchNorm.
  /// Before training; unset: random for a tensor of several axes, 1 for a weight or a variance, else 0.
  std::optional<double> initial = {};
};

/// In the order of PyTorch: weight, bias, running_mean, running_var. Conv: [out,in/groups,kernel];
/// Linear: [out,in]; Embed: prefix [prefix,out], position [grid,out]; LayerScale: gamma [out]. Empty for a
/// layer without weights.
std::vector<Parameter> parameters_of(const Layer& layer);

/// A part that people know by one name: the layers whose names begin with `name` and a dot, the last of which
/// is its value.
struct Block {
  std::string name, type;  ///< "layer2.0", "Bottleneck"
};

using preprocessing::Preprocessing;

/// A network, in the order of computation. Values are images [c,h,w], token sequences [n,d] and vectors [d],
/// each beside the axis of the batch. The last layer is the classifier where there is one.
struct Architecture {
  std::string name;
  std::vector<Layer> layers;
  std::vector<Block> blocks;
  std::string tap;  ///< The layer whose value, [n,features], other tasks start from.
  int features = 0;
  std::string classifier;  ///< Path of the last Linear, also where `classes` is 0 and it is left out.
  int classes = 0;
  /// How its features come from tokens: "cls", "avg", "cls_avg" or "attention"; empty: in another way.
  std::string pool;
  int class_tokens = 0;  ///< Of the tokens in front of the patches: class and distillation token, the first.
  std::optional<Extent> only;  ///< The one size of images that it is for; nothing: any that its layers take.
  Preprocessing preprocessing;

  /// Of the images that it was trained on.
  Extent usual_size() const { return only.value_or(Extent(preprocessing.crop)); }

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
