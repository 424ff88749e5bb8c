#pragma once

#include <cstdint>

namespace graft::test {

/// What fault_injector can count, cut short and record.
enum class Operation : std::uint32_t {
  Say,  ///< A write to standard output: what the program has promised by then.
  Create,
  Write,
  Truncate,
  Sync,
  Link,
  Rename,
  Unlink,
  MakeFolder,
  RemoveFolder,
  Read,
};

/// Header of a record in the file named by GRAFT_FAULT_RECORD; the bytes of `path`, `other` and the data
/// follow.
struct RecordedOperation {
  Operation operation = Operation::Say;
  std::uint32_t path_bytes = 0;
  std::uint32_t other_bytes = 0;  ///< Link, Rename: the new name.
  std::uint32_t zero = 0;
  std::uint64_t file = 0;    ///< Inode, for what is done to an open file or folder.
  std::uint64_t offset = 0;  ///< Write: where; Truncate: the new size.
  std::uint64_t data_bytes = 0;
};

}  // namespace graft::test
