#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <graft/params.h>

/// \file
/// What the schemas of learners on feature vectors have in common.
namespace graft::learning {

/// `cache`, in MiB. `doc` says what is held in memory up to this size, and what becomes of more.
ParamSpec cache_parameter(std::string doc);
std::size_t cache_bytes(const Params& params);

/// `scale`: a name of RowScaler.
ParamSpec scale_parameter(const char* usual);

/// A config of this name, for an example: `stages` come after `images`, `features` and the `table` of them.
std::string config_on_features(std::string_view name, std::string_view stages);

}  // namespace graft::learning
