#pragma once

#include <optional>
#include <string>

#include <graft/cpu_isa.h>
#include <graft/export.h>

namespace graft {

/// What GRAFT_MAX_CPU_ISA names; nothing where it is unset or names nothing that is known.
std::optional<CpuIsa> cpu_isa_limit();
/// What is wrong with the variable; empty: nothing, or it is unset.
GRAFT_API std::string fault_of_cpu_isa_limit();

}  // namespace graft
