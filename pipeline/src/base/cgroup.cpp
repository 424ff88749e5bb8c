#include "base/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace graft {
namespace fs = std::filesystem;
namespace {

/// The kernel's period where a file names none, in microseconds.
constexpr std::uint64_t kUsualPeriod = 100'000;

/// A number above 0; nothing for "max", "-1" and all else.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && end == text.data() + text.size() && n > 0 ? std::optional(n) : std::nullopt;
}

/// The first two words of a file; empty ones for what it has not.
struct Words {
  explicit Words(const fs::path& file) {
    std::ifstream in(file);
    in >> first >> second;
  }
  std::string first, second;
};

template <typename T>
void lower(std::optional<T>& limit, std::optional<T> to) {
  if (to && (!limit || *to < *limit)) limit = to;
}

std::optional<double> quotient(std::optional<std::uint64_t> quota, std::uint64_t period) {
  return quota ? std::optional(static_cast<double>(*quota) / static_cast<double>(period)) : std::nullopt;
}

/// Calls `visit` with the folder of a group and of every one above it. A path that leads out of what is
/// mounted is that of a process of another container: the topmost group counts.
template <typename Visit>
void climb(const fs::path& mounted, std::string_view path, Visit visit) {
  fs::path group = fs::path(path).relative_path().lexically_normal();
  if (!group.empty() && *group.begin() == "..") group.clear();
  for (;; group = group.parent_path()) {
    visit(mounted / group);
    if (group.empty()) return;
  }
}

/// Version 2: all controllers are in one tree.
void read_unified(const fs::path& mounted, std::string_view path, CgroupLimits& limits) {
  climb(mounted, path, [&](const fs::path& group) {
    const Words cpu(group / "cpu.max");
    lower(limits.processors, quotient(number(cpu.first), number(cpu.second).value_or(kUsualPeriod)));
    for (const char* file : {"memory.max", "memory.high"})
      lower(limits.memory, number(Words(group / file).first));
  });
}

/// Version 1: a tree for each set of controllers, in a folder of their names or of one of them.
void read_controller(const fs::path& root, std::string_view controllers, std::string_view controller,
                     std::string_view path, CgroupLimits& limits) {
  std::error_code error;
  fs::path mounted = root / controllers;
  if (!fs::is_directory(mounted, error)) mounted = root / controller;
  climb(mounted, path, [&](const fs::path& group) {
    if (controller == "cpu")
      lower(limits.processors,
            quotient(number(Words(group / "cpu.cfs_quota_us").first),
                     number(Words(group / "cpu.cfs_period_us").first).value_or(kUsualPeriod)));
    else
      lower(limits.memory, number(Words(group / "memory.limit_in_bytes").first));
  });
}

bool names(std::string_view controllers, std::string_view controller) {
  while (!controllers.empty()) {
    const std::size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == controller) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& membership, const fs::path& root) {
  CgroupLimits limits;
  std::ifstream in(membership);
  for (std::string line; std::getline(in, line);) {
    // hierarchy:controllers:path, where the path may have colons
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view text = line, path = text.substr(second + 1);
    const std::string_view controllers = text.substr(first + 1, second - first - 1);
    if (controllers.empty()) {
      read_unified(root, path, limits);
      read_unified(root / "unified", path, limits);  // where both versions are mounted
    }
    for (const std::string_view controller : {"cpu", "memory"})
      if (names(controllers, controller)) read_controller(root, controllers, controller, path, limits);
  }
  return limits;
}

}  // namespace graft
