#pragma once

#include <string>

#include <graft/value.h>

#include "config/plan.h"
#include "graph/meter.h"

namespace graft {

/// One line on what limits a run, and by how much: the stage that took the largest part of its time.
/// `timings`: of results.json. The time of a stream is divided among its stages by what threads did in them;
/// what is left is time in which threads had nothing to do.
GRAFT_API std::string profile_line(const Plan& plan, const Meter& meter, const Value& timings);

}  // namespace graft
