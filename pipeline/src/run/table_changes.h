#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "store/fingerprint.h"

namespace graft {

/// What tells the rows of two tables apart, from their descriptions, in words: "pixels.crop 224 -> 192",
/// "features.model has other content (1f3a5c77 -> 77b01234)", "pixels: decode 1.0.0 -> 1.1.0", "stage
/// 'augment' was added behind pixels". `ids`: the stages' names in the config of `now`.
GRAFT_API std::vector<std::string> differences(const Value& then, const Value& now,
                                               const std::vector<std::string>& ids);

/// Why a table without rows begins anew: the differences from the most similar table in the store, at most
/// four; among equals the newest. Nothing where no other table shares a stage with it.
GRAFT_API std::optional<std::string> why_new(const std::filesystem::path& store,
                                             const Fingerprint& fingerprint);

}  // namespace graft
