#pragma once

#include <filesystem>

#include <graft/predictor.h>

namespace graft {

/// The fact that says the format of a bundle, and what a run writes. Format 1 had no digests.
inline constexpr const char* kFormatFact = "graft_bundle";
inline constexpr int kBundleFormat = 2;

/// Writes a bundle into a folder: `bundle.json` (facts) and `weights.safetensors` (tensors), each atomically.
/// Large tensors go through a buffer of some MiB; their names are the fact `large`. The SHA-256 of both files
/// are the fact `sha256`.
GRAFT_API void save_bundle(const std::filesystem::path& folder, const Bundle& bundle);

/// Reads what save_bundle wrote, but for the large tensors, whose readers keep the file open. Throws Error
/// naming the file and the fault: lengths, names, types, shapes and ranges are all checked before memory is
/// taken, and both files are compared with the fact `sha256`, which is not among the facts then.
GRAFT_API Bundle load_bundle(const std::filesystem::path& folder);

}  // namespace graft
