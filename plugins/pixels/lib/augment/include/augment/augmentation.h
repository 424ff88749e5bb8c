#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <graft/params.h>
#include <graft/payload.h>

#include <augment/operation.h>

namespace graft::augment {

/// A list of random operations, applied to an image one after the other. Names, meaning and defaults are
/// torchvision's where it has the operation; the pixels are Pillow's.
///
/// The result is a pure function of (image, seed, key, view): the same for any number of threads, in any
/// order, and on any machine, because pixels are computed in integers or in IEEE arithmetic without fused
/// operations. Every operation draws from a stream of its own, named by the operation and how many of the
/// same name stand before it: one more at the end, or one of another name anywhere, leaves the draws of the
/// others as they were. Immutable; any number of threads.
class Augmentation {
 public:
  /// The parameter `operations`, with the names of operations that stand for it when it is left out: values
  /// as in a config, `"flip"` or `{"random_crop": {"padding": 4}}`.
  static ParamSpec parameter(Value::List when_left_out);

  /// Reads `operations` of resolved parameters. Throws Error that leads to the wrong value:
  /// "operations.1.rotate.degrees: expected ...".
  explicit Augmentation(const Params& params);

  /// `view` distinguishes several results of one key: the number of a view, or an epoch. Does not touch the
  /// pixels of `image`; may hand them back. Throws Reject for an image that an operation cannot be applied
  /// to.
  Image apply(const Image& image, std::uint64_t seed, std::string_view key, std::uint32_t view) const;

 private:
  struct Step {
    std::string stream;
    double probability;
    std::unique_ptr<const Operation> operation;
  };

  std::vector<Step> steps_;
};

}  // namespace graft::augment
