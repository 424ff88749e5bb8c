#pragma once

// Parameters that several operations share.

#include <graft/params.h>

#include "warp.h"

namespace graft::augment {

struct Range {
  double low = 0, high = 0;
};

ParamSpec probability(double default_value);  // p
ParamSpec fill_parameter(std::string where);  // fill: one grey value or red, green, blue
ParamSpec sampling_parameter();               // filter: nearest or bilinear

/// The value of a list of two numbers. Throws Error when the first is the larger one.
Range range_of(const Params& params, const char* name);
/// The value of a list of one or two numbers: [low, high], or a distance from `centre` to both sides. Throws
/// Error for a negative distance, too.
Range range_around(double centre, const Params& params, const char* name);
/// The values of `fill`. Throws Error for two values.
Colour fill_of(const Params& params);
Sampling sampling_of(const Params& params);

}  // namespace graft::augment
