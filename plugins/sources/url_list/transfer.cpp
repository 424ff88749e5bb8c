#include "transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include <graft/error.h>

#include "s3.h"

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
    if (handle_ == nullptr) throw graft::Error("libcurl cannot be set up: out of memory");
  }
  ~Curl() { curl_easy_cleanup(handle_); }
  Curl(const Curl&) = delete;
  Curl& operator=(const Curl&) = delete;
  CURL* get() const { return handle_; }

 private:
  CURL* handle_ = nullptr;
};

struct Body {
  std::vector<std::uint8_t> bytes;
  std::uint64_t most = 0;
  bool too_large = false;
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
    throw graft::Reject("unreadable",
                        interrupted_ ? "the run was interrupted"
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
};

Request request_for(const std::string& url, const std::string& known_tag) {
  Request out;
  out.url = url;
  if (is_s3(url)) {
    out.s3 = s3_request(url);
    out.url = out.s3->url;
    if (!out.s3->token.empty()) add_header(out.headers, "X-Amz-Security-Token: " + out.s3->token);
  }
  if (!known_tag.empty()) add_header(out.headers, "If-None-Match: " + known_tag);
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
  curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.max_bytes));
  const CURLcode outcome = curl_easy_perform(c);
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, nullptr);
  if (outcome == CURLE_OK && (status < 300 || status == 304)) return {};
  if (outcome == CURLE_ABORTED_BY_CALLBACK) limit.check();
  if (body.too_large || outcome == CURLE_FILESIZE_EXCEEDED)
    throw graft::Reject("too-large",
                        "the file is longer than max_bytes, " + std::to_string(limits.max_bytes));
  if (outcome == CURLE_HTTP_RETURNED_ERROR || outcome == CURLE_OK) {
    std::string text = "the server answers with status " + std::to_string(status);
    if (request.s3) text += in_terms_of_s3(c, *request.s3, status);
    if (status == 404 || status == 410) throw graft::Reject("missing", text);
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
  if (parts == nullptr) throw graft::Error("libcurl cannot be set up: out of memory");
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

Fetched fetch(const std::string& url, const TransferLimits& limits, const std::string& known_tag) {
  thread_local const Curl kCurl;
  const Request request = request_for(url, known_tag);
  Limit limit(limits);
  double backoff = limits.backoff;
  for (int tries = 1;; ++tries, backoff *= 2) {
    limit.check();
    Body body;
    body.most = limits.max_bytes;
    const std::optional<Failure> failure = attempt(kCurl.get(), request, limits, limit, body);
    if (!failure) {
      Fetched out;
      out.tag = header_of(kCurl.get(), "ETag");
      if (out.tag.starts_with("W/")) out.tag.clear();  // says little of the bytes
      long status = 0;
      curl_easy_getinfo(kCurl.get(), CURLINFO_RESPONSE_CODE, &status);
      if (status != 304)
        out.bytes = std::make_shared<const std::vector<std::uint8_t>>(std::move(body.bytes));
      else if (known_tag.empty())
        throw graft::Reject("unreadable",
                            "the server answers with status 304 to a request without a condition");
      return out;
    }
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
    throw graft::Reject("unreadable", text);
  }
}
