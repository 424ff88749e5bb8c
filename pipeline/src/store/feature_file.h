#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/payload.h>

namespace graft {

/// What is wrong with the name of a file that rows are to be written to: "expected FILE.h5, ..."; empty:
/// nothing.
GRAFT_API std::string fault_of_export_name(const std::filesystem::path& file);

/// What a row of a FeatureFile says beside its numbers.
struct FeatureRow {
  std::string_view key;
  Split split = Split::Test;
  std::span<const std::int32_t> labels = {};
  bool negative = false;  ///< As Entry::negative.
  std::uint32_t view = 0;
};

struct Exported {
  std::uint64_t rows = 0;
  std::uint64_t nan_rows = 0;  ///< Of `rows`.
};

/// A file of rows for other software, written row by row. Memory does not grow with the number of rows; the
/// file gets its name when it is complete and synced.
///
///   .h5:   features [n, ...] float32, labels [n] int64 (-1: unlabelled), or, where an input of a row has
///          several labels or is negative, [n, classes] int8 of 0 and 1 (-1 in every column: unlabelled),
///          keys [n] and splits [n] fixed-length texts, views [n] uint32, classes [c]; contiguous, no filter.
///          The rows of an input have its key, each with the number of its view, from 0.
///   .npy:  the features alone, format 1.0
///   .csv:  key,split,label,view,f0,f1,...: as .h5, several labels separated by ';', numbers that read back
///          to the same float32
class GRAFT_API FeatureFile {
 public:
  /// Throws Error: `path` exists, or its name has a fault.
  static void require_name(const std::filesystem::path& path);
  /// `rows`: how many there will be, where that is known; otherwise those of an HDF5 file lie in a temporary
  /// file beside it until finish(). Throws Error, also where require_name() does.
  FeatureFile(std::filesystem::path path, std::vector<std::string> classes,
              std::optional<std::uint64_t> rows = {});
  ~FeatureFile();
  FeatureFile(const FeatureFile&) = delete;
  FeatureFile& operator=(const FeatureFile&) = delete;

  /// Throws Error: it cannot be written, or `shape` is another one than that of the rows before.
  void add(const FeatureRow& row, const Shape& shape, std::span<const float> values);
  /// A row of NaN in .npy, which has no keys to find the others by; nothing in the others.
  void add_without_features();
  /// Throws Error: there is no row with features.
  Exported finish();
  /// Whether some row has features.
  bool has_rows() const { return shape_.has_value(); }

  class Format;

 private:
  void flush();
  void add_nan(std::uint64_t rows);

  const std::filesystem::path path_, temporary_;
  std::unique_ptr<Format> format_;
  std::optional<Shape> shape_;  // of the rows so far
  std::vector<float> block_;
  Exported written_;
  std::uint64_t nan_before_ = 0;  // rows of NaN before the first one that has a shape
};

}  // namespace graft
