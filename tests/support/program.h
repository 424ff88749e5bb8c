#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "temp_folder.h"

namespace graft::test {

/// The graft program under test, run as a person would.
struct ProgramResult {
  int exit_code = -1;
  std::string out, err;
};

/// Starts a program with its output in files of `folder`; `environment` entries are NAME=value.
inline pid_t start(const char* program, const TempFolder& folder, const std::vector<std::string>& arguments,
                   const std::string& directory = {}, const std::vector<std::string>& environment = {}) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (!directory.empty() && ::chdir(directory.c_str()) != 0) ::_exit(126);
  for (const std::string& e : environment) ::putenv(const_cast<char*>(e.c_str()));
  if (::freopen((folder / "stdout").c_str(), "w", stdout) == nullptr) ::_exit(126);
  if (::freopen((folder / "stderr").c_str(), "w", stderr) == nullptr) ::_exit(126);
  std::vector<char*> argv{const_cast<char*>(program)};
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  ::execv(program, argv.data());
  ::_exit(127);
}

inline pid_t start_program(const TempFolder& folder, const std::vector<std::string>& arguments,
                           const std::string& directory = {},
                           const std::vector<std::string>& environment = {}) {
  return start(GRAFT_PROGRAM, folder, arguments, directory, environment);
}

inline ProgramResult wait_for(const TempFolder& folder, pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = slurp(folder / "stdout");
  result.err = slurp(folder / "stderr");
  return result;
}

inline ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& directory = {},
                                 const std::vector<std::string>& environment = {}) {
  const TempFolder folder;
  return wait_for(folder, start_program(folder, arguments, directory, environment));
}

}  // namespace graft::test
