#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "weight_file.h"

namespace graft::nn {

/// The formats behind open_weights. Each throws Error with the path.
std::unique_ptr<WeightFile> open_safetensors(std::unique_ptr<InputFile> file);
std::unique_ptr<WeightFile> open_torch_zip(std::unique_ptr<InputFile> file);
std::unique_ptr<WeightFile> open_torch_legacy(std::unique_ptr<InputFile> file);

/// What files begin with: a zip archive; the pickled magic number of torch.save before PyTorch 1.6.
constexpr std::string_view kZipMagic{"PK\x03\x04", 4};
constexpr std::string_view kLegacyMagic{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15};

}  // namespace graft::nn
