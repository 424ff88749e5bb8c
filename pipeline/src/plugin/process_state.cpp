#include "plugin/process_state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "base/files.h"

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

extern char** environ;

namespace graft {
namespace {

namespace fs = std::filesystem;

#if defined(__x86_64__)
/// The bits of MXCSR that are flags of exceptions: they change with every inexact result.
constexpr std::uint32_t kFlags = 0x3f;

/// MXCSR without its flags. The x87 unit, which computes long double alone, is not asked: that takes longer
/// than all else in a call, and fesetround and -ffast-math change MXCSR, too.
std::uint64_t control_bits() noexcept {
  return _mm_getcsr() & ~kFlags;
}
void set_control_bits(std::uint64_t bits) noexcept {
  _mm_setcsr(static_cast<std::uint32_t>(bits) | (_mm_getcsr() & kFlags));
  const std::uint16_t as_at_the_start = 0x37f;  // of the x87 unit in every process
  __asm__ volatile("fldcw %0" : : "m"(as_at_the_start));
}
#elif defined(__aarch64__)
/// FPCR; the flags of exceptions are in another register.
std::uint64_t control_bits() noexcept {
  std::uint64_t bits = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void set_control_bits(std::uint64_t bits) noexcept {
  __asm__ volatile("msr fpcr, %0" : : "r"(bits));
}
#else
std::uint64_t control_bits() noexcept {
  return 0;
}
void set_control_bits(std::uint64_t) noexcept {}
#endif

std::string locale_name() {
  const char* const name = std::setlocale(LC_ALL, nullptr);
  return name == nullptr ? "" : name;
}

/// Empty where it was removed.
std::string working_folder() {
  std::error_code error;
  return fs::current_path(error).string();
}

/// From proc(5): umask(2) cannot be asked without being set, and other threads make files meanwhile.
std::optional<mode_t> umask_now() {
  const FileHandle status{::open("/proc/self/status", O_RDONLY | O_CLOEXEC)};
  std::array<char, 512> text;
  const ssize_t n = status ? ::read(status.get(), text.data(), text.size()) : 0;
  const std::string_view lines(text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  constexpr std::string_view kName = "\nUmask:\t";
  std::size_t at = lines.find(kName);
  if (at == std::string_view::npos) return {};
  mode_t mask = 0;
  for (at += kName.size(); at < lines.size() && lines[at] >= '0' && lines[at] <= '7'; ++at)
    mask = mask * 8 + static_cast<mode_t>(lines[at] - '0');
  return mask;
}

/// Not all: runtimes register themselves in variables of their own when they are loaded.
bool is_watched(std::string_view name) {
  constexpr std::array<std::string_view, 9> kNames{
      "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "NO_COLOR", "OMP_NUM_THREADS", "PATH", "TMPDIR", "TZ"};
  return name.starts_with("LC_") || name.starts_with("GRAFT_") ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

std::vector<std::string> variables_now() {
  std::vector<std::string> out;
  if (environ == nullptr) return out;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (const std::string_view variable = *entry; is_watched(name_of(variable))) out.emplace_back(variable);
  return out;
}

/// "'x'", or nothing where it is not set.
std::string value_in(const std::vector<std::string>& variables, std::string_view name) {
  for (const std::string& variable : variables)
    if (name_of(variable) == name)
      return fmt::format("'{}'", variable.substr(std::min(variable.size(), name.size() + 1)));
  return "nothing";
}

/// Sets what is not as `variables` says, and names the first: "TMPDIR from nothing to '/x'".
std::string restore_variables(const std::vector<std::string>& variables) {
  const std::vector<std::string> now = variables_now();
  std::string changed;
  const auto note = [&](std::string_view name) {
    if (changed.empty())
      changed = fmt::format("{} from {} to {}", name, value_in(variables, name), value_in(now, name));
  };
  for (const std::string& variable : variables) {
    if (std::find(now.begin(), now.end(), variable) != now.end()) continue;
    const std::string name(name_of(variable));
    note(name);
    ::setenv(name.c_str(), variable.c_str() + std::min(variable.size(), name.size() + 1), 1);
  }
  for (const std::string& variable : now) {
    const std::string name(name_of(variable));
    if (value_in(variables, name) != "nothing") continue;
    note(name);
    ::unsetenv(name.c_str());
  }
  return changed;
}

/// "ignored", "its default", "a handler".
const char* meaning_of(const struct sigaction& action) {
  return action.sa_handler == SIG_IGN   ? "ignored"
         : action.sa_handler == SIG_DFL ? "its default"
                                        : "a handler";
}

/// Flags that the C library adds do not count.
bool is_same(const struct sigaction& a, const struct sigaction& b) {
  constexpr int kFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |
                         static_cast<int>(SA_RESETHAND);
  return a.sa_handler == b.sa_handler && (a.sa_flags & kFlags) == (b.sa_flags & kFlags);
}

}  // namespace

FloatingPointMode FloatingPointMode::now() noexcept {
  FloatingPointMode mode;
  mode.bits_ = control_bits();
  return mode;
}

void FloatingPointMode::set() const noexcept {
  set_control_bits(bits_);
}

ProcessState::Actions ProcessState::actions_now() {
  Actions out{};
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], nullptr, &out[i]);
  return out;
}

ProcessState::ProcessState()
    : locale_(locale_name()),
      folder_(working_folder()),
      umask_(umask_now()),
      actions_(actions_now()),
      variables_(variables_now()) {}

std::string ProcessState::restore() const {
  std::string changed;
  const auto report = [&](std::string what) {
    if (changed.empty()) changed = std::move(what);
  };
  if (const std::string locale = locale_name(); locale != locale_) {
    report(fmt::format("calls setlocale: the locale was {} and is {}", locale_, locale));
    std::setlocale(LC_ALL, locale_.c_str());
  }
  if (const std::string folder = working_folder(); folder != folder_) {
    report(fmt::format("changes the working folder from {} to {}", folder_, folder));
    std::error_code ignored;
    fs::current_path(folder_, ignored);
  }
  if (const auto mask = umask_now(); mask && umask_ && *mask != *umask_) {
    report(fmt::format("changes the umask from {:04o} to {:04o}", *umask_, *mask));
    ::umask(*umask_);
  }
  const Actions actions = actions_now();
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (is_same(actions[i], actions_[i])) continue;
    report(fmt::format("changes what SIG{} does from {} to {}", ::sigabbrev_np(kSignals[i]),
                       meaning_of(actions_[i]), meaning_of(actions[i])));
    ::sigaction(kSignals[i], &actions_[i], nullptr);
  }
  if (const std::string variable = restore_variables(variables_); !variable.empty())
    report("changes the environment variable " + variable);
  if (FloatingPointMode::now() != floating_point_) {
    report(kChangesFloatingPoint);
    floating_point_.set();
  }
  return changed;
}

}  // namespace graft
