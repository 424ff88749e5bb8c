#pragma once

#include <string>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/params.h>
#include <network/engine.h>

#include "pooling.h"

/// A parameter that contradicts the network or another one.
class TapError : public graft::Error {
 public:
  TapError(std::string param, const std::string& text) : Error(text), param_(std::move(param)) {}
  const std::string& param() const { return param_; }

 private:
  std::string param_;
};

/// What is taken of a network, by `taps`, `concatenate`, `last_blocks` and `pool`, and what becomes of it.
struct TapPlan {
  std::vector<std::string> needed;  ///< Layers of the network whose weights are read.
  std::vector<std::string> taps;    ///< Layers whose values an engine gives; of them, `normed` are added.
  std::vector<std::pair<std::string, std::string>> normed;  ///< A tap, and the layer whose tokens it norms.
  std::vector<Pooling> pooling;                             ///< Parallel to taps.
  bool one_row = false;                                     ///< All values together are one row.

  /// Adds the layers that `normed` names, with weights where there are some.
  void extend(graft::nn::Architecture& network, std::map<std::string, graft::Tensor>* weights) const;
};

/// For a described network. Throws TapError for a layer that is not there, and for a pooling that the value
/// of a layer does not have: what was wanted, what the network has. With `faults`, every layer that is not
/// there goes there instead, and the plan is not to be used.
TapPlan plan_taps(const graft::Params& params, const graft::nn::Architecture& network,
                  std::vector<TapError>* faults = nullptr);

/// For a TorchScript file, whose layers are not known: the names as they are.
TapPlan plan_taps(const graft::Params& params);
