#include "transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include <graft/error.h>

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

std::optional<Failure> attempt(CURL* c, const std::string& url, const TransferLimits& limits, Limit& limit,
                               Body& body) {
  std::array<char, CURL_ERROR_SIZE> why{};
  curl_easy_reset(c);  // connections stay
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
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
  if (outcome == CURLE_OK) return {};
  if (outcome == CURLE_ABORTED_BY_CALLBACK) limit.check();
  if (body.too_large || outcome == CURLE_FILESIZE_EXCEEDED)
    throw graft::Reject("too-large",
                        "the file is longer than max_bytes, " + std::to_string(limits.max_bytes));
  if (outcome == CURLE_HTTP_RETURNED_ERROR) {
    const std::string text = "the server answers with status " + std::to_string(status);
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
  const bool web = url.starts_with("http://") || url.starts_with("https://");
  if (!web || curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK)
    return "expected a URL that begins with http:// or https://";
  char* user = nullptr;
  const bool has_user = curl_url_get(parts.get(), CURLUPART_USER, &user, 0) == CURLUE_OK;
  curl_free(user);
  return has_user ? "a user or a password in a URL would be in every result: leave it out" : "";
}

std::shared_ptr<const std::vector<std::uint8_t>> fetch(const std::string& url, const TransferLimits& limits) {
  thread_local const Curl curl;
  Limit limit(limits);
  double backoff = limits.backoff;
  for (int tries = 1;; ++tries, backoff *= 2) {
    limit.check();
    Body body;
    body.most = limits.max_bytes;
    const std::optional<Failure> failure = attempt(curl.get(), url, limits, limit, body);
    if (!failure) return std::make_shared<const std::vector<std::uint8_t>>(std::move(body.bytes));
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
