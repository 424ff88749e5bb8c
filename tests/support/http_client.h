#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace graft::test {

using nlohmann::json;

/// A connection to this machine. Reads and writes what it is told, whatever HTTP would be.
class Connection {
 public:
  explicit Connection(int port, const char* host = "127.0.0.1")
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host, &address.sin_addr);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
  }
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool is_open() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  /// As much as the other side takes; false where it takes no more.
  bool send(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::send(fd_, text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  /// All that comes until the other side has done.
  std::string read_all() {
    std::string out;
    char block[4096];
    for (ssize_t n = 0; (n = ::recv(fd_, block, sizeof block, 0)) > 0;)
      out.append(block, static_cast<std::size_t>(n));
    return out;
  }

 private:
  int fd_;
};

struct Answer {
  int status = 0;
  std::string head, body;
  json document() const { return json::parse(body, nullptr, false); }
};

inline std::string request(const std::string& method, const std::string& path, const std::string& body,
                           const std::string& headers = {}) {
  return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers +
         (method == "POST" ? "Content-Length: " + std::to_string(body.size()) + "\r\n" : "") + "\r\n" + body;
}

inline Answer answer_of(Connection& connection) {
  const std::string all = connection.read_all();
  Answer answer;
  const std::size_t end = all.find("\r\n\r\n");
  if (end == std::string::npos || !all.starts_with("HTTP/1.1 ")) return answer;
  answer.status = std::stoi(all.substr(9, 3));
  answer.head = all.substr(0, end);
  answer.body = all.substr(end + 4);
  return answer;
}

inline Answer answer_to(int port, const std::string& text) {
  Connection connection(port);
  connection.send(text);
  return answer_of(connection);
}

inline Answer get(int port, const std::string& path) {
  return answer_to(port, request("GET", path, ""));
}
inline Answer post(int port, const std::string& path, const std::string& body,
                   const std::string& headers = {}) {
  return answer_to(port, request("POST", path, body, headers));
}

}  // namespace graft::test
