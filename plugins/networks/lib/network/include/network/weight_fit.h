#pragma once

#include <optional>
#include <string>
#include <vector>

#include <network/architecture.h>
#include <network/weight_file.h>

namespace graft::nn {

/// How well a file's tensors and an architecture go together, by names and shapes alone.
///
/// All names of a network may begin with a prefix, which wrappers add ("module.", "model.", "_orig_mod.") and
/// which is found by looking for the network's own names. The classifier may be any: the tensors of modules
/// that the outputs do not need are neither missing, misshaped nor unexpected. Tensors outside the prefix,
/// and those named like something after or beside a network (a projector, a queue), are ignored. An unknown
/// tensor inside of a module that the outputs need is unexpected: that module computes something else. One of
/// a module that the architecture does not have is a stranger: the user must decide whether the outputs need
/// it. Counters that neither inference nor training needs
/// (`num_batches_tracked`) are left out.
struct Fit {
  struct Shaped {
    std::string name;
    Shape wanted, got;
  };
  std::string prefix;                   ///< In front of all names of the network: "", "module.", ...
  std::vector<std::string> also;        ///< Other prefixes with as much under them, as likely meant.
  std::size_t needed = 0;               ///< Tensors that the outputs need.
  std::size_t fitting = 0;              ///< Tensors of the architecture that the file has, in their shape.
  std::vector<Parameter> missing;       ///< Needed, not in the file.
  std::vector<TensorInfo> unexpected;   ///< In the file, in a module that is needed, not of the architecture.
  std::vector<Shaped> misshaped;        ///< Needed, of another shape.
  std::vector<TensorInfo> passed_over;  ///< In the file, beside the network.
  std::vector<TensorInfo> strangers;    ///< In the file, of no module of the architecture.
  std::vector<TensorInfo> own_classifier;  ///< In the file, in place of the architecture's classifier.

  /// Strangers are not counted.
  bool complete() const { return missing.empty() && unexpected.empty() && misshaped.empty() && also.empty(); }
};

/// Networks that are told apart in one file: each costs time, and no file has so many.
constexpr std::size_t kMostNetworks = 1000;

/// The message, with the path, for a file with more names of this ending: the first of a network's.
std::string too_many_networks(const WeightFile& file, const std::string& ending);

/// `outputs`: the layers whose values are wanted (as resolve_tap takes them); none: the last. Throws Error
/// for a file with the first tensor of the architecture under more than kMostNetworks prefixes.
Fit fit(const Architecture& architecture, const WeightFile& file,
        const std::vector<std::string>& outputs = {});

/// The architecture of a file: the name and the options (classes, width, side) with which most of its tensors
/// fit, and how they fit, up to the tap of the architecture.
struct BestFit {
  Architecture architecture;
  Options options;
  Fit fit;
};

/// Nothing when less than half of the tensors fit any. Throws Error as fit does.
std::optional<BestFit> best_fit(const WeightFile& file);

/// One line about what was used of the file: where the weights were, the prefix, what was ignored; without
/// the path. Empty when the file is the network's state_dict and nothing else.
std::string taken(const Architecture& architecture, const WeightFile& file, const Fit& fit);

}  // namespace graft::nn
