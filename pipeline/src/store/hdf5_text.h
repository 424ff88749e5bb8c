#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "store/hdf5_dataset.h"

namespace graft {

/// Whether elements of that type are texts, of fixed or variable length.
bool is_text(hid_t type);

/// Texts of rows [first, first + count) of a dataset with one axis, in the file whose bytes are `image`.
/// Refused: texts of more than 64 KiB; texts of variable length where HDF5 does not say where they lie (in
/// packed or compact data).
std::vector<std::string> read_texts(const Hdf5Dataset& set, std::span<const std::uint8_t> image,
                                    std::size_t first, std::size_t count);

/// An attribute of `object` that is a list of texts; empty where there is none of that name. `label`: what
/// the object is in messages. Refused: another shape or type, texts of variable length among them.
std::vector<std::string> read_text_attribute(hid_t object, const char* name, const std::string& label);

}  // namespace graft
