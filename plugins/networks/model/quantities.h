#pragma once

#include <cstdint>
#include <string>

#include <graft/payload.h>

namespace graft::model {

/// \file
/// Numbers in tables.

std::string grouped(std::int64_t n);           // "25,557,032"
std::string with_unit(std::int64_t n);         // "4.09 G", "118 M", "980"; empty for 0
std::string bytes_text(std::int64_t n);        // "97.5 MiB", "40 B"; empty for 0
std::string extents_text(const Shape& shape);  // "64 x 112 x 112", "scalar"

}  // namespace graft::model
