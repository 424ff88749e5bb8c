#include "store/attempt.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <random>
#include <sstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::hours kForeignAge{24};

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string host = name;
  std::replace(host.begin(), host.end(), '.', '-');
  return host.empty() ? "host" : host;
}

/// When the process began, in clock ticks since the machine started: tells a process from a later one of the
/// same number. Empty when there is no such process.
std::string start_of(int pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(in, text);
  // The name of the program, in brackets, may hold anything; the fields after it are plain (proc(5), 22).
  std::size_t at = text.rfind(')');
  for (int field = 3; field <= 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos) return {};
  return text.substr(at + 1, text.find(' ', at + 1) - at - 1);
}

/// "a.b.c" -> a, b, c.
std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream in(name);
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  return parts;
}

}  // namespace

std::string new_attempt() {
  static const std::string kHost = host_name();
  std::random_device random;
  return fmt::format("{}.{}.{}.{:08x}", kHost, ::getpid(), start_of(::getpid()), random());
}

bool is_of_this_host(const fs::path& file) {
  const std::vector<std::string> parts = parts_of(file.filename().string());
  return parts.size() >= 4 && parts[0] == host_name();
}

bool is_abandoned(const fs::path& file) {
  if (!is_of_this_host(file)) {
    std::error_code error;
    const auto changed = fs::last_write_time(file, error);
    return !error && fs::file_time_type::clock::now() - changed > kForeignAge;
  }
  const std::vector<std::string> parts = parts_of(file.filename().string());
  int pid = 0;
  std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), pid);
  return pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH) || start_of(pid) != parts[2];
}

}  // namespace graft
