#include "run/isolated_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/own_program.h"
#include "plugin/plugin_call.h"
#include "run/progress.h"

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookMs = 50;

}  // namespace

StageProcess::StageProcess(const IsolationSettings& settings) : settings_(settings) {
  input_.grow(kRegionBegin);
  output_.grow(kRegionBegin);
  start();
  MessageWriter message;
  message.text(settings.opening);
  opened_ = ask(StageRequest::Open, message);
}

void StageProcess::start() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  socket_ = FileHandle(ends[0]);
  const FileHandle theirs(ends[1]);
  // What the plugin prints goes to standard error, as without isolation.
  process_.id = OwnProgram{"graft-stage-worker", "runs a stage in a process of its own"}.start(
      {{STDERR_FILENO, STDOUT_FILENO},
       {STDERR_FILENO, STDERR_FILENO},
       {theirs.get(), kStageSocket},
       {input_.descriptor(), kStageInput},
       {output_.descriptor(), kStageOutput}});
}

void StageProcess::Process::kill() const {
  ::kill(-id, SIGKILL);
  ::kill(id, SIGKILL);  // before it has its group
}

StageProcess::Process::~Process() {
  if (id < 0) return;
  kill();
  while (::waitpid(id, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string StageProcess::ask(StageRequest request, const MessageWriter& message) {
  since_ = Clock::now();
  send(request, message.body());
  for (;;) {
    MessageFrame frame{};
    receive(&frame, sizeof frame);
    if (frame.bytes > kMaxMessage) report_end("the stage's process gave an answer that makes no sense");
    std::string body(static_cast<std::size_t>(frame.bytes), '\0');
    receive(body.data(), body.size());
    switch (static_cast<StageAnswer>(frame.kind)) {
      case StageAnswer::Warning:
        settings_.warn(body);
        end_if_hung();  // one who warns for ever gives no result either
        continue;
      case StageAnswer::Waiting:
        since_ = Clock::now();
        note_progress();
        continue;
      case StageAnswer::ThreadEnded:
        report_end("the plugin ended the thread that it was called in (pthread_exit)");
      case StageAnswer::Failed: {
        if (request == StageRequest::Apply) used_ = true;
        MessageParser failure(body);
        throw_exception(failure);
      }
      case StageAnswer::Done:
        if (request == StageRequest::Apply) used_ = true;
        return body;
    }
    report_end("the stage's process gave an answer that makes no sense");
  }
}

void StageProcess::send(StageRequest request, const std::string& body) {
  if (!send_message(socket_.get(), static_cast<std::uint64_t>(request), body)) report_end();
}

void StageProcess::receive(void* to, std::size_t bytes) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    wait_for_answer();
    const ssize_t n = ::recv(socket_.get(), at, bytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) report_end();
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

bool StageProcess::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(process_.id), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == process_.id;
}

/// Until something can be read, or there is nobody to read from.
void StageProcess::wait_for_answer() {
  for (pollfd ready{socket_.get(), POLLIN, 0}; ::poll(&ready, 1, kLookMs) <= 0;) {
    // What the plugin has forked may keep the socket open. Its last answer may have come meanwhile.
    if (has_ended() && ::poll(&ready, 1, 0) <= 0) report_end();
    if (settings_.interrupted != nullptr && *settings_.interrupted) {
      auto* const control = reinterpret_cast<StageControl*>(input_.data());
      std::atomic_ref(control->interrupted).store(1, std::memory_order_relaxed);
    }
    end_if_hung();
  }
}

void StageProcess::end_if_hung() {
  if (!settings_.limit) return;
  const double waited = std::chrono::duration<double>(Clock::now() - since_).count();
  if (waited >= *settings_.limit)
    report_end(fmt::format("no result after {} (run.stall_limit), and the stage's process was killed",
                           duration_in_words(*settings_.limit)),
               "hung");
  // The watchdog, which has the same limit for the whole run, leaves this call to its own.
  if (waited >= *settings_.limit / 2) note_progress();
}

void StageProcess::report_end(const std::string& text, const char* code) {
  socket_ = {};
  if (!text.empty()) process_.kill();  // it need not have ended
  const std::string how = wait_for_end(Clock::now() + std::chrono::seconds(5));
  if (!text.empty()) throw ProcessEnded(code, text, used_);
  throw ProcessEnded(how.find("(Killed)") == std::string::npos ? "crashed" : "out-of-memory",
                     how.empty() ? "the plugin ended the stage's process with exit code 0" : how, used_);
}

void StageProcess::begin_to_quit() noexcept try {
  send(StageRequest::Quit, {});
} catch (const std::exception&) {  // it has ended already
}

std::string StageProcess::wait_for_end(Clock::time_point limit) {
  int status = 0;
  pid_t ended = 0;
  if (process_.id < 0) return {};
  while ((ended = ::waitpid(process_.id, &status, WNOHANG)) == 0 && Clock::now() < limit) ::usleep(500);
  if (ended != process_.id) return "the stage's process did not end";
  ::kill(-process_.id, SIGKILL);  // what it has started
  process_.id = -1;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    return fmt::format("the stage's process was killed ({}): most likely there was not enough memory",
                       ::strsignal(SIGKILL));
  if (WIFSIGNALED(status))
    return fmt::format("the stage's process crashed ({})", ::strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) == 0) return {};
  return fmt::format("the plugin ended the stage's process with exit code {}", WEXITSTATUS(status));
}

}  // namespace graft
