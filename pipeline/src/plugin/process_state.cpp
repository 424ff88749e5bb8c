#include "plugin/process_state.h"

#include <xmmintrin.h>

#include <clocale>
#include <filesystem>

#include <fmt/format.h>

namespace graft {
namespace {

namespace fs = std::filesystem;

/// The bits of MXCSR that are flags of exceptions: they change with every inexact result.
constexpr std::uint32_t kFlags = 0x3f;

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
  mode.sse_ = _mm_getcsr() & ~kFlags;
  __asm__ volatile("fnstcw %0" : "=m"(mode.x87_));
  return mode;
}

void FloatingPointMode::set() const noexcept {
  _mm_setcsr(sse_ | (_mm_getcsr() & kFlags));
  __asm__ volatile("fldcw %0" : : "m"(x87_));
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
