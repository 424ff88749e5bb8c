#pragma once

// For tests: operations from a config's text, and images to apply them to.

#include <cstdint>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/random.h>

#include <augment/augmentation.h>

namespace graft::augment {

/// `operations` is JSON: `["flip", {"rotate": {"degrees": 10}}]`. Throws Error with the first error.
inline Augmentation make_augmentation(const std::string& operations) {
  std::vector<ParamFault> faults;
  const Params params(resolve({Augmentation::parameter({})},
                              Value::from_json("{\"operations\": " + operations + "}"), faults));
  if (!faults.empty()) throw Error(faults[0].text);
  return Augmentation(params);
}

inline Image noise(int width, int height, std::uint64_t seed = 1) {
  Random random(seed);
  Image image = Image::allocate(width, height);
  for (std::size_t i = 0; i < image.bytes(); ++i)
    image.data[i] = static_cast<std::uint8_t>(random.below(256));
  return image;
}

}  // namespace graft::augment
