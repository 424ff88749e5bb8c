#include "store/table_rows.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/bytes.h"
#include "store/widen.h"

namespace graft {
namespace {

/// Runs of rows that are scattered over a stretch at most this many times their number are read in one go.
constexpr std::size_t kMaxStretch = 4;

}  // namespace

TableRows::TableRows(const TableStore& store, const Listing& listing, std::vector<TableRow> rows)
    : store_(store),
      listing_(listing),
      format_(rows.empty() ? store.format().value_or(RowFormat{}) : store.format_of(rows[0].place.part)),
      rows_(std::move(rows)) {
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    const std::uint32_t part = rows_[i].place.part;
    if (part != rows_[i - 1].place.part && store.format_of(part) != format_)
      throw Error(fmt::format("the rows of a table must have one shape: '{}' has {}, '{}' has {}",
                              listing.inputs[rows_[0].input].key, to_string(format_),
                              listing.inputs[rows_[i].input].key, to_string(store.format_of(part))));
  }
}

void TableRows::read_raw(std::size_t first, std::size_t count, void* out) const {
  const std::size_t bytes = row_bytes(format_);
  auto* to = static_cast<std::uint8_t*>(out);
  std::vector<std::uint8_t> stretch;
  while (count > 0) {
    // Take as many rows of one shard as lie close together: rows were sealed in the order of an earlier list,
    // so this is nearly always one long run.
    const RowPlace start = rows_[first].place;
    const bool dense = store_.is_dense(start.part);
    std::size_t n = 1, low = start.row, high = start.row;
    bool in_order = true;
    for (; dense && n < count; ++n) {
      const RowPlace p = rows_[first + n].place;
      const std::size_t l = std::min<std::size_t>(low, p.row), h = std::max<std::size_t>(high, p.row);
      if (p.part != start.part || h - l + 1 > kMaxStretch * (n + 1) || (h - l + 1) * bytes > kBlockBytes)
        break;
      in_order = in_order && p.row == start.row + n;
      low = l;
      high = h;
    }
    if (in_order) {
      store_.read(start.part, low, n, to);
    } else {
      stretch.resize((high - low + 1) * bytes);
      store_.read(start.part, low, high - low + 1, stretch.data());
      for (std::size_t i = 0; i < n; ++i)
        std::memcpy(to + i * bytes, stretch.data() + (rows_[first + i].place.row - low) * bytes, bytes);
    }
    to += n * bytes;
    first += n;
    count -= n;
  }
}

void TableRows::read(std::size_t first, std::size_t count, float* out) const {
  const std::size_t bytes = row_bytes(format_);
  const std::size_t step = std::max<std::size_t>(1, kBlockBytes / std::max<std::size_t>(bytes, 1));
  std::vector<std::uint8_t> raw;
  for (; count > 0;) {
    const std::size_t n = std::min(step, count);
    raw.resize(n * bytes);
    read_raw(first, n, raw.data());
    widen(format_.dtype, raw.data(), n * dim(), out);
    out += n * dim();
    first += n;
    count -= n;
  }
}

}  // namespace graft
