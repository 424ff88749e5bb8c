#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "architecture.h"
#include "weight_file.h"

namespace graft::nn {

/// How well a file's tensors and an architecture go together, by names and shapes alone. Names may begin with
/// "module.", which torch.nn.DataParallel adds; `num_batches_tracked` is nothing that inference or training
/// here needs, and is left out.
struct Fit {
  struct Shaped {
    std::string name;
    Shape wanted, got;
  };
  std::size_t fitting = 0;             ///< Tensors of the architecture that the file has, in their shape.
  std::vector<Parameter> missing;      ///< Needed, not in the file.
  std::vector<TensorInfo> unexpected;  ///< In the file, not of the architecture.
  std::vector<Shaped> misshaped;       ///< Needed, of another shape.

  bool complete() const { return missing.empty() && unexpected.empty() && misshaped.empty(); }
};

/// `outputs`: the layers whose values are wanted (as resolve_tap takes them); none: the last. Tensors of
/// layers that they do not need are neither missing nor misshaped; nor is a classifier unexpected where the
/// architecture was made without.
Fit fit(const Architecture& architecture, const WeightFile& file,
        const std::vector<std::string>& outputs = {});

/// The architecture of a file: the name and the options (classes, width, side) with which most of its tensors
/// fit, and how they fit.
struct BestFit {
  Architecture architecture;
  Options options;
  Fit fit;
};

/// Nothing when less than half of the tensors fit any.
std::optional<BestFit> best_fit(const WeightFile& file);

/// Trained tensors by the path of the parameter (`layer1.0.conv1.weight`), float32, for every layer that the
/// outputs need. Throws Error with the path of the file, in one message for all that does not fit, naming the
/// architecture that fits better where there is one; and for values that are not finite.
std::map<std::string, Tensor> bind(const Architecture& architecture, const WeightFile& file,
                                   const std::vector<std::string>& outputs = {});

}  // namespace graft::nn
