#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// How files are fetched.
struct TransferLimits {
  std::uint64_t max_bytes = 0;
  double timeout = 0;  ///< Seconds without a byte, and to connect.
  int retries = 0;     ///< After errors that may pass: no connection, a broken one, status 408, 429 and 5xx.
  double backoff = 0;  ///< Seconds before the first; each later one waits twice as long, at most 60 s.
  double time_limit = 0;               ///< Seconds for a file, with all attempts and the time between them.
  std::function<bool()> keep_waiting;  ///< As in graft::StageContext; may be empty.
};

/// Why a URL cannot be fetched, whatever its server says; empty: it can be tried.
std::string fault_of_url(const std::string& url);

/// Fetches a file over HTTP or HTTPS. Redirections are followed, five at most, never from https to http. A
/// wait that the server asks for (Retry-After, RFC 9110) is kept where it ends within the time limit, and
/// ends the fetch otherwise. Each thread keeps its connections. Any thread. Throws graft::Reject: `missing`
/// (status 404 and 410), `too-large`, `unreadable` with what happened and how often, or that the run was
/// interrupted.
std::shared_ptr<const std::vector<std::uint8_t>> fetch(const std::string& url, const TransferLimits& limits);
