#include "store/compact.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/value.h>

#include "base/attempt.h"
#include "base/files.h"
#include "store/folder_lock.h"
#include "store/input_list.h"
#include "store/manifest.h"
#include "store/row_log.h"
#include "store/shard.h"
#include "store/table_use.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// What a compaction does when its shards are written: which entries come, which go. From the moment that it
/// is there, either all of it happens or none.
fs::path intention_of(const fs::path& table) {
  return table / "compacting";
}

struct Intention {
  std::vector<std::uint64_t> added, dropped;  ///< Numbers in the manifest.
  std::vector<std::string> files;             ///< Shards of `added`.
};

Value value_of_intention(const Intention& intention) {
  Value v = Value::map();
  for (const auto& [key, numbers] :
       {std::pair("added", &intention.added), std::pair("dropped", &intention.dropped)}) {
    v[key] = Value::List((*numbers).begin(), (*numbers).end());
  }
  v["files"] = Value::List(intention.files.begin(), intention.files.end());
  return v;
}

Intention read_intention(const fs::path& path) {
  const Value v = Value::from_json(read_file(path));
  Intention out;
  const auto list = [&](const char* key) -> const Value::List& {
    const Value* found = v.find(key);
    if (found == nullptr) throw Error(fmt::format("{}: '{}' is missing", path.string(), key));
    return found->as_list();
  };
  for (const Value& number : list("added")) out.added.push_back(static_cast<std::uint64_t>(number.as_int()));
  for (const Value& number : list("dropped"))
    out.dropped.push_back(static_cast<std::uint64_t>(number.as_int()));
  for (const Value& file : list("files")) out.files.push_back(file.as_string());
  if (out.added.size() != out.files.size()) throw Error(path.string() + ": is not a compaction");
  return out;
}

fs::path entry_path(const fs::path& table, std::uint64_t number) {
  return table / "manifest" / fmt::format("{:08}", number);
}

/// Nothing where the entry was dropped, or is not there. Throws Error.
std::optional<ShardEntry> living_entry(const fs::path& table, std::uint64_t number) {
  const fs::path path = entry_path(table, number);
  std::error_code unknown;  // where that is set, reading says why
  if (!fs::exists(path, unknown) && !unknown) return {};
  return read_manifest_entry(path);
}

void drop_shard(const fs::path& table, std::uint64_t number) {
  const auto entry = living_entry(table, number);
  if (!entry) return;
  drop_manifest_entry(entry_path(table, number));
  std::error_code ignored;  // what stays is a leftover, which the next run removes
  fs::remove(table / "shards" / entry->file, ignored);
}

/// Rows and rejects that are in other shards already.
struct StoredElsewhere {
  std::unordered_set<Digest> rows, rejects;
  void add(const ShardEntry& entry) {
    rows.insert(entry.row_ids.begin(), entry.row_ids.end());
    rejects.insert(entry.reject_ids.begin(), entry.reject_ids.end());
  }
};

/// A row of the shards that are joined.
struct OldRow {
  std::uint64_t position = 0;  ///< In the list of the last run; after all others where it is not in it.
  std::uint32_t shard = 0, row = 0;
};

/// Shards of one format and compression, and what makes them one.
class Joining {
 public:
  Joining(const fs::path& table, std::vector<std::unique_ptr<Shard>> shards, std::uint64_t shard_bytes,
          const StoredElsewhere& elsewhere)
      : table_(table),
        shards_(std::move(shards)),
        format_(shards_[0]->entry().format),
        shard_bytes_(shard_bytes),
        elsewhere_(elsewhere) {
    for (std::uint32_t s = 0; s < shards_.size(); ++s)
      for (std::uint32_t r = 0; r < shards_[s]->entry().reject_ids.size(); ++r)
        if (!elsewhere_.rejects.contains(shards_[s]->entry().reject_ids[r])) rejects_.push_back({s, r});
  }

  /// Writes the new shards, without entries. Gives those.
  std::vector<ShardEntry> write(const std::unordered_map<Digest, std::uint64_t>& positions) {
    std::vector<OldRow> rows = ordered(positions);
    const std::size_t bytes = std::max<std::size_t>(row_bytes(format_), 1);
    const std::size_t most = std::max<std::size_t>(1, shard_bytes_ / bytes);
    std::vector<ShardEntry> out;
    if (rows.empty() && rejects_.empty()) return out;
    std::size_t first = 0;
    do {
      const std::size_t count = std::min(most, rows.size() - first);
      out.push_back(write_piece(std::span(rows).subspan(first, count), out.empty()));
      first += count;
    } while (first < rows.size());
    return out;
  }
  std::uint64_t rejects() const { return rejects_.size(); }

