#include <remote/transfer.h>

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <graft/error.h>
#include <graft/text.h>
#include <remote/s3.h>

namespace graft::remote {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr long kMostRedirections = 5;
constexpr double kLongestBackoff = 60;

/// "0.5 s".
std::string in_seconds(double seconds) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, seconds).ptr) + " s";
}

/// A handle with its connections; libcurl allows one thread at a time for each.
class Curl {
 public:
  Curl() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_ = curl_easy_init();
    if (handle_ == nullptr) throw Error("libcurl cannot be set up: out of memory");
  }
  ~Curl() { curl_easy_cleanup(handle_); }
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;
  CURL* get() const { return handle_; }

 private:
  CURL* handle_ = nullptr;
};

/// The status of the last answer.
long status_of(CURL* c) {
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

/// The length that the last answer announces; 0 or less: none.
curl_off_t announced_by(CURL* c) {
  curl_off_t bytes = 0;
  curl_easy_getinfo(c, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
  return bytes;
}

struct Body {
  std::vector<std::uint8_t> bytes;
  std::uint64_t most = 0;    ///< More is not taken.
  CURL* range_of = nullptr;  ///< A range was asked for with this handle.
  bool too_large = false;
};

/// A part of a file, in bytes.
struct Range {
  std::uint64_t begin = 0, size = 0;
  /// As in the header Range.
  std::string text() const { return std::to_string(begin) + "-" + std::to_string(begin + size - 1); }
};

/// What ends a fetch before its server does.
class Limit {
 public:
  explicit Limit(const TransferLimits& limits)
      : limits_(limits),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(limits.time_limit))) {}

  double seconds_left() const { return Seconds(end_ - Clock::now()).count(); }
  bool ends_the_fetch() {
    if (limits_.keep_waiting && !limits_.keep_waiting()) interrupted_ = true;
    return interrupted_ || seconds_left() <= 0;
  }
  /// Throws Reject where it has ended the fetch.
  void check() {
    if (!ends_the_fetch()) return;
    throw Reject("unreadable", interrupted_
                                   ? "the run was interrupted"
                                   : "not complete within time_limit, " + in_seconds(limits_.time_limit));
  }
  void wait(double seconds) {
    const double until = seconds_left() - seconds;
    for (double left = seconds; left > 0; left = seconds_left() - until) {
      check();
      std::this_thread::sleep_for(Seconds(std::min(left, 0.1)));
    }
  }

 private:
  const TransferLimits& limits_;
  const Clock::time_point end_;
  bool interrupted_ = false;
};

/// Called by libcurl about once a second, and when bytes come.
int go_on_unless_ended(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Limit*>(self)->ends_the_fetch() ? 1 : 0;
}

std::size_t take_some(char* data, std::size_t, std::size_t size, void* self) {
  auto& body = *static_cast<Body*>(self);
  if (body.range_of != nullptr && body.bytes.empty()) {
    const long status = status_of(body.range_of);
    const curl_off_t announced = announced_by(body.range_of);
    if (status != 200 && status != 206) return size;  // text for people
    if (status == 200) body.most = kMostWithoutRanges;
    // Before gigabytes that nobody asked for are on their way.
    if (announced > 0 && static_cast<std::uint64_t>(announced) > body.most) {
      body.too_large = true;
      return 0;
    }
  }
  if (size > body.most - body.bytes.size()) {
    body.too_large = true;
    return 0;
  }
  body.bytes.insert(body.bytes.end(), data, data + size);
  return size;
}

/// Why an attempt failed, and whether another one may not.
struct Failure {
  std::string text;
  bool may_pass = false;
  double retry_after = 0;  ///< Seconds that the server asks for.
};

using HeaderList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

