#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/predictor.h>
#include <network/engine.h>

#include "probe.h"
#include "unfreezing.h"

namespace graft {

namespace training {
class FrozenPart;
class TrainableNetwork;
}  // namespace training

using Engines = std::function<const nn::EngineService&()>;

/// A backbone with a new linear classifier after it, divided into what comes in front of all that is
/// trained, and the rest. Immutable.
class DividedNetwork {
 public:
  virtual ~DividedNetwork() = default;

  struct TrainedBlock {
    std::string name;
    std::size_t distance = 0;        ///< Blocks from the classifier, from 1 on.
    std::int64_t first_epoch = 0;    ///< It is frozen before.
    std::vector<std::string> paths;  ///< Of its parameters in the trainable part.
  };

  std::size_t features() const { return features_; }  ///< What the classifier gets of an image.
  const std::vector<TrainedBlock>& trained() const { return trained_; }
  /// Nothing of the backbone is trained: its features are all that there is in front.
  bool only_head() const { return trained_.empty(); }

  /// The layers in front; null: there are none.
  virtual std::unique_ptr<training::FrozenPart> frozen_part() const = 0;
  /// The whole backbone as it is: image to features.
  virtual std::unique_ptr<training::FrozenPart> feature_part() const = 0;
  /// The rest, with this classifier, after a dropout layer where `dropout` is not 0.
  virtual std::unique_ptr<training::TrainableNetwork> trainable_part(const LinearHead& head,
                                                                     double dropout) const = 0;
  /// What load_network needs, with weights of the trainable part by path.
  virtual void save(const std::map<std::string, Tensor>& weights, Bundle& bundle) const = 0;
  /// Names the model's content.
  virtual std::string identity() const = 0;

 protected:
  std::size_t features_ = 0;
  std::vector<TrainedBlock> trained_;
};

/// Paths of the classifier's tensors, and of its dropout layer.
extern const char* const kHead;
extern const char* const kHeadDropout;

/// Divides a model, as nn::open_model gives it, by the parameter `unfreeze`, for images of this size and so
/// many outputs. A TorchScript file is read as a described network where that gives the same features; else
/// its own code is trained. Throws Error for a model that does not take such images or gives no features, for
/// blocks that it does not have, and for a TorchScript file that cannot be trained.
std::unique_ptr<DividedNetwork> divide(const nn::Model& model, const Params& params, const Engines& engines,
                                       const std::function<void(const std::string&)>& warn,
                                       std::size_t outputs, int height, int width);

/// A network that was saved, ready to score.
struct LoadedNetwork {
  std::unique_ptr<nn::Engine> engine;            ///< Images to logits, kScoredTogether at a time.
  std::optional<nn::Architecture> architecture;  ///< Nothing: it is a TorchScript file.
};

/// `torchscript`: the file of `model` where that is TorchScript, else empty. A bundle never says which file
/// is opened: it may come from a stranger, and its file from another machine. Throws Error for a tensor or a
/// fact that is missing, and for a TorchScript file that is not there or is another one than was trained.
LoadedNetwork load_network(const Bundle& bundle, const Engines& engines, const std::string& torchscript);

}  // namespace graft