 private:
  std::vector<OldRow> ordered(const std::unordered_map<Digest, std::uint64_t>& positions) const {
    std::vector<OldRow> rows;
    for (std::uint32_t s = 0; s < shards_.size(); ++s) {
      const auto& ids = shards_[s]->entry().row_ids;
      for (std::uint32_t r = 0; r < ids.size(); ++r) {
        if (elsewhere_.rows.contains(ids[r])) continue;
        const auto at = positions.find(ids[r]);
        rows.push_back({at == positions.end() ? positions.size() : at->second, s, r});
      }
    }
    std::sort(rows.begin(), rows.end(), [](const OldRow& a, const OldRow& b) {
      return std::tie(a.position, a.shard, a.row) < std::tie(b.position, b.shard, b.row);
    });
    return rows;
  }

  ShardEntry write_piece(std::span<const OldRow> rows, bool with_rejects) {
    const std::size_t bytes = row_bytes(format_);
    std::vector<std::uint8_t> payloads(rows.size() * bytes);
    read(rows, payloads.data());
    std::vector<RowRecord> records, rejects;
    for (std::size_t i = 0; i < rows.size(); ++i)
      records.push_back({shards_[rows[i].shard]->entry().row_ids[rows[i].row],
                         i,
                         true,
                         {payloads.data() + i * bytes, bytes}});
    std::vector<std::vector<std::uint8_t>> reasons;
    if (with_rejects)
      for (const auto& [shard, at] : rejects_)
        reasons.push_back(encode_reject(shards_[shard]->entry().rejects[at]));
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      const auto& [shard, at] = rejects_[i];
      rejects.push_back({shards_[shard]->entry().reject_ids[at], i, false, reasons[i]});
    }
    const fs::path path = table_ / "shards" / (new_attempt() + ".h5");
    const fs::path temporary = path.string() + ".tmp";
    ShardEntry entry = write_shard(temporary, table_.filename().string(), format_,
                                   shards_[0]->entry().compression, records, rejects);
    entry.file = path.filename().string();
    if (!link_without_replacing(temporary, path)) throw Error(file_error("link", path, EEXIST));
    return entry;
  }

  /// Runs of rows that lie together are read in one go.
  void read(std::span<const OldRow> rows, std::uint8_t* out) const {
    const std::size_t bytes = row_bytes(format_);
    std::vector<std::uint32_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::tie(rows[a].shard, rows[a].row) < std::tie(rows[b].shard, rows[b].row);
    });
    constexpr std::size_t kMostAtOnce = std::size_t{4} << 20;
    std::vector<std::uint8_t> block;
    for (std::size_t i = 0; i < order.size();) {
      const OldRow& first = rows[order[i]];
      std::size_t n = 1;
      while (i + n < order.size() && rows[order[i + n]].shard == first.shard &&
             rows[order[i + n]].row == first.row + n && (n + 1) * bytes <= kMostAtOnce)
        ++n;
      block.resize(n * bytes);
      shards_[first.shard]->read(first.row, n, block.data());
      for (std::size_t k = 0; k < n; ++k)
        std::copy_n(block.data() + k * bytes, bytes, out + order[i + k] * bytes);
      i += n;
    }
  }

  const fs::path& table_;
  const std::vector<std::unique_ptr<Shard>> shards_;
  const RowFormat format_;
  const std::uint64_t shard_bytes_;
  const StoredElsewhere& elsewhere_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> rejects_;  // shard, and position in it
};

/// Shards of a table by what they must have in common to be joined, with their numbers.
using Groups = std::map<std::string, std::vector<std::pair<std::uint64_t, std::unique_ptr<Shard>>>>;

void add_to(Groups& groups, const fs::path& table, std::uint64_t number, ShardEntry entry) {
  const std::string kind = fmt::format("{}/{}", to_string(entry.format), static_cast<int>(entry.compression));
  groups[kind].emplace_back(number, std::make_unique<Shard>(table / "shards", std::move(entry)));
}