void add_header(HeaderList& list, const std::string& line) {
  curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

/// The value of a header of the last answer; empty where it has none.
std::string header_of(CURL* c, const char* name) {
  curl_header* header = nullptr;
  return curl_easy_header(c, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : "";
}

/// What a request says beside its URL.
struct Request {
  std::string url;
  HeaderList headers{nullptr, curl_slist_free_all};
  std::optional<S3Request> s3;
  std::optional<Range> range;
};

Request request_for(const std::string& url) {
  Request out;
  out.url = url;
  if (is_s3(url)) {
    out.s3 = s3_request(url);
    out.url = out.s3->url;
    // SHA-256 of no body: S3 refuses signed requests without it, and libcurl 7.88 does not send it by itself.
    if (!out.s3->signature.empty())
      add_header(out.headers,
                 "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    if (!out.s3->token.empty()) add_header(out.headers, "X-Amz-Security-Token: " + out.s3->token);
  }
  return out;
}

/// What a status of an object of S3 means, for people.
std::string in_terms_of_s3(CURL* c, const S3Request& s3, long status) {
  if (status >= 300 && status < 400) {
    const std::string region = header_of(c, "x-amz-bucket-region");
    return region.empty() ? "; the bucket is elsewhere: set AWS_REGION or AWS_ENDPOINT_URL"
                          : "; the bucket is in the region " + region + ": set AWS_REGION";
  }
  if (status == 403 || status == 401)
    return s3.signature.empty() ? "; the object is not public, or there is none: set AWS_ACCESS_KEY_ID and "
                                  "AWS_SECRET_ACCESS_KEY"
                                : "; the key in AWS_ACCESS_KEY_ID may not read it, has another secret, or "
                                  "there is no such object";
  return {};
}

/// Why what came is not too large for nothing.
std::string without_ranges(CURL* c, const Range& range, long status) {
  if (status == 206)
    return "the server answers a request for bytes " + range.text() + " with more than these";
  const curl_off_t announced = announced_by(c);
  return "the server does not give ranges of it (status 200 to a request for bytes " + range.text() +
         "), and it has " +
         (announced > 0 ? std::to_string(announced) + " bytes, more than" : std::string("more than")) +
         " the " + std::to_string(kMostWithoutRanges) +
         " that are held in memory then; download it, or put it on a server that knows ranges";
}

/// "bytes 0-99/1234": begin, end (99) and the size of the file.
struct ContentRange {
  std::uint64_t begin = 0, last = 0, total = 0;
};
std::optional<ContentRange> content_range_from(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return {};
  text.remove_prefix(kUnit.size());
  ContentRange out;
  for (auto [number, end] : {std::pair{&out.begin, '-'}, {&out.last, '/'}, {&out.total, '\0'}}) {
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    if (error != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(at - text.data()));
    if (end == '\0') break;
    if (!text.starts_with(end)) return {};
    text.remove_prefix(1);
  }
  // Sums and products of sizes must stay numbers; no store has such a file.
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 50;
  if (!text.empty() || out.begin > out.last || out.last >= out.total || out.total > kLargest) return {};
  return out;
}

/// Whether an answer is the range, or the whole file; another attempt may do better where bytes are missing.
std::optional<Failure> fault_of_range(CURL* c, const Range& range, long status, const Body& body) {
  if (status == 200 || status >= 300) return {};
  if (status != 206)
    return Failure{
        "the server answers a request for bytes " + range.text() + " with status " + std::to_string(status),
        false, 0};
  const std::string text = header_of(c, "Content-Range");
  const auto got = content_range_from(text);
  if (!got || got->begin != range.begin || got->last > range.begin + range.size - 1)
    return Failure{"the server answers a request for bytes " + range.text() + " with " +
                       (text.empty() ? "no Content-Range" : "the Content-Range '" + shortened(text) + "'"),
                   false, 0};
  const std::uint64_t bytes = got->last - got->begin + 1;
  if (body.bytes.size() != bytes)
    return Failure{"the server announces " + std::to_string(bytes) + " bytes (Content-Range: " + text +
                       ") and sends " + std::to_string(body.bytes.size()),
                   true, 0};
  return {};
}

std::optional<Failure> attempt(CURL* c, const Request& request, const TransferLimits& limits, Limit& limit,
                               Body& body) {
  const std::string& url = request.url;
  std::array<char, CURL_ERROR_SIZE> why{};
  curl_easy_reset(c);  // connections stay
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, request.headers.get());
  if (request.s3) {
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);  // a key may have "." and ".." in it
    if (!request.s3->signature.empty()) {
      curl_easy_setopt(c, CURLOPT_AWS_SIGV4, request.s3->signature.c_str());
      curl_easy_setopt(c, CURLOPT_USERNAME, request.s3->id.c_str());
      curl_easy_setopt(c, CURLOPT_PASSWORD, request.s3->secret.c_str());
    }
  }
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, request.s3 ? 0L : 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, kMostRedirections);
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.timeout * 1000));
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(limits.timeout)));
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, go_on_unless_ended);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &limit);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "graft");
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why.data());
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_some);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &body);
  const std::string range = request.range ? request.range->text() : "";
  if (request.range) {
    body.range_of = c;
    curl_easy_setopt(c, CURLOPT_RANGE, range.c_str());
  } else {
    curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.max_bytes));
  }
  const CURLcode outcome = curl_easy_perform(c);
  const long status = status_of(c);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, nullptr);
  if (outcome == CURLE_OK && request.range)
    if (std::optional<Failure> fault = fault_of_range(c, *request.range, status, body)) return fault;
  if (outcome == CURLE_OK && (status < 300 || (status == 304 && !request.range))) return {};
  if (outcome == CURLE_ABORTED_BY_CALLBACK) limit.check();
  if (body.too_large && request.range) return Failure{without_ranges(c, *request.range, status), false, 0};
  if (body.too_large || outcome == CURLE_FILESIZE_EXCEEDED)
    throw Reject("too-large", "the file is longer than max_bytes, " + std::to_string(limits.max_bytes));
  if (outcome == CURLE_HTTP_RETURNED_ERROR || outcome == CURLE_OK) {
    if (request.range && (status == 412 || status == 416)) return {};  // the caller knows what that means
    std::string text = "the server answers with status " + std::to_string(status);
    if (request.s3) text += in_terms_of_s3(c, *request.s3, status);
    if (status == 404 || status == 410) throw Reject("missing", text);
    curl_off_t retry_after = 0;
    curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry_after);
    return Failure{text, status == 408 || status == 429 || status >= 500, static_cast<double>(retry_after)};
  }
  const bool for_ever = outcome == CURLE_UNSUPPORTED_PROTOCOL || outcome == CURLE_URL_MALFORMAT ||
                        outcome == CURLE_TOO_MANY_REDIRECTS || outcome == CURLE_PEER_FAILED_VERIFICATION;
  return Failure{why[0] != '\0' ? why.data() : curl_easy_strerror(outcome), !for_ever, 0};
}

}  // namespace

