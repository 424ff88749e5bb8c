#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <network/architecture.h>
#include <network/finding.h>
#include <network/model_files.h>
#include <network/weight_file.h>

namespace graft::nn {

/// How a note about a guess begins.
constexpr std::string_view kGuessed = "guessed: ";

/// A model of a family whose sizes stand in its files: of networks such as a ViT there is no list.
struct Published {
  Architecture architecture;
  /// Its tensors by the paths that the architecture has for them, made of those of the file.
  std::unique_ptr<WeightFile> weights;
  std::vector<Finding> findings;
  /// What was guessed and what is not used, a line each, for the user to see before a run.
  std::vector<std::string> notes;
  std::vector<std::string> unused;  ///< Tensors of the network's part of the file that nothing was made of.
  std::string prefix;               ///< In front of all names: "module.".
};

/// A family of networks whose sizes are in their files, and the tensors by which its files are known: endings
/// of names.
struct PublishedFamilyName {
  std::string name;
  std::vector<std::string> marks;
  std::string members;  ///< Networks that are of it and are called otherwise; or empty.
};
std::vector<PublishedFamilyName> published_families();

/// For the error about weights of no network that graft knows: the nearest family, how much of the file fits
/// it and what does not, without the path.
std::string nearest_family(const WeightFile& file);

/// Finds out which family a model is of, by the names of its tensors, and takes sizes from their shapes and
/// from the files beside them. `heads`: of attention, where nothing in the files tells; 0: it does not matter
/// here. Nothing for a model of no such family. Throws Error for files that contradict each other, for
/// tensors that are missing or of another shape, and where the number of heads is unknown. Tensors are not
/// read, but for a few small ones.
///
/// An ONNX model is a network of its own: it is made of graft's operations, for one image.
std::optional<Published> open_published(const ModelFiles& files, std::optional<int> heads = {});

/// How far an ONNX model's network is from its graph, which is evaluated operator by operator, for an image
/// of noise: the largest difference as a fraction of max(1, the largest value). Nothing for another model.
/// Slow for large networks.
std::optional<double> difference_from_graph(const ModelFiles& files, const Published& model);

}  // namespace graft::nn
