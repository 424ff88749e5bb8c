#include "run/crash_report.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include <graft/printable.h>

#include "base/end_process.h"
#include "plugin/plugin_call.h"
#include "run/progress.h"

namespace graft {
namespace {

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kInstall = true;
#else
constexpr bool kInstall = false;
#endif

/// A line that is put together without memory of the heap: all that a signal handler may use.
class Line {
 public:
  /// What would control the terminal becomes '?'.
  Line& operator<<(std::string_view text) noexcept {
    text = text.substr(0, text_.size() - 1 - size_);
    while (!text.empty()) {
      std::size_t bytes = 1;
      const bool escaped = begins_unprintable(text, bytes);
      std::memcpy(text_.data() + size_, escaped ? "?" : text.data(), escaped ? 1 : bytes);
      size_ += escaped ? 1 : bytes;
      text.remove_prefix(bytes);
    }
    return *this;
  }
  template <std::size_t N>
  std::string_view copy_to(char (&to)[N]) const noexcept {
    const std::size_t n = std::min(size_, N);
    std::memcpy(to, text_.data(), n);
    return {to, n};
  }
  void write() noexcept {
    text_[size_++] = '\n';
    for (std::size_t at = 0; at < size_;) {
      const ssize_t n = ::write(STDERR_FILENO, text_.data() + at, size_ - at);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
  }

 private:
  std::array<char, 2048> text_;
  std::size_t size_ = 0;
};

std::atomic<pid_t> g_reporter{0};
std::atomic<const char*> g_hint{nullptr};
/// The process that watch_exit() was called in: not one that a plugin has forked.
std::atomic<pid_t> g_watched{0};
/// A reader of the standard output that is not there any more is not waited for.
constexpr std::chrono::seconds kFlushLimit{2};

/// "error: stage 'a' (p, c.yaml:3:3), item 'x': <what>, in apply": one line, by the first thread that gets
/// here; the others wait for the end.
[[noreturn]] void report_and_leave(std::string_view what) noexcept {
  pid_t before = 0;
  if (const pid_t me = ::gettid(); !g_reporter.compare_exchange_strong(before, me)) {
    if (before == me) end_process(1);  // the report itself has crashed
    for (;;) ::pause();
  }
  Line line;
  line << "error: ";
  const CallScope* call = CallScope::current();
  if (call != nullptr && call->label() != nullptr) {
    line << call->label();
    if (!call->item().empty()) line << ", item '" << call->item() << "'";
    line << ": " << what << ", in " << call->function();
  } else if (const char* label = any_running_label()) {
    line << label << ": " << what << ", in a thread of its own or of graft";
  } else {
    line << what << ", outside of any plugin: this is a bug in graft, please report it";
  }
  line.write();
  if (const char* hint = g_hint.load()) {
    Line more;
    more << hint;
    more.write();
  }
  end_process(1);
}

std::string_view name_of_signal(int number) noexcept {
  switch (number) {
    case SIGSEGV:
      return "crashed (SIGSEGV: it touched memory that is not its own, or its stack overflowed)";
    case SIGBUS:
      return "crashed (SIGBUS: a file that is mapped into memory was cut short, or an address is odd)";
    case SIGFPE:
      return "crashed (SIGFPE: an integer was divided by zero)";
    case SIGILL:
      return "crashed (SIGILL: an instruction that this processor does not know)";
    default:
      return "aborted (SIGABRT)";
  }
}

void on_crash(int number) {
  report_and_leave(name_of_signal(number));
}

void on_terminate() {
  static char text[512];  // the exception itself may be gone when the line is written
  std::string_view what = "ended the process (std::terminate)";
  if (std::current_exception() != nullptr) try {
      throw;
    } catch (const std::exception& e) {
      const char* said = e.what();
      Line line;
      line << "let an exception out that nobody can catch: " << (said == nullptr ? "" : said);
      what = line.copy_to(text);
    } catch (...) {
      what = "let an exception out that nobody can catch";
    }
  report_and_leave(what);
}

bool is_in_a_plugin() noexcept {
  const CallScope* call = CallScope::current();
  return call != nullptr && call->label() != nullptr;
}

/// Of the plugin that is called on this thread, or of one that is called on another.
[[noreturn]] void report_call(const char* function) noexcept {
  try {
    text_within(kFlushLimit, [] { return std::fflush(stdout), std::string(); });
  } catch (const std::exception&) {  // no thread for it
  }
  char text[128];
  Line line;
  line << "called " << function << "(); a plugin reports an error by throwing graft::Error";
  report_and_leave(line.copy_to(text));
}

/// Returns where no plugin is being called: the program itself ends.
void report_end_by(const char* function) noexcept {
  if (is_in_a_plugin() || any_running_label() != nullptr) report_call(function);
}
void on_exit() {
  report_end_by("exit");
}
void on_quick_exit() {
  report_end_by("quick_exit");
}

}  // namespace

void install_crash_report() {
  if (!kInstall) return;
  struct sigaction action {};
  action.sa_handler = on_crash;
  // On a stack of its own, where the thread has one (plugin_call.cpp). The handler stays: another thread that
  // crashes meanwhile must not end the process before the line is written.
  action.sa_flags = SA_ONSTACK;
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigaction(number, &action, nullptr);
  std::set_terminate(on_terminate);
}

void set_crash_hint(const char* text) noexcept {
  g_hint.store(text);
}

void watch_exit() {
  g_watched.store(::getpid());
  std::atexit(on_exit);
  std::at_quick_exit(on_quick_exit);
}

void exit_at_once(int exit_code, const char* function) noexcept {
  if (g_watched.load() == ::getpid()) report_end_by(function);
  end_process(exit_code);
}

void report_end_of_thread(const char* function) noexcept {
  if (g_watched.load() == ::getpid() && is_in_a_plugin()) report_call(function);
}

}  // namespace graft
