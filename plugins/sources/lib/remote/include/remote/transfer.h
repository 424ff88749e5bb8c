#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <remote/fetch_cache.h>

namespace graft::remote {

/// How files are fetched; see transfer_settings.h for the parameters.
struct TransferLimits {
  std::uint64_t max_bytes = 0;  ///< Of a whole file.
  double timeout = 0;           ///< Seconds without a byte, and to connect.
  int retries = 0;     ///< After errors that may pass: no connection, a broken one, status 408, 429 and 5xx.
  double backoff = 0;  ///< Seconds before the first; each later one waits twice as long, at most 60 s.
  double time_limit = 0;  ///< Seconds for a file or a range, with all attempts and the time between them.
  std::function<bool()> keep_waiting;  ///< As in graft::StageContext; may be empty.
};

/// Why a URL cannot be fetched, whatever its server says; empty: it can be tried.
std::string fault_of_url(const std::string& url);

struct Fetched {
  FetchedBytes bytes;  ///< Null: the content is still the one of the known tag.
  std::string tag;     ///< The server's ETag, where it is a strong one.
};

/// Fetches a file over HTTP or HTTPS, or an object of S3 ("s3://BUCKET/KEY", see s3.h). Redirections are
/// followed, five at most, never from https to http, and none of S3's, whose requests are signed for one
/// host. A wait that the server asks for (Retry-After, RFC 9110) is kept where it ends within the time limit,
/// and ends the fetch otherwise. `known_tag`: of a content that is there already. Each thread keeps its
/// connections. Any thread. Throws graft::Reject: `missing` (status 404 and 410), `too-large`, `unreadable`
/// with what happened and how often, or that the run was interrupted.
Fetched fetch(const std::string& url, const TransferLimits& limits, const std::string& known_tag = {});

/// What tells one content of a URL from another.
struct FileVersion {
  std::uint64_t size = 0;
  std::string tag;       ///< The server's ETag, where it is a strong one,
  std::string modified;  ///< or else its Last-Modified.
};

struct FetchedRange {
  std::uint64_t begin = 0;
  FetchedBytes bytes;  ///< From `begin` on: those asked for or fewer, at least one; none of an empty file.
  FileVersion version;
};

/// What is held of a file whose server does not know ranges.
constexpr std::uint64_t kMostWithoutRanges = std::uint64_t{64} << 20;

/// Fetches `size` bytes from `begin` on (RFC 9110, range requests), or what the file has of them. A server
/// that answers with the whole file is taken at that where it has no more than kMostWithoutRanges bytes.
/// `known`: what the file was before; null: nothing is known of it. Everything else is as for fetch. Throws
/// graft::FatalError, which does not name it, where the file is another one by now, and Reject `unreadable`
/// also for an answer that is not the range that was asked for, and for a server that gives neither a strong
/// ETag nor Last-Modified.
FetchedRange fetch_range(const std::string& url, std::uint64_t begin, std::uint64_t size,
                         const TransferLimits& limits, const FileVersion* known);

}  // namespace graft::remote
