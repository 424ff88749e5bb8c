#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <graft/export.h>

namespace graft {

/// A 128-bit content digest (xxHash3). It names content; it does not protect against an adversary.
struct GRAFT_API Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// 32 lower-case hexadecimal digits.
  std::string hex() const;
  friend bool operator==(const Digest&, const Digest&) = default;
  friend auto operator<=>(const Digest&, const Digest&) = default;
};

/// Digest of `size` bytes. The same on every machine.
GRAFT_API Digest digest(const void* data, std::size_t size);
inline Digest digest(std::string_view text) {
  return digest(text.data(), text.size());
}

/// 64-bit hash of a text with a seed, the same on every machine: for hashed splits and random streams.
GRAFT_API std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0);

}  // namespace graft

/// \cond
template <>
struct std::hash<graft::Digest> {
  std::size_t operator()(const graft::Digest& d) const noexcept { return d.low; }
};
/// \endcond
