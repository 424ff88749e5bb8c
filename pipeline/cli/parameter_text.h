#pragma once

#include <string>
#include <vector>

#include <graft/schema.h>

/// \file
/// What `graft describe` prints of a plugin's declarations, in pieces, and as a page.
namespace graft::cli {

/// "integer, 1 to 100 rows, default 20".
std::string facts_of(const ParamSpec& param);
/// Its own sentence, and those on how it depends on other parameters.
std::vector<std::string> sentences_of(const ParamSpec& param);
/// What is set inside of it by names.
const std::vector<ParamSpec>& members_of(const ParamSpec& param);

/// "a call allocates at most 64 KiB and 2 bytes per byte of its input and output, beside ..."
std::string text_of(const WorkingMemory& memory);

/// A page of Markdown with all that the plugin declares.
std::string page_of(const PluginSchema& schema);

}  // namespace graft::cli
