#pragma once

#include <string>
#include <string_view>

#include <graft/printable.h>

namespace graft::nn {

/// A name from a file for messages and tables: as graft::printable() shows it, and what is longer than 200
/// bytes is cut.
inline std::string printable(std::string_view name) {
  std::size_t end = 200;
  if (name.size() <= end) return graft::printable(name);
  while (end > 196 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U)
    --end;  // not inside a character
  return graft::printable(name.substr(0, end)) + "...";
}

}  // namespace graft::nn
