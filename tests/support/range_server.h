#pragma once

#include <cctype>
#include <charconv>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "http_server.h"

namespace graft::test {

/// The headers of a request, by their names in small letters.
inline std::map<std::string, std::string> headers_of(const std::string& head) {
  std::map<std::string, std::string> out;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.size() > 1) {
    line.pop_back();
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    out[name] = line.substr(line.find_first_not_of(' ', colon + 1));
  }
  return out;
}

/// A server that gives files by ranges (RFC 9110), and counts what it gives.
class RangeServer {
 public:
  struct File {
    std::string bytes = {};
    std::string tag = "\"1\"";  ///< Empty: no ETag.
    std::string modified = {};  ///< Empty: no Last-Modified.
    bool knows_ranges = true;
  };
  /// An answer in place of the server's own, to the request with this number, from 1 on; or nothing.
  using Instead = std::function<std::optional<std::string>(int request, const std::string& path,
                                                           const std::string& head)>;

  std::string url() const { return server_.url(); }
  void put(const std::string& path, File file) {
    const std::lock_guard lock(mutex_);
    files_[path] = std::move(file);
  }
  /// Begins to count anew.
  void answer_instead(Instead instead) {
    const std::lock_guard lock(mutex_);
    instead_ = std::move(instead);
    requests_ = 0;
    bytes_ = 0;
  }
  void count_anew() { answer_instead({}); }
  int requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Of the files, that were sent.
  std::uint64_t bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

  /// The answer to a request for a range or all of a file.
  static std::string answer(const File& file, const std::string& head) {
    const auto headers = headers_of(head);
    const auto header = [&](const char* name) {
      const auto it = headers.find(name);
      return it == headers.end() ? std::string() : it->second;
    };
    if (const std::string wanted = header("if-match"); !wanted.empty() && wanted != file.tag)
      return HttpServer::error(412);
    if (const std::string since = header("if-unmodified-since"); !since.empty() && since != file.modified)
      return HttpServer::error(412);
    std::string begin = "HTTP/1.1 200 OK\r\n", body = file.bytes;
    std::uint64_t first = 0, last = 0;
    const std::string range = header("range");
    if (file.knows_ranges && range.starts_with("bytes=")) {
      const char* const end = range.data() + range.size();
      const auto at = std::from_chars(range.data() + 6, end, first).ptr;
      std::from_chars(at + 1, end, last);
      if (first >= file.bytes.size()) return HttpServer::error(416);
      last = std::min<std::uint64_t>(last, file.bytes.size() - 1);
      body = file.bytes.substr(first, last - first + 1);
      begin = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(first) + "-" +
              std::to_string(last) + "/" + std::to_string(file.bytes.size()) + "\r\n";
    }
    if (!file.tag.empty()) begin += "ETag: " + file.tag + "\r\n";
    if (!file.modified.empty()) begin += "Last-Modified: " + file.modified + "\r\n";
    return begin + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

 private:
  std::string respond(const std::string& path, const std::string& head) {
    const std::lock_guard lock(mutex_);
    ++requests_;
    if (instead_)
      if (auto other = instead_(requests_, path, head)) return *other;
    const auto file = files_.find(path);
    if (file == files_.end()) return HttpServer::error(404);
    std::string out = answer(file->second, head);
    bytes_ += out.size() - out.find("\r\n\r\n") - 4;
    return out;
  }

  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  Instead instead_;
  int requests_ = 0;
  std::uint64_t bytes_ = 0;
  const HttpServer server_{HttpServer::AnswerToHead(
      [this](const std::string& path, const std::string& head) { return respond(path, head); })};
};

}  // namespace graft::test
