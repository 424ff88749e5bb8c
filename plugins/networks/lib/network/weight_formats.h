#pragma once

#include <memory>
#include <string_view>

#include <network/weight_file.h>

namespace graft::nn {

/// The formats behind open_weights. Each throws Error with the path.
std::unique_ptr<WeightFile> open_safetensors(std::unique_ptr<InputFile> file);
std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<InputFile> file);
std::unique_ptr<WeightFile> open_torch_legacy(std::unique_ptr<InputFile> file);

/// Magic bytes of a zip archive.
constexpr std::string_view kZipMagic{"PK\x03\x04", 4};
/// Bytes of the pickled magic number with which files of torch.save before PyTorch 1.6 begin; 0: another
/// file.
std::size_t legacy_magic_size(std::string_view start);

}  // namespace graft::nn
