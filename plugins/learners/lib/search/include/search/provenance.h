#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/table.h>

#include <search/neighbours.h>

namespace graft::search {

/// Where the rows of an index come from: for reports, and so that a row never finds itself or another
/// view of the same input. Immutable; any thread.
class Provenance {
 public:
  Provenance() = default;
  /// Row i of the index is row positions[i] of `set`. Rows of one input follow each other.
  Provenance(const RowSet& set, std::vector<std::size_t> positions);

  /// Of a model that was loaded: which inputs the rows come from is not known any more.
  explicit Provenance(std::vector<std::size_t> positions) : positions_(std::move(positions)) {}

  bool empty() const { return positions_.empty(); }
  std::uint32_t position(std::uint32_t row) const { return static_cast<std::uint32_t>(positions_[row]); }
  /// Rows of the index that come from the input of this key; an empty range when none does.
  RowRange of(std::string_view key) const;
  /// The same, by one of the rows.
  RowRange of_row(std::uint32_t row) const;
  /// The most rows that one input has.
  std::size_t widest() const { return widest_; }

 private:
  std::vector<std::size_t> positions_;
  std::vector<std::pair<std::uint64_t, RowRange>> inputs_;  // by hash of the key, ascending
  std::vector<std::uint32_t> begins_;                       // of the inputs' rows, ascending
  std::size_t widest_ = 0;
};

}  // namespace graft::search
