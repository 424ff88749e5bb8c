#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "store/row_writer.h"
#include "store/table_store.h"

namespace graft::test {

/// The table that the fault tests write: row i is a function of i alone, every 37th is a reject, 512 bytes a
/// row.
Fingerprint stored_fingerprint();
Digest stored_id(std::uint64_t row);
RowWriter::Job stored_row(std::uint64_t row);
bool has_outcome(const TableStore& store, std::uint64_t row);

struct TableCheck {
  std::string fault;   ///< What is wrong; empty when nothing is.
  std::string digest;  ///< Of all outcomes in order.
};

/// The oracle: the store opens, each of the first `known` of `rows` rows is there, every one that is there is
/// right to the last bit, and none is in two shards.
TableCheck check_table(const std::filesystem::path& store, std::uint64_t rows, std::uint64_t known);
/// All are there, and nothing else is left: no log, no half-written file, no shard that the manifest lacks.
TableCheck check_finished_table(const std::filesystem::path& store, std::uint64_t rows);

}  // namespace graft::test
