#pragma once

#include <string>
#include <string_view>

namespace graft::nn {

/// A name from a file for messages and tables: control characters become '?', and what is longer than 200
/// bytes is cut. Letters beyond ASCII stay.
inline std::string printable(std::string_view name) {
  constexpr std::size_t kLongest = 200;
  std::string out;
  for (const char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return name.size() > kLongest ? out + "..." : out;
}

}  // namespace graft::nn
