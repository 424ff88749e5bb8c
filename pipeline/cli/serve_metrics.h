#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace graft::cli {

/// What a service has done, in the text format of Prometheus (exposition format 0.0.4). Any thread.
class ServeMetrics {
 public:
  /// `route`: of a fixed set, so that clients cannot make series.
  void count_request(const std::string& route, int status, double seconds);
  void count_images(std::size_t predicted, std::size_t rejected);
  /// `waiting`: images that are waiting or being computed now.
  std::string text(std::size_t waiting) const;

 private:
  static constexpr std::array<double, 11> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::array<std::uint64_t, kBounds.size() + 1> seconds_{};  // requests by the bound that they stay below
  double total_seconds_ = 0;
  std::uint64_t predicted_ = 0, rejected_ = 0;
};

}  // namespace graft::cli
