#include "plugin/process_state.h"

#include <clocale>
#include <filesystem>

#include <fmt/format.h>

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

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

}  // namespace

FloatingPointMode FloatingPointMode::now() noexcept {
  FloatingPointMode mode;
  mode.bits_ = control_bits();
  return mode;
}

void FloatingPointMode::set() const noexcept {
  set_control_bits(bits_);
}

ProcessState::ProcessState() : locale_(locale_name()), folder_(working_folder()) {}

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
  if (FloatingPointMode::now() != floating_point_) {
    report(kChangesFloatingPoint);
    floating_point_.set();
  }
  return changed;
}

}  // namespace graft
