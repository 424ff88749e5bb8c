#pragma once

#include <string>

namespace graft::cli {

/// What a browser gets: a page to drop images on, its script and its style, none of which load anything from
/// elsewhere.
extern const char* const kServePage;
extern const char* const kServeScript;
extern const char* const kServeStyle;
/// The Content-Security-Policy of the page: its own script and style, and nothing else.
extern const char* const kServePolicy;

/// The service described in OpenAPI 3.0, as JSON.
std::string serve_description();

}  // namespace graft::cli
