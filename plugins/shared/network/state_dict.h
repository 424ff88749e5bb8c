#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <graft/payload.h>

#include "element.h"
#include "pickle.h"

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

/// The tensors of a pickled state_dict, or of the one below "state_dict" or "model" in a checkpoint, in its
/// order, each of them within its storage. Throws Error without a file name.
std::vector<StoredTensor> tensors_of(const Pickle& pickle);

}  // namespace graft::nn
