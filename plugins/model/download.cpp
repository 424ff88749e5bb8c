#include "download.h"

#include <curl/curl.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::model {
namespace {

struct Transfer {
  std::FILE* out;
  std::uint64_t limit, done = 0;
  const Progress& progress;
  std::string fault = {};  ///< Why writing stopped it.
};

std::size_t write_some(char* data, std::size_t, std::size_t size, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  transfer.done += size;
  if (transfer.done > transfer.limit)
    transfer.fault = fmt::format("it is larger than {} bytes", transfer.limit);
  else if (std::fwrite(data, 1, size, transfer.out) != size)
    transfer.fault = fmt::format("it cannot be written: {}", std::strerror(errno));
  return transfer.fault.empty() ? size : 0;
}

int show(void* self, curl_off_t total, curl_off_t done, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (static_cast<std::uint64_t>(total) > transfer.limit) {
    transfer.fault = fmt::format("it is larger than {} bytes", transfer.limit);
    return 1;
  }
  transfer.progress(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
  return 0;
}

}  // namespace

void download(const std::string& url, const std::filesystem::path& file, std::uint64_t limit,
              const Progress& progress) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "wbx"), std::fclose);
  if (!out) throw Error(fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)));
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  std::array<char, CURL_ERROR_SIZE> why{};
  Transfer transfer{out.get(), limit, 0, progress};
  CURL* c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
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
  const CURLcode outcome = c == nullptr ? CURLE_FAILED_INIT : curl_easy_perform(c);

  std::string fault = transfer.fault;
  if (fault.empty() && outcome != CURLE_OK) fault = why[0] != '\0' ? why.data() : curl_easy_strerror(outcome);
  // What is still in the buffer may not fit on the disk.
  if (std::fclose(out.release()) != 0 && fault.empty())
    fault = fmt::format("it cannot be written: {}", std::strerror(errno));
  if (fault.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  throw Error(fault);
}

}  // namespace graft::model
