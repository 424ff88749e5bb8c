#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "store/hdf5.h"

namespace graft {

/// Files that graft wrote and files from elsewhere are opened by the same rules: what is not plain data of
/// the file itself is refused before any of it is read. Hold a Hdf5Lock; everything throws Error with file,
/// dataset and reason.

/// What files are opened with: the earliest format, no locks, everything closed with the file.
Hdf5Id file_access_list();

/// Opens for reading. Refused: what is not a regular file (a FIFO would block) or no HDF5 file, or cut short.
Hdf5Id open_hdf5_file(const std::filesystem::path& path);

/// Opens for reading what lies in memory, without a copy and without another file being opened. `image`
/// outlives what is opened in it; `label`: what messages call it.
Hdf5Id open_hdf5_image(std::span<const std::uint8_t> image, const std::string& label);

/// Whether the file has an object of that name, "group/name" included. A link to elsewhere counts, and is
/// not followed.
bool has_object(hid_t file, const std::string& name);

/// A dataset with at least one axis.
struct Hdf5Dataset {
  std::string label;  ///< "FILE, dataset 'rows'": for messages.
  Hdf5Id id;
  std::vector<hsize_t> extents;
};

/// Refused: links to elsewhere, virtual and external data, filters other than deflate, shuffle and
/// fletcher32, chunks of more than 512 MiB, data that were never wholly written (HDF5 would read zeros).
/// Chunks in one line across the rows are cached, so that reading forwards unpacks each once.
Hdf5Dataset open_dataset(hid_t file, const std::filesystem::path& path, const std::string& name);

/// Rows [first, first + count), converted to `memory_type`. `transfer`: a transfer property list.
void read_rows(const Hdf5Dataset& set, hid_t memory_type, std::size_t first, std::size_t count, void* out,
               hid_t transfer = H5P_DEFAULT);

/// Writes rows [first, first + count) of a dataset that is being made, whose shape is `extents`.
void write_rows(hid_t set, const std::vector<hsize_t>& extents, hid_t memory_type, std::size_t first,
                std::size_t count, const void* data, const std::string& doing);

}  // namespace graft