/// Writes the rows of each group that are not elsewhere into new shards, whose entries come after `last`,
/// and makes that what a compaction has to bring to its end.
Intention begin_compaction(const fs::path& table, Groups&& groups, std::uint64_t last,
                           std::uint64_t shard_bytes,
                           const std::unordered_map<Digest, std::uint64_t>& positions,
                           const StoredElsewhere& elsewhere, Compaction& done) {
  Intention intention;
  std::vector<ShardEntry> entries;
  for (auto& [kind, numbered] : groups) {
    std::vector<std::unique_ptr<Shard>> shards;
    for (auto& [number, shard] : numbered) {
      intention.dropped.push_back(number);
      shards.push_back(std::move(shard));
    }
    Joining joining(table, std::move(shards), shard_bytes, elsewhere);
    for (ShardEntry& entry : joining.write(positions)) {
      done.rows += entry.row_ids.size();
      intention.added.push_back(++last);
      intention.files.push_back(entry.file);
      entries.push_back(std::move(entry));
    }
    done.rejects += joining.rejects();
  }
  sync_folder(table / "shards");
  write_file_atomically(intention_of(table), value_of_intention(intention).to_json_pretty());
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (!add_manifest_entry(table, intention.added[i], entries[i]))
      throw Error(
          fmt::format("{}: somebody else writes to this table, whose lock this file system does not show",
                      entry_path(table, intention.added[i]).string()));
  return intention;
}

std::unordered_map<Digest, std::uint64_t> positions_in_last_list(const fs::path& table) {
  std::unordered_map<Digest, std::uint64_t> out;
  const std::vector<TableUse> uses = read_uses(table);
  if (uses.empty()) return out;
  try {
    for (const InputList::Outcome& row : InputList::read(table / "inputs" / uses.front().list).rows)
      out.emplace(row.id, out.size());
  } catch (const Error&) {  // verify names it; any order will do
  }
  return out;
}

}  // namespace

bool is_being_compacted(const fs::path& table) {
  std::error_code error;
  return fs::exists(intention_of(table), error);
}

bool finish_compaction(const fs::path& table) {
  if (!is_being_compacted(table)) return false;
  const Intention intention = read_intention(intention_of(table));
  std::vector<ShardEntry> added;  // those that are there
  std::vector<std::uint64_t> living;
  for (std::size_t i = 0; i < intention.added.size(); ++i)
    if (auto entry = living_entry(table, intention.added[i]); entry && entry->file == intention.files[i]) {
      living.push_back(intention.added[i]);
      added.push_back(std::move(*entry));
    }
  std::map<std::uint64_t, ShardEntry> old;
  for (const std::uint64_t number : intention.dropped)
    if (auto entry = living_entry(table, number)) old.emplace(number, std::move(*entry));
  if (added.size() == intention.added.size()) {
    for (const auto& [number, entry] : old) drop_shard(table, number);
  } else if (old.size() == intention.dropped.size()) {
    for (const std::uint64_t number : living) drop_shard(table, number);
  } else {
    // Repair has dropped one of either side since: only both together have all that is left. What no new
    // shard has is written once more.
    StoredElsewhere elsewhere;
    for (const ShardEntry& entry : added) elsewhere.add(entry);
    Groups groups;
    std::uint64_t most = 1;
    for (auto& [number, entry] : old) {
      most = std::max(most, entry.bytes);
      add_to(groups, table, number, std::move(entry));
    }
    SeenEntries seen;
    new_entries(table, seen);
    Compaction ignored;
    begin_compaction(table, std::move(groups), seen.last, most, {}, elsewhere, ignored);
    return finish_compaction(table);
  }
  sync_folder(table / "manifest");
  fs::remove(intention_of(table));
  return true;
}

std::optional<Compaction> compact_table(const fs::path& table, std::uint64_t shard_bytes) {
  const auto lock = FolderLock::exclude(table);
  if (!lock || has_writer(table)) return {};
  finish_compaction(table);
  remove_leftovers(table);
  Compaction done;
  Groups groups;
  SeenEntries seen;
  for (const auto& [number, path] : new_entries(table, seen)) {
    auto entry = read_manifest_entry(path);
    if (!entry) continue;
    ++done.shards_before;
    if (entry->bytes < shard_bytes / 2) add_to(groups, table, number, std::move(*entry));
  }
  done.shards_after = done.shards_before;
  std::erase_if(groups, [](const auto& group) { return group.second.size() < 2; });
  if (groups.empty()) return done;
  Intention intention;
  try {
    intention = begin_compaction(table, std::move(groups), seen.last, shard_bytes,
                                 positions_in_last_list(table), {}, done);
  } catch (...) {
    // Takes back what was begun; the shards that no entry names go with the next run.
    try {
      finish_compaction(table);
    } catch (const std::exception&) {
    }
    throw;
  }
  finish_compaction(table);
  done.shards_after = done.shards_before - intention.dropped.size() + intention.added.size();
  return done;
}

}  // namespace graft
