#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <graft/export.h>

namespace graft {

/// Gives the name of every member of a zip archive, as the list at its end has them
/// (APPNOTE.TXT 6.3.10, 4.3.12 to 4.3.16, with zip64), and nothing for a file that does not begin as one. For
/// decisions about what an archive may hold: where readers could disagree on the list (bytes between or
/// after its records, numbers that contradict each other), it throws Error, as it does for an archive that
/// is cut short or damaged.
GRAFT_API void for_each_zip_name(const std::filesystem::path& file,
                                 const std::function<void(std::string name)>& visit);

}  // namespace graft
