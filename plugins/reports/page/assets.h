#pragma once

#include <string>

namespace graft::page {

/// style.css and page.js.
extern const char* const kStyle;
extern const char* const kScript;

/// SHA-256 as a Content-Security-Policy names it, in base64.
std::string digest_of(const char* text);

}  // namespace graft::page