std::string fault_of_url(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parts(curl_url(), curl_url_cleanup);
  if (parts == nullptr) throw Error("libcurl cannot be set up: out of memory");
  if (is_s3(url)) return fault_of_s3_url(url);
  if (!url.starts_with("http://") && !url.starts_with("https://"))
    return "expected a URL that begins with http://, https:// or s3://";
  if (const CURLUcode fault = curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0); fault != CURLUE_OK)
    return std::string("expected a URL as a browser shows it, with %20 for a space (") +
           curl_url_strerror(fault) + ")";
  char* user = nullptr;
  const bool has_user = curl_url_get(parts.get(), CURLUPART_USER, &user, 0) == CURLUE_OK;
  curl_free(user);
  return has_user ? "a user or a password in a URL would be in every result: leave it out" : "";
}

namespace {

/// Asks until there is an answer, as long as the limits allow. Gives the handle, which has its headers.
CURL* perform(const Request& request, const TransferLimits& limits, Body& body) {
  thread_local const Curl kCurl;
  Limit limit(limits);
  double backoff = limits.backoff;
  for (int tries = 1;; ++tries, backoff *= 2) {
    limit.check();
    body = {};
    body.most = request.range ? request.range->size : limits.max_bytes;
    const std::optional<Failure> failure = attempt(kCurl.get(), request, limits, limit, body);
    if (!failure) return kCurl.get();
    const double wait = std::max(std::min(backoff, kLongestBackoff), failure->retry_after);
    const bool too_late = wait >= limit.seconds_left();
    if (failure->may_pass && tries <= limits.retries && !too_late) {
      limit.wait(wait);
      continue;
    }
    std::string text = failure->text + (tries == 1 ? "" : " (tried " + std::to_string(tries) + " times)");
    if (failure->may_pass && tries <= limits.retries)
      text += "; the next attempt, " + in_seconds(wait) + " later, would be beyond time_limit, " +
              in_seconds(limits.time_limit);
    throw Reject("unreadable", text);
  }
}

/// The ETag of the last answer; empty for a weak one, which says little of the bytes.
std::string strong_tag(CURL* c) {
  std::string tag = header_of(c, "ETag");
  return tag.starts_with("W/") ? "" : tag;
}

[[noreturn]] void has_changed(const std::string& how) {
  throw FatalError("the file was changed while it was in use (" + how +
                   "); run again when it stays as it is");
}

void require_same(const FileVersion& known, const FileVersion& now) {
  const auto compare = [&](const char* what, const std::string& before, const std::string& after) {
    if (before != after)
      has_changed(std::string(what) + " " + before + " before, " + (after.empty() ? "none" : after) + " now");
  };
  compare("ETag", known.tag, now.tag);
  if (known.tag.empty()) compare("Last-Modified", known.modified, now.modified);
  compare("size", std::to_string(known.size), std::to_string(now.size));
}

}  // namespace

