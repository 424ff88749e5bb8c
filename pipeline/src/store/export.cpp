#include "store/export.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/input_list.h"
#include "store/table_store.h"
#include "store/widen.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// A table by its folder: the fingerprint is the name.
Fingerprint fingerprint_of(const fs::path& table) {
  const std::string name = table.filename().string();
  Fingerprint f;
  f.digest.high = std::stoull(name.substr(0, 16), nullptr, 16);
  f.digest.low = std::stoull(name.substr(16), nullptr, 16);
  return f;
}

/// The rows of a list, in its order, with the inputs that they are of.
class ListedRows {
 public:
  ListedRows(const fs::path& table, InputListReader& list)
      : table_(table), store_(table.parent_path().parent_path(), fingerprint_of(table)), list_(list) {}

  /// Goes on to the next input; false after the last one.
  bool next_input() { return list_.next_input(input_) && (++inputs_, true); }
  /// Goes on to the next row of that input; false where it has no more.
  bool next_row() {
    if (!has_next_ && rows_ < list_.rows()) {
      list_.next_outcome(next_);
      has_next_ = true;
      ++rows_;
      if (next_.input + 1 < inputs_)
        throw Error(fmt::format(
            "{}: a list of its inputs is damaged, its rows are not in their order; run the config again",
            table_.string()));
    }
    if (!has_next_ || next_.input + 1 != inputs_) return false;
    row_ = next_;
    has_next_ = false;
    return true;
  }
  const InputList::Outcome& row() const { return row_; }

  void add_to(FeatureFile& file) {
    const auto place = store_.find_row(row_.id);
    if (!place)
      throw Error(fmt::format("'{}' has no row in the table any more; run the config again", input_.key));
    const RowFormat& format = store_.format_of(place->part);
    raw_.resize(row_bytes(format));
    values_.resize(raw_.size() / size_of(format.dtype));
    store_.read(place->part, place->row, 1, raw_.data());
    widen(format.dtype, raw_.data(), values_.size(), values_.data());
    file.add({input_.key, input_.split, input_.labels, input_.negative, row_.view}, format.shape, values_);
  }

 private:
  const fs::path table_;
  TableStore store_;
  InputListReader& list_;
  InputList::Input input_;
  InputList::Outcome row_, next_;
  std::uint64_t inputs_ = 0, rows_ = 0;  // that were read
  bool has_next_ = false;
  std::vector<std::uint8_t> raw_;
  std::vector<float> values_;
};

std::uint32_t views_of(InputListReader& list) {
  std::uint32_t views = 1;
  InputList::Outcome row;
  for (std::uint64_t i = 0; i < list.rows() && list.next_outcome(row); ++i)
    views = std::max(views, row.view + 1);
  list.rewind_outcomes();
  return views;
}

}  // namespace

Exported export_table(const fs::path& table, const TableUse& use, const fs::path& path, WithoutFeatures are) {
  FeatureFile::require_name(path);
  InputListReader list(table / "inputs" / use.list);
  const std::uint32_t views = are == WithoutFeatures::Nan ? views_of(list) : 0;
  FeatureFile file(path, list.classes(), list.rows());
  ListedRows rows(table, list);
  while (rows.next_input()) {
    std::uint32_t next = 0;  // view that is due
    while (rows.next_row()) {
      for (; next < views && next < rows.row().view; ++next) file.add_without_features();
      next = rows.row().view + 1;
      rows.add_to(file);
    }
    for (; next < views; ++next) file.add_without_features();
  }
  return file.finish();
}

}  // namespace graft
