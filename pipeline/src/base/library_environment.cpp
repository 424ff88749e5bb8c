#include "base/library_environment.h"

#include <malloc.h>

#include <cstdlib>
#include <string>

#include <graft/cpu_isa.h>
#include <graft/resources.h>

#include "base/cpu_isa_limit.h"

namespace graft {

void set_library_environment() {
  const auto set = [](const char* variable, const std::string& value) {
    ::setenv(variable, value.c_str(), 0);
  };
  set("OMP_NUM_THREADS", std::to_string(usable_processors()));
  const bool limited = cpu_isa_limit().has_value();
  const CpuIsa isa = cpu_isa();
  if (isa >= CpuIsa::Avx2) set("OPENBLAS_CORETYPE", isa >= CpuIsa::Avx512 ? "SkylakeX" : "Haswell");
  if (!limited) return;
  if (isa < CpuIsa::Avx2) set("OPENBLAS_CORETYPE", "Core2");
  set("ONEDNN_MAX_CPU_ISA", isa >= CpuIsa::Avx512 ? "AVX512_CORE" : isa >= CpuIsa::Avx2 ? "AVX2" : "SSE41");
  set("ATEN_CPU_CAPABILITY", isa >= CpuIsa::Avx512 ? "avx512" : isa >= CpuIsa::Avx2 ? "avx2" : "default");
}

void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace graft
