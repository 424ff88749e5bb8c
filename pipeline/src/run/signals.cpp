#include "run/signals.h"

#include <signal.h>

#include <array>

#include "base/end_process.h"

namespace graft {
namespace {

// Only lock-free atomics and end_process: all that a signal handler may use.
std::atomic<bool> g_interrupted{false};
std::atomic<int> g_signal{0};
std::atomic<int> g_snapshots{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGUSR1};
std::array<struct sigaction, kSignals.size()> g_before;

void handle(int number) {
  if (number == SIGUSR1) {
    g_snapshots.fetch_add(1);
    return;
  }
  int none = 0;
  if (!g_signal.compare_exchange_strong(none, number)) end_process(128 + number);
  g_interrupted.store(true);
}

}  // namespace

Signals::Signals() {
  g_interrupted = false;
  g_signal = 0;
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &g_before[i]);
    // Whoever starts a program with nohup wants it to outlive the terminal.
    if (kSignals[i] == SIGHUP && g_before[i].sa_handler == SIG_IGN) continue;
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

Signals::~Signals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &g_before[i], nullptr);
}

const std::atomic<bool>& Signals::interrupted() const {
  return g_interrupted;
}

int Signals::exit_code() const {
  const int number = g_signal.load();
  return number == 0 ? 0 : 128 + number;
}

bool Signals::take_snapshot_request() {
  int n = g_snapshots.load();
  while (n > 0 && !g_snapshots.compare_exchange_weak(n, n - 1)) {
  }
  return n > 0;
}

}  // namespace graft
