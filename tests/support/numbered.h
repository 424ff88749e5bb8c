#pragma once

#include <cstdint>
#include <string>

#include <graft/hash.h>
#include <graft/item.h>

// What the plugins of numbered.cpp do, for the test that computes it by hand.

namespace graft::test {

struct NumberedInput {
  std::string key;
  Split split;
  int content;
};

/// Every seventh input has the content of the one before it, but a split of its own.
inline NumberedInput numbered_input(int i) {
  const int content = i % 7 == 6 ? i - 1 : i;
  return {std::to_string(i) + "=" + std::to_string(content),
          static_cast<Split>(hash64(std::to_string(i), 1) % 3), content};
}
inline int content_of(const std::string& key) {
  return std::stoi(key.substr(key.find('=') + 1));
}
inline bool refuses(int content, std::uint32_t view, int salt, double share) {
  const std::uint64_t h =
      hash64(std::to_string(content) + "/" + std::to_string(view), static_cast<std::uint64_t>(salt));
  return static_cast<double>(h >> 11) * 0x1p-53 < share;
}
inline float value_of_view(float before, std::uint32_t view) {
  return before * 8 + static_cast<float>(view);
}

}  // namespace graft::test
