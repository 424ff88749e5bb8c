#include "base/own_program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

extern char** environ;

namespace graft {
namespace fs = std::filesystem;
namespace {

struct SpawnActions {
  SpawnActions() { ::posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions); }
  posix_spawn_file_actions_t actions;
};

struct SpawnAttributes {
  SpawnAttributes() {
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes); }
  posix_spawnattr_t attributes;
};

}  // namespace

fs::path OwnProgram::path() const {
  static const int kAnchor = 0;
  Dl_info here{};
  std::error_code error;
  fs::path folder;
  if (::dladdr(&kAnchor, &here) != 0 && here.dli_fname != nullptr)
    folder = fs::canonical(here.dli_fname, error).parent_path();
  fs::path beside = folder / name;
  fs::path installed = (folder / GRAFT_LIBEXEC_FROM_LIB / name).lexically_normal();
  if (fs::exists(beside, error)) return beside;
  if (fs::exists(installed, error)) return installed;
  throw Error(
      fmt::format("the program that {} was not built or not installed: expected {} or {}; "
                  "build or install graft again",
                  does, beside.string(), installed.string()));
}

pid_t OwnProgram::start(const Descriptors& descriptors, std::string_view hidden) const {
  int highest = STDERR_FILENO;
  for (const auto& [ours, theirs] : descriptors) highest = std::max(highest, theirs);
  const SpawnActions to;
  const SpawnAttributes as;
  auto* const actions = const_cast<posix_spawn_file_actions_t*>(&to.actions);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (std::none_of(descriptors.begin(), descriptors.end(), [&](const auto& d) { return d.second == fd; }))
      ::posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
  // Copies above all that is to be made: making one must not close another.
  std::vector<FileHandle> copies;
  for (const auto& [ours, theirs] : descriptors) {
    copies.emplace_back(::fcntl(ours, F_DUPFD_CLOEXEC, highest + 1));
    if (!copies.back())
      throw Error(fmt::format("cannot start {}, which {}: {}", name, does, std::strerror(errno)));
    ::posix_spawn_file_actions_adddup2(actions, copies.back().get(), theirs);
  }
  std::vector<char*> variables;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (hidden.empty() || !std::string_view(*entry).starts_with(hidden)) variables.push_back(*entry);
  variables.push_back(nullptr);
  std::string file = path().string();
  char* const arguments[] = {file.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, file.c_str(), actions, &as.attributes, arguments, variables.data());
  if (error != 0) throw Error(fmt::format("cannot start {}, which {}: {}", file, does, std::strerror(error)));
  return pid;
}

}  // namespace graft
