#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include <graft/error.h>

#include "base/message.h"
#include "run/isolation_message.h"
#include "run/shared_region.h"

namespace graft {

/// What every process of an isolated stage begins with.
struct IsolationSettings {
  std::string opening;                             ///< JSON, see run/stage_worker.cpp.
  std::optional<double> limit;                     ///< Seconds that a call may take; nothing: no limit.
  const std::atomic<bool>* interrupted = nullptr;  ///< Of the run; null: nothing interrupts it.
  std::function<void(const std::string&)> warn;    ///< Any thread.
  /// Throws Error where a file that stages read is another one by now. Any thread.
  std::function<void()> require_same_files;
};

/// A process has ended that was not asked to: it crashed, left, or was killed because it hung.
class ProcessEnded final : public Error {
 public:
  ProcessEnded(std::string reject_code, const std::string& text, bool used)
      : Error(text), code(std::move(reject_code)), had_calls(used) {}
  std::string code;  ///< For a reject: `crashed`, `hung`, `out-of-memory`.
  bool had_calls;    ///< An earlier call may be the cause.
};

/// A process that makes the calls of one stage, the program graft-stage-worker. It ends with this process,
/// whatever ends that. One thread at a time.
class StageProcess {
 public:
  /// Starts it and makes the stage. Throws what the stage's constructor throws, or ProcessEnded.
  explicit StageProcess(const IsolationSettings& settings);
  /// The answer to Open.
  const std::string& opened() const { return opened_; }
  /// The answer. Throws what the stage throws; ProcessEnded, and then the process is of no more use.
  std::string ask(StageRequest request, const MessageWriter& message = {});
  /// For the payloads of a request, and of the answer.
  SharedRegion& input() { return input_; }
  SharedRegion& output() { return output_; }

  /// Asks it to destroy the stage and to end.
  void begin_to_quit() noexcept;
  /// Empty: it has ended as it should; else what has become of it.
  std::string wait_for_end(std::chrono::steady_clock::time_point limit);

 private:
  void start();
  void send(StageRequest request, const std::string& body);
  void receive(void* to, std::size_t bytes);
  bool has_ended() const;
  void wait_for_answer();
  void end_if_hung();
  [[noreturn]] void report_end(const std::string& text = {}, const char* code = "crashed");

  /// Killed, with all that it has started, when this is destroyed.
  struct Process {
    Process() = default;
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    void kill() const;
    pid_t id = -1;
  };

  const IsolationSettings& settings_;
  SharedRegion input_, output_;
  Process process_;
  FileHandle socket_;
  std::string opened_;
  bool used_ = false;
  std::chrono::steady_clock::time_point since_;  ///< Of the call, or of its last sign of life.
};

}  // namespace graft
