#pragma once

#include <memory>
#include <vector>

#include <graft/params.h>
#include <graft/payload.h>
#include <graft/random.h>

namespace graft::augment {

/// One random change of an image. Immutable; any number of threads.
class Operation {
 public:
  virtual ~Operation() = default;
  /// Does not touch the pixels of `image`, which others share; may hand them back. All randomness comes from
  /// `random`. Throws Reject for an image that it cannot be applied to.
  virtual Image apply(const Image& image, Random& random) const = 0;
};

/// A kind of operation: the declaration of its parameters, and how one is made from them.
struct OperationType {
  /// An object. Its name is the operation's; a member `p` is the probability that the operation is applied,
  /// which Augmentation sees to.
  ParamSpec spec;
  /// `params`: resolved members of `spec`. Throws Error that begins with the name of the wrong member.
  std::unique_ptr<Operation> (*make)(const Params& params);
};

/// OperationType::make for a class that is constructed from its parameters.
template <typename Made>
std::unique_ptr<Operation> make(const Params& params) {
  return std::make_unique<Made>(params);
}

std::vector<OperationType> crop_operations();    // random_resized_crop, random_crop, cutout
std::vector<OperationType> warp_operations();    // flip, vertical_flip, rotate, affine
std::vector<OperationType> colour_operations();  // color_jitter, grey, blur
std::vector<OperationType> rand_augment_operations();

}  // namespace graft::augment
