#pragma once

#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <vector>

namespace graft::test {

/// What a program writes to a terminal of so many columns, as the terminal gets it. `environment`:
/// NAME=value.
inline std::string on_terminal_of(unsigned short columns, const char* program,
                                  const std::vector<std::string>& arguments, const std::string& directory,
                                  const std::vector<std::string>& environment = {}) {
  winsize size{40, columns, 0, 0};
  int terminal = -1;
  const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (pid == 0) {
    if (::chdir(directory.c_str()) != 0) ::_exit(126);
    for (const std::string& e : environment) ::putenv(const_cast<char*>(e.c_str()));
    std::vector<char*> argv{const_cast<char*>(program)};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::execv(program, argv.data());
    ::_exit(127);
  }
  std::string out;
  char block[4096];
  for (ssize_t n = 0; (n = ::read(terminal, block, sizeof block)) > 0;)
    out.append(block, static_cast<std::size_t>(n));
  ::close(terminal);
  ::waitpid(pid, nullptr, 0);
  return out;
}

inline std::string on_terminal(unsigned short columns, const std::vector<std::string>& arguments,
                               const std::string& directory,
                               const std::vector<std::string>& environment = {}) {
  return on_terminal_of(columns, GRAFT_PROGRAM, arguments, directory, environment);
}

/// Characters of the longest line, without escape sequences.
inline std::size_t widest_line(const std::string& text) {
  std::size_t most = 0, now = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\x1b') {
      while (i + 1 < text.size() && std::isalpha(static_cast<unsigned char>(text[i])) == 0) ++i;
    } else if (c == '\n' || c == '\r') {
      now = 0;
    } else if ((c & 0xC0U) != 0x80U) {
      most = std::max(most, ++now);
    }
  }
  return most;
}

}  // namespace graft::test
