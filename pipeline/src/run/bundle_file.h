#pragma once

#include <filesystem>

#include <graft/predictor.h>

namespace graft {

/// Writes a bundle into a folder: `bundle.json` (facts) and `weights.safetensors` (tensors), each atomically.
GRAFT_API void save_bundle(const std::filesystem::path& folder, const Bundle& bundle);

/// Reads what save_bundle wrote. Throws Error naming the file and the fault: lengths, names, types, shapes
/// and ranges are all checked before memory is taken.
GRAFT_API Bundle load_bundle(const std::filesystem::path& folder);

/// The safetensors format: u64 length of a JSON header, the header, the tensors' bytes.
GRAFT_API std::string to_safetensors(const std::map<std::string, Tensor>& tensors);
GRAFT_API std::map<std::string, Tensor> from_safetensors(std::string_view file);

}  // namespace graft
