#pragma once

#include <optional>
#include <string>

#include <graft/predictor.h>

namespace graft::training {

/// Writes facts and float tensors to one file: under a temporary name, synced, then renamed, so that after a
/// kill there is the old file or the new one. Throws Error.
void write_checkpoint(const std::string& path, const Bundle& state);

/// Reads what write_checkpoint wrote. Nothing when there is no file; throws Error when it is damaged.
std::optional<Bundle> read_checkpoint(const std::string& path);

}  // namespace graft::training
