#pragma once

#include <string>

#include "content.h"

namespace graft::page {

/// What the run did, section by section, without titles; empty: there is nothing to show.
std::string inputs_html(const Content& content);
std::string stages_html(const Content& content);
std::string network_html(const Content& content);
std::string provenance_html(const Content& content);

}  // namespace graft::page
