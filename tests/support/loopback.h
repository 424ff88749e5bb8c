#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>

namespace graft::test {

/// A port of the loopback device that nothing listens on now.
inline int free_port() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  if (s < 0 || ::bind(s, any, size) != 0 || ::getsockname(s, any, &size) != 0)
    throw std::runtime_error("no loopback device");
  ::close(s);
  return ntohs(address.sin_port);
}

/// Waits until a process listens on a port of the loopback device; false where it has ended instead, or does
/// not for a minute.
inline bool listens(int port, pid_t pid) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  while (std::chrono::steady_clock::now() < end) {
    siginfo_t ended{};  // which stays to be waited for
    if (::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        ended.si_pid == pid)
      return false;
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const bool connected = ::connect(s, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(s);
    if (connected) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace graft::test
