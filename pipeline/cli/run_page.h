#pragma once

namespace graft::cli {

/// The page of `graft run --ui`, its script and its style, none of which load anything from elsewhere.
extern const char* const kRunPage;
extern const char* const kRunScript;
extern const char* const kRunStyle;
/// The Content-Security-Policy of the page: its own script and style, and nothing else.
extern const char* const kRunPolicy;

}  // namespace graft::cli
