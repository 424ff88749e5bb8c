#pragma once

#include <filesystem>

#include <graft/predictor.h>

namespace graft {

/// The fact `graft_bundle` of what a run writes.
inline constexpr int kBundleFormat = 1;

/// Writes a bundle into a folder: `bundle.json` (facts) and `weights.safetensors` (tensors), each atomically.
/// Large tensors go through a buffer of some MiB; their names are the fact `large`.
GRAFT_API void save_bundle(const std::filesystem::path& folder, const Bundle& bundle);

/// Reads what save_bundle wrote, but for the large tensors, whose readers keep the file open. Throws Error
/// naming the file and the fault: lengths, names, types, shapes and ranges are all checked before memory is
/// taken.
GRAFT_API Bundle load_bundle(const std::filesystem::path& folder);

}  // namespace graft
