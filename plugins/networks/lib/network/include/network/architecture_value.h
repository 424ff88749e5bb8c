#pragma once

#include <graft/value.h>

#include <network/architecture.h>

namespace graft::nn {

/// The layers of a network as data that can be kept with its weights: `{"name", "layers": [{"name", "op",
/// "from", ...}]}`. What a layer has in its usual value is left out, and what is not needed to compute
/// (blocks, preprocessing) is not in it.
Value to_value(const Architecture& architecture);

/// The other way round; the last layer is the tap. Throws Error naming what is missing or impossible.
/// Whether the layers go together is for cost_of() to say.
Architecture architecture_from(const Value& value);

}  // namespace graft::nn