Fetched fetch(const std::string& url, const TransferLimits& limits, const std::string& known_tag) {
  Request request = request_for(url);
  if (!known_tag.empty()) add_header(request.headers, "If-None-Match: " + known_tag);
  Body body;
  CURL* const c = perform(request, limits, body);
  Fetched out;
  out.tag = strong_tag(c);
  if (status_of(c) != 304)
    out.bytes = std::make_shared<const std::vector<std::uint8_t>>(std::move(body.bytes));
  else if (known_tag.empty())
    throw Reject("unreadable", "the server answers with status 304 to a request without a condition");
  return out;
}

FetchedRange fetch_range(const std::string& url, std::uint64_t begin, std::uint64_t size,
                         const TransferLimits& limits, const FileVersion* known) {
  Request request = request_for(url);
  request.range = Range{begin, size};
  // Some servers would compress on the way, and ranges would be of that.
  add_header(request.headers, "Accept-Encoding: identity");
  if (known != nullptr)
    add_header(request.headers,
               known->tag.empty() ? "If-Unmodified-Since: " + known->modified : "If-Match: " + known->tag);
  Body body;
  CURL* const c = perform(request, limits, body);
  const long status = status_of(c);
  if (status == 412 || status == 416) {
    if (known != nullptr)
      has_changed("the server answers with status " + std::to_string(status) + " to a request for bytes " +
                  request.range->text() + " of it");
    throw Reject("unreadable", "the server answers with status " + std::to_string(status) +
                                   " to a request for bytes " + request.range->text() +
                                   "; an empty file has none");
  }
  FetchedRange out;
  out.version.tag = strong_tag(c);
  if (out.version.tag.empty()) out.version.modified = header_of(c, "Last-Modified");
  if (out.version.tag.empty() && out.version.modified.empty())
    throw Reject(
        "unreadable",
        "the server gives neither a strong ETag nor Last-Modified, so that nobody would see it change "
        "while it is read; download it, or put it on a server that gives one");
  out.version.size = body.bytes.size();
  if (status == 206) {
    out.begin = begin;
    out.version.size = content_range_from(header_of(c, "Content-Range"))->total;
  }
  if (known != nullptr) require_same(*known, out.version);
  out.bytes = std::make_shared<const std::vector<std::uint8_t>>(std::move(body.bytes));
  return out;
}

}  // namespace graft::remote
