#pragma once

#include <signal.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "program.h"

namespace graft::test {

/// The program, which has stopped itself (GRAFT_FAULT_STOP) before it first changed a path that contains a
/// text: what others do meanwhile happens at that moment, in every trial.
class StoppedProgram {
 public:
  /// `environment`: the fault injector with GRAFT_FAULT_STOP.
  StoppedProgram(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                 const std::string& directory = {})
      : pid_(start_program(output_, arguments, directory, environment)) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
    stopped_ = WIFSTOPPED(status);
    EXPECT_TRUE(stopped_) << slurp(output_ / "stdout") << slurp(output_ / "stderr");
  }
  StoppedProgram(const StoppedProgram&) = delete;
  StoppedProgram& operator=(const StoppedProgram&) = delete;
  ~StoppedProgram() {
    if (stopped_) kill();
  }

  pid_t pid() const { return pid_; }
  ProgramResult go_on() {
    if (stopped_) ::kill(pid_, SIGCONT);
    return end();
  }
  ProgramResult kill() {
    ::kill(pid_, SIGKILL);
    return end();
  }

 private:
  ProgramResult end() {
    if (!std::exchange(stopped_, false)) return {};
    return wait_for(output_, pid_);
  }

  TempFolder output_;
  pid_t pid_ = -1;
  bool stopped_ = false;
};

}  // namespace graft::test
