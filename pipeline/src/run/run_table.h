#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/views.h"
#include "store/listing.h"
#include "store/table_rows.h"
#include "store/table_store.h"

namespace graft {

/// Names the outcomes of one input in a table.
struct RowIds {
  Digest content;
  std::string qualifier;  ///< RunTable::qualifier.
  Digest of(std::uint32_t view) const { return row_id(content, view, qualifier); }
};

/// A table of a run: complete after its stream has ended.
struct GRAFT_API RunTable {
  std::size_t stage = 0;                 ///< The collector.
  const Collector* collector = nullptr;  ///< Null while nothing has to be computed.
  std::unique_ptr<TableStore> store;
  ViewCounts views{};  ///< Outcomes that the table keeps of an input, by split; 0: takes none of them.
  PagedVector<TableRow> rows;  ///< Every row of this run's inputs, in the order of the list.
  std::uint64_t computed = 0, reused = 0;
  /// Views that were rejected in this run for a reason of the moment, of which the store keeps no record.
  std::unordered_map<Digest, StoredReject> momentary;

  std::uint32_t views_of(const ListedInput& input) const {
    return views[static_cast<std::size_t>(input.split)];
  }
  /// What names the input's rows beside its content, where the output depends on it.
  std::string qualifier(const ListedInput& input) const;
  /// The input's content must be known.
  RowIds ids(const ListedInput& input) const { return {*input.content, qualifier(input)}; }
  Digest id(const ListedInput& input, std::uint32_t view) const { return ids(input).of(view); }
};

/// What does not add up after a stream: views that ended neither as a row nor as a reject.
struct Unaccounted {
  std::size_t inputs = 0;  ///< Counted once per table.
  std::string example;     ///< A key.
};

/// Finds what became of every view of every input: fills in the tables' rows, and in each input how many rows
/// it has, why it was rejected and why views of it are missing. `replaced`: contents of files that were other
/// ones when they were read.
GRAFT_API Unaccounted settle(const Plan& plan, std::vector<RunTable>& tables,
                             const std::unordered_set<Digest>& replaced, Listing& listing);

}  // namespace graft
