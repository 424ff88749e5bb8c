#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "drawings.h"

namespace graft::page {

/// Drawings with their titles and legends, side by side where there is room.
std::string figures_of(const std::vector<Drawing>& drawings);

/// What another report has given for the page, without its title. `number`: its position.
std::string section_html(const GivenSection& given, std::size_t number);

}  // namespace graft::page
