#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <graft/hash.h>
#include <graft/item.h>

#include "base/files.h"

namespace graft {

/// The list of inputs that a complete run had for a table, and what each led to: kept beside the rows, so
/// that `graft store verify` can prove that none is missing and `graft store export` knows keys, labels and
/// splits. `inputs/<xxHash3-128 of the content>.inputs`; layout (little-endian), version 3;
/// version 2 has no negatives:
///
///   "GRAFTINP" | u32 version | u32 classes | u64 inputs | u64 rows | u64 rejects | u64 refused without a
///   record every class:  u32 length, the name every input:  u32 length of the key | u16 labels | u8 split
///   (0 train, 1 val, 2 test) | u8 negative (0, 1) | i32 labels | the key every row, then every reject:
///   u64 id.high | u64 id.low | u32 input | u32 view u32 CRC-32C of everything before
struct GRAFT_API InputList {
  struct Input {
    std::string key;
    Split split = Split::Train;
    std::vector<std::int32_t> labels;
    bool negative = false;  ///< As Entry::negative.
  };
  struct Outcome {
    Digest id;
    std::uint32_t input = 0;  ///< Position in `inputs`.
    std::uint32_t view = 0;
  };
  std::vector<std::string> classes;
  std::vector<Input> inputs;
  std::vector<Outcome> rows, rejects;  ///< In the order of the inputs.
  /// Inputs that were refused for a reason of the moment (missing, unreadable): the store keeps no record.
  std::uint64_t refused = 0;

  /// Throws Error naming the file when a byte is wrong.
  static InputList read(const std::filesystem::path& path);
};

/// Reads an InputList piece by piece: a list of millions need not be in memory. Everything throws Error
/// naming the file when a byte is wrong.
class GRAFT_API InputListReader {
 public:
  /// Compares the checksum of the whole file.
  explicit InputListReader(const std::filesystem::path& path);
  ~InputListReader();

  const std::vector<std::string>& classes() const { return classes_; }
  std::uint64_t inputs() const { return inputs_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t rejects() const { return rejects_; }
  std::uint64_t refused() const { return refused_; }

  /// The next input; false after the last one.
  bool next_input(InputList::Input& input);
  /// The next outcome, those of rows, then those of rejects; false after the last one. Inputs and outcomes
  /// have places of their own in the file.
  bool next_outcome(InputList::Outcome& outcome);
  /// next_outcome() begins with the first one again.
  void rewind_outcomes();

 private:
  class Cursor;
  [[noreturn]] void fail(const char* why) const;
  void require_end_of_inputs() const;

  const std::string path_;
  FileHandle file_;
  std::unique_ptr<Cursor> in_, outcomes_;
  std::vector<std::string> classes_;
  std::uint64_t inputs_ = 0, rows_ = 0, rejects_ = 0, refused_ = 0;
  std::uint64_t inputs_read_ = 0, outcomes_read_ = 0;
  std::uint64_t outcomes_begin_ = 0, end_ = 0;
};

/// Writes an InputList piece by piece: a list of millions need not be in memory twice.
class GRAFT_API InputListWriter {
 public:
  struct Counts {
    std::uint64_t inputs = 0, rows = 0, rejects = 0, refused = 0;
  };
  using Sink = std::function<void(std::span<const std::uint8_t>)>;
  InputListWriter(const std::vector<std::string>& classes, const Counts& counts, Sink sink);

  /// As many as the counts say, in this order: inputs, rows, rejects.
  void input(std::string_view key, Split split, std::span<const std::int32_t> labels, bool negative);
  void outcome(const Digest& id, std::uint32_t input, std::uint32_t view);
  void finish();

 private:
  template <typename T>
  void put_number(T value);
  void put_bytes(const void* data, std::size_t size);
  void flush();

  Sink sink_;
  std::vector<std::uint8_t> buffer_;
  std::uint32_t crc_ = 0;
};

/// Writes a list into `folder` under the digest of its content, unless it is there, and gives the name of the
/// file. `produce` is called once or twice and must give the same each time. Throws Error.
GRAFT_API std::string write_input_list(const std::filesystem::path& folder,
                                       const std::vector<std::string>& classes,
                                       const InputListWriter::Counts& counts,
                                       const std::function<void(InputListWriter&)>& produce);

}  // namespace graft
