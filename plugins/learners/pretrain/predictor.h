#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <graft/predictor.h>
#include <network/engine.h>
#include <network/normalizer.h>

namespace graft {

/// The network that training ended with, over pixel tables. Immutable; any number of threads.
///
/// `facts` say how to build it again: `architecture`, `width` (null: the network's own), `class_count`,
/// `image_height`, `image_width`, and the resolved parameter `normalize`. They are saved with the weights.
class PretrainPredictor final : public Predictor {
 public:
  /// Throws Error when a fact or a tensor is missing, or a tensor has another shape.
  PretrainPredictor(Value facts, std::map<std::string, Tensor> weights);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  Value facts_;
  std::map<std::string, Tensor> weights_;
  nn::Architecture architecture_;
  Normalizer normalizer_;
  std::unique_ptr<nn::Engine> engine_;
};

/// The architecture that the facts describe. Throws Error when one is missing or they do not fit together.
nn::Architecture architecture_of(const Value& facts);

}  // namespace graft
