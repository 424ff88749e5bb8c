#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/plan.h"

namespace graft {

/// A value that a parameter follows (ParamSpec::follows), and the stage that has it.
struct Followed {
  std::size_t stage;
  std::string value;
};

/// What the stages behind `stage` have for the first of `spec.followed` that is not null there, in the order
/// of the plan.
std::vector<Followed> followed_by(const Plan& plan, std::size_t stage, const ParamSpec& spec);

}  // namespace graft
