#include "download.h"

#include <curl/curl.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/system_error.h>

namespace graft::model {
namespace {

constexpr int kMostRedirections = 5;

struct Transfer {
  std::FILE* out;
  CURL* curl;
  const Size& size;
  const Progress& progress;
  std::uint64_t done = 0;
  std::string fault = {};  ///< Why we stopped it.

  bool is_redirection() const {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 300 && status < 400;
  }
  /// Of a file of so many bytes, by what the server says or what has come.
  std::string fault_of(std::uint64_t bytes, const char* verb) const {
    if (size.exactly != 0 && bytes != size.exactly)
      return fmt::format("it {} {} bytes, expected {}", verb, bytes, size.exactly);
    return bytes > size.most ? fmt::format("it is larger than {} bytes", size.most) : "";
  }
};

std::size_t write_some(char* data, std::size_t, std::size_t size, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (transfer.is_redirection()) return size;  // a page for people
  curl_off_t all = -1;
  curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &all);
  if (all >= 0) transfer.fault = transfer.fault_of(static_cast<std::uint64_t>(all), "has");
  transfer.done += size;
  if (!transfer.fault.empty()) return 0;
  if (transfer.done > transfer.size.most)
    transfer.fault = fmt::format("it is larger than {} bytes", transfer.size.most);
  else if (std::fwrite(data, 1, size, transfer.out) != size)
    transfer.fault = fmt::format("it cannot be written: {}", system_error_text(errno));
  return transfer.fault.empty() ? size : 0;
}

int show(void* self, curl_off_t total, curl_off_t done, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (!transfer.is_redirection())
    transfer.progress(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
  return 0;
}

std::optional<std::string> part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

/// One request. Gives the address that it was sent on to, if it was.
std::optional<std::string> request(CURL* c, const std::string& url, Transfer& transfer) {
  std::array<char, CURL_ERROR_SIZE> why{};
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 20L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "graft");
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why.data());
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_some);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, show);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &transfer);
  const CURLcode outcome = curl_easy_perform(c);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, nullptr);
  if (transfer.fault.empty() && outcome != CURLE_OK)
    transfer.fault = why[0] != '\0' ? why.data() : curl_easy_strerror(outcome);
  char* next = nullptr;
  if (transfer.fault.empty() && transfer.is_redirection()) curl_easy_getinfo(c, CURLINFO_REDIRECT_URL, &next);
  if (next == nullptr) return {};
  return next;
}

/// With its redirections, each looked at before anything is asked there.
void request_all(std::string url, Transfer& transfer) {
  for (int i = 0; i <= kMostRedirections; ++i) {
    const auto next = request(transfer.curl, url, transfer);
    if (!next) {
      if (transfer.fault.empty()) transfer.fault = transfer.fault_of(transfer.done, "has");
      return;
    }
    if (!is_safe_address(*next) || (url.starts_with("https:") && !next->starts_with("https:"))) {
      transfer.fault = fmt::format("it was sent on to {}, which is not https", *next);
      return;
    }
    url = *next;
  }
  transfer.fault = fmt::format("it was sent on more than {} times", kMostRedirections);
}

}  // namespace

bool is_safe_address(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parts(curl_url(), curl_url_cleanup);
  if (!parts || curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return false;
  const auto scheme = part_of(parts.get(), CURLUPART_SCHEME), host = part_of(parts.get(), CURLUPART_HOST);
  if (scheme == "https") return true;
  return scheme == "http" && (host == "127.0.0.1" || host == "[::1]" || host == "localhost");
}

void download(std::string url, const std::filesystem::path& file, Size size, const Progress& progress) {
  if (!is_safe_address(url))
    throw Error("expected an https address: with another one, anybody on the way can change the file");
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "wbx"), std::fclose);
  if (!out) throw Error(fmt::format("cannot write {}: {}", file.string(), system_error_text(errno)));
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  Transfer transfer{out.get(), curl.get(), size, progress};
  if (curl)
    request_all(std::move(url), transfer);
  else
    transfer.fault = curl_easy_strerror(CURLE_FAILED_INIT);

  std::string fault = transfer.fault;
  // What is still in the buffer may not fit on the disk.
  if (std::fclose(out.release()) != 0 && fault.empty())
    fault = fmt::format("it cannot be written: {}", system_error_text(errno));
  if (fault.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  throw Error(fault);
}

}  // namespace graft::model
