#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace graft::siege {

using Clock = std::chrono::steady_clock;

/// How a program is started.
struct Command {
  std::vector<std::string> arguments;    ///< Of graft.
  std::vector<std::string> environment;  ///< NAME=value.
  bool container = false;                ///< With process ids, a host name and a /proc of its own.
  std::filesystem::path output;          ///< Folder for stdout and stderr; made.
};

/// How a program ended.
struct Ending {
  int exit_code = 0;  ///< Where no signal ended it.
  int signal = 0;
  std::string out, err;
  std::string text() const;  ///< "exit code 1", "signal 9".
};

/// Whether this system lets us make containers; `why`: why not.
bool can_make_containers(std::string& why);

/// A running graft. Dies with the campaign.
class Process {
 public:
  /// Throws std::system_error.
  explicit Process(Command command);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const Command& command() const { return command_; }
  /// Nothing while it runs.
  std::optional<Ending> poll();
  void send(int signal);
  /// For how long it has neither used the processor nor been stopped by send(SIGSTOP).
  std::chrono::duration<double> idle();
  std::chrono::duration<double> age() const { return Clock::now() - started_; }
  /// What its threads are in, for people.
  std::string state() const;

 private:
  std::uint64_t ticks() const;

  Command command_;
  pid_t pid_ = -1;
  Clock::time_point started_, last_progress_;
  std::uint64_t seen_ticks_ = 0;
  bool stopped_ = false;
};

}  // namespace graft::siege
