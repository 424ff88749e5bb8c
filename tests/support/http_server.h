#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace graft::test {

/// A server on a free port of the loopback device that answers one caller after the other and hangs up.
class HttpServer {
 public:
  /// Gives the bytes of the answer to a request for a path. Called by a thread of the server.
  using Answer = std::function<std::string(const std::string& path)>;
  /// The same, from the whole head of the request.
  using AnswerToHead = std::function<std::string(const std::string& path, const std::string& head)>;

  /// The same bytes for everybody.
  explicit HttpServer(std::string response)
      : HttpServer([response = std::move(response)](const std::string&) { return response; }) {}
  explicit HttpServer(Answer answer)
      : HttpServer(AnswerToHead([answer = std::move(answer)](const std::string& path, const std::string&) {
          return answer(path);
        })) {}
  explicit HttpServer(AnswerToHead answer)
      : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (socket_ < 0 || ::bind(socket_, any, size) != 0 || ::listen(socket_, 8) != 0 ||
        ::getsockname(socket_, any, &size) != 0)
      throw std::runtime_error("no loopback device");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(socket_, SHUT_RDWR);  // wakes accept
    thread_.join();
    ::close(socket_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int calls() const { return calls_; }

  static std::string error(int status) {
    return "HTTP/1.1 " + std::to_string(status) + " Error\r\nContent-Length: 0\r\n\r\n";
  }
  static std::string ok(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

 private:
  void serve() {
    for (;;) {
      const int caller = ::accept(socket_, nullptr, nullptr);
      if (caller < 0) return;
      ++calls_;
      answer(caller);
      ::close(caller);
    }
  }

  void answer(int caller) const {
    std::string request;
    char block[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::recv(caller, block, sizeof block, 0);
      if (n <= 0) return;
      request.append(block, static_cast<std::size_t>(n));
    }
    const std::size_t begin = request.find(' ') + 1;
    const std::string response = answer_(request.substr(begin, request.find(' ', begin) - begin), request);
    for (std::size_t sent = 0; sent < response.size();) {
      const ssize_t n = ::send(caller, response.data() + sent, response.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += static_cast<std::size_t>(n);
    }
  }

  const AnswerToHead answer_;
  const int socket_;
  int port_ = 0;
  std::atomic<int> calls_{0};
  std::thread thread_;
};

}  // namespace graft::test
