#include <graft/cpu_isa.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "base/cpu_isa_limit.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace graft {
namespace {

constexpr const char* kVariable = "GRAFT_MAX_CPU_ISA";

std::string_view given_limit() {
  const char* const text = std::getenv(kVariable);
  return text == nullptr ? "" : text;
}

#if defined(__x86_64__)
/// clang 14 does not know the feature by its name; that of AVX tells of the operating system, too.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx") != 0 && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

CpuIsa isa_of_processor() {
  __builtin_cpu_init();  // some kernels are chosen by constructors, which may run before the compiler's own
  if (__builtin_cpu_supports("sse4.1") == 0) return CpuIsa::Baseline;
  if (__builtin_cpu_supports("sse4.2") == 0 || __builtin_cpu_supports("avx2") == 0 ||
      __builtin_cpu_supports("fma") == 0 || !has_f16c())
    return CpuIsa::Sse41;
  if (__builtin_cpu_supports("avx512f") == 0 || __builtin_cpu_supports("avx512bw") == 0 ||
      __builtin_cpu_supports("avx512cd") == 0 || __builtin_cpu_supports("avx512dq") == 0 ||
      __builtin_cpu_supports("avx512vl") == 0)
    return CpuIsa::Avx2;
  return __builtin_cpu_supports("avx512bf16") == 0 ? CpuIsa::Avx512 : CpuIsa::Avx512Bf16;
}
#else
CpuIsa isa_of_processor() {
  return CpuIsa::Baseline;
}
#endif

}  // namespace

std::optional<CpuIsa> cpu_isa_limit() {
  const std::string_view name = given_limit();
  for (const CpuIsa isa : {CpuIsa::Sse41, CpuIsa::Avx2, CpuIsa::Avx512})
    if (name == to_string(isa)) return isa;
  return {};
}

std::string fault_of_cpu_isa_limit() {
  if (given_limit().empty() || cpu_isa_limit()) return {};
  return fmt::format("{}: expected sse41, avx2 or avx512, got '{}'", kVariable, given_limit());
}

const char* to_string(CpuIsa isa) {
  static constexpr const char* kNames[] = {"baseline", "sse41", "avx2", "avx512", "avx512bf16"};
  return kNames[static_cast<int>(isa)];
}

CpuIsa cpu_isa() {
  static const CpuIsa kIsa = std::min(isa_of_processor(), cpu_isa_limit().value_or(CpuIsa::Avx512Bf16));
  return kIsa;
}

}  // namespace graft
