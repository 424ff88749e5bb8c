#pragma once

#include <cstdint>
#include <vector>

#include <graft/predictor.h>
#include <network/normalizer.h>

#include "divided_network.h"

namespace graft {

/// A fine-tuned network over pixel tables. Immutable; any number of threads.
///
/// What it saves: `network`, the layers as data, with all weights; or for a TorchScript file that cannot be
/// described `torchscript`, its SHA-256, with the weights that were trained. Beside them
/// `class_count`, `outputs` (the class of each output; a class without one has the score 0), `multi_label`,
/// `image_height`, `image_width`, and the resolved parameter `normalize` without `auto`; in older ones
/// with it, and the `preset` that it stands for.
class FinetunePredictor final : public Predictor {
 public:
  /// `torchscript`: see load_network. Throws Error when a fact or a tensor is missing, or a tensor has
  /// another shape.
  FinetunePredictor(Bundle bundle, const Engines& engines, const std::string& torchscript);

  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override;
  void save(Bundle& bundle) const override;

 private:
  Bundle bundle_;
  LoadedNetwork network_;
  Normalizer normalizer_;
  std::size_t classes_;
  std::vector<std::int32_t> outputs_;
  bool several_labels_;
  int height_, width_;
};

}  // namespace graft
