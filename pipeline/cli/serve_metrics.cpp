#include "serve_metrics.h"

#include <algorithm>

#include <fmt/format.h>

namespace graft::cli {

void ServeMetrics::count_request(const std::string& route, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++seconds_[static_cast<std::size_t>(bound - kBounds.begin())];
  total_seconds_ += seconds;
}

void ServeMetrics::count_images(std::size_t predicted, std::size_t rejected) {
  const std::lock_guard lock(mutex_);
  predicted_ += predicted;
  rejected_ += rejected;
}

std::string ServeMetrics::text(std::size_t waiting) const {
  const std::lock_guard lock(mutex_);
  std::string out =
      "# HELP graft_requests_total Requests that were answered.\n# TYPE graft_requests_total counter\n";
  for (const auto& [key, count] : requests_)
    out +=
        fmt::format("graft_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first, key.second, count);
  out += fmt::format(
      "# HELP graft_images_total Images that were sent.\n# TYPE graft_images_total counter\n"
      "graft_images_total{{outcome=\"predicted\"}} {}\ngraft_images_total{{outcome=\"rejected\"}} {}\n"
      "# HELP graft_queue_images Images that are waiting or being computed.\n# TYPE graft_queue_images "
      "gauge\n"
      "graft_queue_images {}\n"
      "# HELP graft_request_seconds Time from a request to its answer.\n"
      "# TYPE graft_request_seconds histogram\n",
      predicted_, rejected_, waiting);
  std::uint64_t count = 0;
  for (std::size_t b = 0; b < kBounds.size(); ++b)
    out += fmt::format("graft_request_seconds_bucket{{le=\"{}\"}} {}\n", kBounds[b], count += seconds_[b]);
  count += seconds_.back();
  return out + fmt::format(
                   "graft_request_seconds_bucket{{le=\"+Inf\"}} {0}\ngraft_request_seconds_sum {1}\n"
                   "graft_request_seconds_count {0}\n",
                   count, total_seconds_);
}

}  // namespace graft::cli
