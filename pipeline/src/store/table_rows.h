#pragma once

#include <vector>

#include <graft/table.h>

#include "store/listing.h"
#include "store/table_store.h"

namespace graft {

/// One row of a table: which input, which view of it, and where it lies.
struct TableRow {
  std::uint32_t input = 0;  ///< Position in the listing.
  std::uint32_t view = 0;
  RowPlace place;
};

/// A RowSet over a stored table, in the order of `rows`. Reads blocks from disk; keeps nothing.
class GRAFT_API TableRows final : public RowSet {
 public:
  /// `store` and `listing` must outlive it.
  TableRows(const TableStore& store, const Listing& listing, std::vector<TableRow> rows);

  std::size_t rows() const override { return rows_.size(); }
  const Shape& shape() const override { return format_.shape; }
  DType dtype() const override { return format_.dtype; }
  std::string_view key(std::size_t row) const override { return input(row).key; }
  std::uint32_t view(std::size_t row) const override { return rows_[row].view; }
  Split split(std::size_t row) const override { return input(row).split; }
  std::span<const std::int32_t> labels(std::size_t row) const override { return input(row).labels; }
  bool negative(std::size_t row) const override { return input(row).negative; }
  void read(std::size_t first, std::size_t count, float* out) const override;
  void read_raw(std::size_t first, std::size_t count, void* out) const override;
  /// Position in the listing of a row's input.
  std::uint32_t input_index(std::size_t row) const { return rows_[row].input; }

 private:
  const ListedInput& input(std::size_t row) const { return listing_.inputs[rows_[row].input]; }

  const TableStore& store_;
  const Listing& listing_;
  RowFormat format_;
  std::vector<TableRow> rows_;
};

}  // namespace graft
