#include "transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <optional>
#include <thread>

#include <graft/error.h>

namespace {

constexpr long kMostRedirections = 5;

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
};

std::optional<Failure> attempt(CURL* c, const std::string& url, const TransferLimits& limits, Body& body) {
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
  if (body.too_large || outcome == CURLE_FILESIZE_EXCEEDED)
    throw graft::Reject("too-large",
                        "the file is longer than max_bytes, " + std::to_string(limits.max_bytes));
  if (outcome == CURLE_HTTP_RETURNED_ERROR) {
    const std::string text = "the server answers with status " + std::to_string(status);
    if (status == 404 || status == 410) throw graft::Reject("missing", text);
    return Failure{text, status == 408 || status == 429 || status >= 500};
  }
  const bool for_ever = outcome == CURLE_UNSUPPORTED_PROTOCOL || outcome == CURLE_URL_MALFORMAT ||
                        outcome == CURLE_TOO_MANY_REDIRECTS || outcome == CURLE_PEER_FAILED_VERIFICATION;
  return Failure{why[0] != '\0' ? why.data() : curl_easy_strerror(outcome), !for_ever};
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
  double wait = limits.backoff;
  for (int tries = 1;; ++tries, wait *= 2) {
    Body body;
    body.most = limits.max_bytes;
    const std::optional<Failure> failure = attempt(curl.get(), url, limits, body);
    if (!failure) return std::make_shared<const std::vector<std::uint8_t>>(std::move(body.bytes));
    if (!failure->may_pass || tries > limits.retries)
      throw graft::Reject("unreadable",
                          failure->text + (tries == 1 ? "" : " (tried " + std::to_string(tries) + " times)"));
    std::this_thread::sleep_for(std::chrono::duration<double>(wait));
  }
}
