#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <graft/value.h>

namespace graft::cli {

/// What a folder of images looks like, as far as names of files tell: which source reads it, and how.
struct DatasetLook {
  std::string plugin;              ///< A source.
  Value with;                      ///< Its parameters.
  bool gives_pixels = false;       ///< The source gives images, not files to decode.
  std::vector<std::string> notes;  ///< For people: what was found, what to know, one sentence each.
};

/// Looks at names below the folder, never into images. Throws Error that says what was found and what is
/// wanted where no source fits, above all where nothing names the classes.
DatasetLook look_at_dataset(const std::filesystem::path& folder);

}  // namespace graft::cli
