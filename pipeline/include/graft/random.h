#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <graft/hash.h>

namespace graft {

/// A small random stream that is a pure function of its seeds: the same numbers on every machine, compiler
/// and thread count (the distributions of the standard library are not). Generator: SplitMix64, Steele et al.
/// 2014.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// The stream of one view of one item. Views start at places that have nothing to do with each other: a
  /// start that moves by a multiple of the generator's own step would give the same numbers, shifted.
  Random(std::uint64_t seed, std::string_view key, std::uint32_t view)
      : state_(hash64(key, seed) + kStep + (view == 0 ? 0 : mix(view))) {}

  std::uint64_t next() { return mix(state_ += kStep); }
  /// Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n); n >= 1. Bias below n / 2^64.
  std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
  }
  bool chance(double p) { return uniform() < p; }
  /// Standard normal (Box-Muller, one of the pair).
  double normal() {
    const double u = 1.0 - uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * uniform());
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace graft
