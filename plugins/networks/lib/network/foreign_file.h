#pragma once

#include <string>
#include <vector>

#include <network/input_file.h>

namespace graft::nn {

/// The format of a file that is not a weight file, by its content, and a fix: "an HDF5 file (Keras .h5):
/// ...". For formats that users mistake for weights; for any other file its first bytes.
std::string foreign_file(const InputFile& file);
/// The same for a zip archive with these entries; empty: not known.
std::string foreign_zip(const std::vector<std::string>& names);
/// Whether a file is an ONNX model: a protocol buffer, which has no magic number, by how it begins.
bool is_onnx(const InputFile& file);
/// Whether a file begins with text, as pages, pointers and lists do.
bool is_text(const InputFile& file);
/// A fix for a folder in place of a file: "; it holds model.safetensors: name that file".
std::string foreign_folder(const std::filesystem::path& folder);

}  // namespace graft::nn
