#pragma once

#include <memory>
#include <string>

#include "run/live_run.h"

namespace graft::cli {

/// Where `graft run --ui` listens.
struct UiAddress {
  std::string host = "127.0.0.1";
  int port = 0;  ///< 0: any that is free.
};
/// "8090", "0.0.0.0:8090", "[::1]:8090"; empty: this machine alone, any port. Throws Error.
UiAddress parse_ui_address(const std::string& text);

/// Shows a run to browsers and to Prometheus while it works, from a few threads of its own. It changes
/// nothing. Without cpp-httplib, the constructor throws Error.
class RunUi {
 public:
  /// Throws Error where it cannot listen.
  RunUi(const LiveRun& live, const UiAddress& address);
  /// Waits for pages that are open to take the end of the run, 3 s at most, and stops.
  ~RunUi();
  RunUi(const RunUi&) = delete;
  RunUi& operator=(const RunUi&) = delete;

  const std::string& url() const { return url_; }

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::string url_;
};

}  // namespace graft::cli
