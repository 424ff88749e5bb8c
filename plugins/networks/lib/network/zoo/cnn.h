#pragma once

#include <optional>
#include <string>
#include <vector>

#include "builder.h"
#include "tensor_map.h"

namespace graft::nn::zoo {

/// Convolutional networks as they are published: layers have the names of their tensors in the file, and
/// sizes, kernels and groups from their shapes.
class CnnReader {
 public:
  /// `eps`: of batch-norm.
  CnnReader(const std::string& family, TensorMap& tensors, double eps = 1e-5)
      : net(family), map_(tensors), eps_(eps) {}

  /// What is no part of the file is added here.
  Builder net;

  bool has(const std::string& name) const { return map_.has(name); }
  TensorMap& map() const { return map_; }
  /// Convolutions pad as TensorFlow does from here on.
  void pad_as_tensorflow() { padding_rule_ = PaddingRule::Same; }

  /// Padded so that stride 1 keeps the size. `from`: what the tensors are called, where not as the layer.
  /// Throws Error for a weight that is missing or does not go with the channels.
  Layer& conv(const std::string& name, int stride = 1, const std::string& from = "");
  void norm(const std::string& name, const std::string& from = "");
  void act(const std::string& name, Op op) { net.simple(name, op); }
  /// `at`.0, `at`.1 and `at`.2, as torchvision has them.
  void conv_norm_act(const std::string& at, int stride, Op activation);
  void conv_norm(const std::string& at, int stride);
  /// A linear layer of each pixel, whose weight has two axes.
  Layer& pointwise(const std::string& name);
  void layer_norm(const std::string& name, double eps);

  /// A scale per channel, of the channels' means (Hu et al. 2017, arXiv:1709.01507).
  void excitation(const std::string& at, const std::string& reduce, const std::string& expand, Op activation,
                  Op gate);
  /// Convolutions `at`.block.0 and so on, as torchvision has them, with squeeze-and-excitation where there is
  /// one; the last has no activation, unless it is the only one. The first of more than a pixel has the
  /// stride. The block's input is added where the shapes allow it.
  void inverted_residual(const std::string& at, int stride, Op activation, Op squeezed, Op gate);
  /// The sum with an earlier value. Throws Error where the shapes do not allow it.
  void add(const std::string& name, const Builder::Value& in);
  void concat(const std::string& name, const std::vector<Builder::Value>& parts);

  void linear(const std::string& name);
  /// The last layer, a linear one; left out where the file does not have it.
  void classifier(const std::string& name);

 private:
  int bounded(std::int64_t n, const std::string& name) const;
  /// Throws Error that names the tensor's shape.
  [[noreturn]] void misfit(const std::string& name, const Shape& shape, const std::string& wanted) const;

  TensorMap& map_;
  double eps_;
  PaddingRule padding_rule_ = PaddingRule::Fixed;
};

/// What of a file makes a network; nothing for one of another family. May add notes: what was guessed.
using CnnBuild = std::optional<Architecture>(const ModelFiles& files, TensorMap& tensors,
                                             std::vector<std::string>& notes);
CnnBuild build_densenet, build_efficientnet, build_googlenet, build_inception, build_maxvit, build_mnasnet,
    build_mobilenet_v3, build_regnet, build_shufflenet, build_squeezenet, build_swin, build_timm_efficientnet;

/// The model of a family, whose tensors must all be used. Nothing for a network that is known by its name and
/// has no description beside its file, and for one that is more like such a network than of the family;
/// unless it is another one than its tensors show (`may_be_listed`).
std::optional<Published> read_cnn(const ModelFiles& files, TensorMap tensors, CnnBuild* build,
                                  bool may_be_listed = true);

/// The name that config.json has for a model, else that of the file of weights.
std::string architecture_named(const ModelFiles& files);

/// Tensors whose names begin so are of no use here: of classifiers that only training has.
void ignore_below(TensorMap& tensors, const std::string& beginning);

/// From the description beside the file; else as usual, which becomes a note.
Preprocessing cnn_preprocessing(const ModelFiles& files, int resize, int crop, const std::string& filter,
                                std::vector<std::string>& notes);

/// The network itself brings images that were normalised for ImageNet to [-1,1] (`transform_input`, which
/// torchvision sets for the weights that it publishes): the same as this normalisation alone.
void normalise_to_half(Preprocessing& preprocessing, std::vector<std::string>& notes);

}  // namespace graft::nn::zoo
