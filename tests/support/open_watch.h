#pragma once

#include <arpa/inet.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

namespace graft::test {

/// Notes what is opened in some folders, by whatever process and system call: the kernel reports it
/// (inotify).
class OpenWatch {
 public:
  OpenWatch() : events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (events_ < 0) throw std::runtime_error("no inotify");
  }
  ~OpenWatch() { ::close(events_); }
  OpenWatch(const OpenWatch&) = delete;
  OpenWatch& operator=(const OpenWatch&) = delete;

  /// From now on: a file or FIFO, or a folder and what is directly in it.
  void add(const std::filesystem::path& path) {
    const int watch = ::inotify_add_watch(events_, path.c_str(), IN_OPEN);
    if (watch < 0) throw std::runtime_error("cannot watch " + path.string());
    watched_[watch] = path;
  }

  /// Paths of what has been opened since the last call, or since add.
  std::set<std::string> opened() {
    std::set<std::string> names;
    alignas(inotify_event) std::array<char, 1 << 16> buffer;
    for (ssize_t n; (n = ::read(events_, buffer.data(), buffer.size())) > 0;)
      for (ssize_t at = 0; at < n;) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + at, sizeof event);
        std::filesystem::path path = watched_[event.wd];
        if (event.len > 0) path /= buffer.data() + at + sizeof event;
        names.insert(path.string());
        at += static_cast<ssize_t>(sizeof event + event.len);
      }
    return names;
  }

 private:
  const int events_;
  std::map<int, std::filesystem::path> watched_;
};

/// A port of this machine at which nobody should call.
class LoopbackPort {
 public:
  LoopbackPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(socket_, 8) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port");
    name_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~LoopbackPort() { ::close(socket_); }
  LoopbackPort(const LoopbackPort&) = delete;
  LoopbackPort& operator=(const LoopbackPort&) = delete;

  /// "127.0.0.1:PORT".
  const std::string& name() const { return name_; }
  bool was_called() const {
    const int caller = ::accept(socket_, nullptr, nullptr);
    if (caller >= 0) ::close(caller);
    return caller >= 0;
  }

 private:
  const int socket_;
  std::string name_;
};

}  // namespace graft::test
