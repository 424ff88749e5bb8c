#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/payload.h>

#include <network/element.h>
#include <network/pickle.h>

namespace graft::nn {

/// A tensor of a state_dict: a view of a storage, which other tensors may share.
struct StoredTensor {
  std::string name;
  const ElementType* type = nullptr;
  std::string storage;            ///< Key.
  std::int64_t storage_size = 0;  ///< Elements.
  Shape shape, strides;           ///< Strides and offset in elements.
  std::int64_t offset = 0;
};

/// The weights of a checkpoint.
struct StateDict {
  std::vector<StoredTensor> tensors;  ///< In the order of the pickle, each within its storage.
  std::string taken;                  ///< Where they were and what was ignored; empty: there is nothing else.
  /// Names of tensors that are no view of a storage, and what they are: "quantised".
  std::vector<std::pair<std::string, std::string>> unusable;
};

/// The weights in a file of torch.save: the root where that is a state_dict, else the one among the dicts
/// below it that is most likely meant. Weights as such come before averaged ones (EMA) and a student; the
/// usual names (`state_dict`, `model`, ...) before others; then the most tensors count. Throws Error without
/// a file name where there are none, where two are equally likely, and for a whole model.
StateDict state_dict_of(const Pickle& pickle);

/// The tensors in the modules of a TorchScript archive, by the names that a state_dict has for them; of a
/// pickle with Attributes::Kept. Throws Error without a file name for one that is none.
StateDict state_dict_of_script(const Pickle& pickle);

/// Whether these tensors are those of CLIP as OpenAI publishes it: as a TorchScript archive, whose code is
/// not needed, because the network is known.
bool is_clip_of_openai(const StateDict& tensors);

/// How likely other weights are meant, by the names that lead to them ("model_ema.module"):
/// 0 the weights, 1 a student beside its teacher, 2 averaged over time (EMA, a momentum encoder).
int role_of(std::string_view path);

}  // namespace graft::nn
