#include "store/table_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/value.h>

#include "base/attempt.h"
#include "base/files.h"
#include "store/compact.h"
#include "store/folder_lock.h"
#include "store/input_list.h"
#include "store/manifest.h"
#include "store/row_index.h"
#include "store/row_log.h"
#include "store/shard_entry.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

using Kind = TableFault::Kind;

std::string words_of(const Value& v) {
  if (v.is_string()) return is_digest(v.as_string()) ? v.as_string().substr(0, 8) : v.as_string();
  if (!v.is_map()) return v.to_json();
  std::string out;
  for (const auto& [key, value] : v.as_map())
    if (!value.is_null()) out += (out.empty() ? "" : " ") + key + "=" + words_of(value);
  return "{" + out + "}";
}

std::int64_t changed(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mtim.tv_sec : 0;
}

/// Ids of all that is stored, and who holds each.
struct Found {
  RowIndex rows;  // part: position in `files`
  std::unordered_set<Digest> rejects;
  std::vector<fs::path> files;
  SeenEntries seen;
  bool unknown = false;  // something could not be read: more may be stored
};

/// What one pass over a table looks at.
struct Pass {
  TableCheck& check;
  Found found;
  const std::unordered_set<std::string>* shards = nullptr;  // whose bytes are read; null: all

  void add(Kind kind, fs::path path, std::string why, fs::path named_by = {}) {
    check.faults.push_back({kind, std::move(path), std::move(why), std::move(named_by)});
  }
  void add_unreadable(fs::path path, const Unreadable& e) {
    found.unknown = true;
    add(Kind::Unreadable, std::move(path), e.what());
  }
};

/// Nothing, or what is wrong with the shard of an entry. Throws Unreadable.
std::string fault_of_shard(const fs::path& shard, const ShardEntry& entry, bool read) {
  struct stat info {};
  if (::stat(shard.c_str(), &info) != 0) {
    if (errno == ENOENT) return "is missing";
    throw Unreadable(file_error("examine", shard, errno));
  }
  if (!S_ISREG(info.st_mode)) return "is not a regular file";
  if (const auto bytes = static_cast<std::uint64_t>(info.st_size); bytes != entry.bytes)
    return fmt::format("has {} bytes, the manifest says {}", bytes, entry.bytes);
  if (read && sha256_of_file(shard) != entry.sha256)
    return "is damaged: its SHA-256 is not the one in the manifest";
  return {};
}

void check_shard(Pass& pass, const fs::path& path, const ShardEntry& entry) {
  Found& found = pass.found;
  const fs::path shard = pass.check.summary.folder / "shards" / entry.file;
  std::string why;
  try {
    why = fault_of_shard(shard, entry, pass.shards == nullptr || pass.shards->contains(path.string()));
  } catch (const Unreadable& e) {
    pass.add_unreadable(shard, e);
  }
  const auto part = static_cast<std::uint32_t>(found.files.size());
  found.files.push_back(shard);
  for (const Digest& id : entry.row_ids) {
    const RowPlace* other = found.rows.find(id);
    if (other == nullptr)
      found.rows.insert(id, {part, 0});
    else if (why.empty() && found.files[other->part].extension() == ".h5" &&
             !is_being_compacted(pass.check.summary.folder))
      why = fmt::format("has rows that {} has, too", found.files[other->part].filename().string());
  }
  if (!why.empty()) pass.add(Kind::Shard, shard, why, path);
  found.rejects.insert(entry.reject_ids.begin(), entry.reject_ids.end());
}

/// Shards whose entries have not been looked at yet.
void check_shards(Pass& pass) {
  for (const auto& [number, path] : new_entries(pass.check.summary.folder, pass.found.seen)) {
    try {
      if (const auto entry = read_manifest_entry(path)) check_shard(pass, path, *entry);
    } catch (const Unreadable& e) {
      pass.add_unreadable(path, e);
    } catch (const Error&) {
      // What the entry was for is not known any more: its shard becomes a leftover.
      pass.add(Kind::Shard, path, "is damaged: its checksum is wrong, or it is cut short", path);
    }
  }
}

void check_logs(Pass& pass) {
  Found& found = pass.found;
  for (const fs::path& path : files_in(pass.check.summary.folder / "logs", ".rows")) try {
      const LogReader log(path);
      const auto part = static_cast<std::uint32_t>(found.files.size());
      found.files.push_back(path);
      const LogScan scan = log.scan([&](const RowRecord& record, std::uint64_t) {
        if (!record.ok)
          found.rejects.insert(record.id);
        else if (found.rows.find(record.id) == nullptr)
          found.rows.insert(record.id, {part, 0});
      });
      if (scan.damaged > 0)
        pass.add(Kind::Log, path,
                 fmt::format("{} of {} records are damaged", scan.damaged, scan.damaged + scan.records));
    } catch (const Unreadable& e) {
      pass.add_unreadable(path, e);
    } catch (const Error&) {
      std::error_code error;
      if (fs::exists(path, error)) pass.add(Kind::LogHeader, path, "is damaged: its header cannot be read");
    }
}

/// The uses of a table with their lists, read before everything else: what they name was stored before.
struct NotedUse {
  TableUse use;
  InputList list;
};
std::vector<NotedUse> read_noted_uses(Pass& pass) {
  std::vector<NotedUse> out;
  std::vector<DamagedUse> damaged;
  for (TableUse& use : read_uses(pass.check.summary.folder, &damaged)) {
    const fs::path path = pass.check.summary.folder / "inputs" / use.list;
    try {
      InputList list = InputList::read(path);
      out.push_back({std::move(use), std::move(list)});
    } catch (const Unreadable& e) {
      pass.add_unreadable(path, e);
    } catch (const Error&) {
      // A newer run of the folder may have replaced the use, and gc have taken its list.
      std::vector<TableUse> now = read_uses(pass.check.summary.folder);
      if (std::any_of(now.begin(), now.end(),
                      [&](const TableUse& u) { return u.file == use.file && u.list == use.list; }))
        pass.add(Kind::Record, path, "is damaged or missing", use.file);
    }
  }
  for (const DamagedUse& d : damaged) {
    if (d.unreadable) pass.found.unknown = true;
    pass.add(d.unreadable ? Kind::Unreadable : Kind::Record, d.file, d.unreadable ? d.why : "is damaged");
  }
  return out;
}

void check_use(Pass& pass, const NotedUse& noted, bool newest) {
  const Found& found = pass.found;
  const InputList& list = noted.list;
  // An input is ok when it has a row; with rejects beside it, it has fewer views.
  std::unordered_set<std::uint32_t> ok, refused, lost;
  for (const InputList::Outcome& row : list.rows)
    (found.rows.find(row.id) != nullptr ? ok : lost).insert(row.input);
  for (const InputList::Outcome& reject : list.rejects)
    (found.rejects.contains(reject.id) ? refused : lost).insert(reject.input);
  for (const std::uint32_t input : lost) ok.erase(input), refused.erase(input);
  const auto fewer = static_cast<std::uint64_t>(
      std::count_if(ok.begin(), ok.end(), [&](auto i) { return refused.contains(i); }));
  const std::uint64_t rejected = list.refused + refused.size() - fewer;
  if (newest) {
    pass.check.inputs = list.inputs.size();
    pass.check.ok = ok.size();
    pass.check.rejected = rejected;
    pass.check.fewer_views = fewer;
  }
  // What could not be read may hold them.
  if (found.unknown || (lost.empty() && ok.size() + rejected == list.inputs.size())) return;
  pass.add(Kind::Incomplete, pass.check.summary.folder / "inputs" / noted.use.list,
           fmt::format(
               "of the {} inputs of {}/{}, {} have neither a row nor a reject, '{}' for one; run it again",
               list.inputs.size(), noted.use.run, noted.use.stage, list.inputs.size() - ok.size() - rejected,
               lost.empty() ? "" : list.inputs[*std::min_element(lost.begin(), lost.end())].key));
}

/// table.json is written before anything else. A folder without content is of a run that has just begun;
/// where there is content by now, so is table.json. Throws Unreadable.
void check_description(Pass& pass) {
  const fs::path& table = pass.check.summary.folder;
  const auto is_sound = [&] {
    try {
      describe_table(table);
      return true;
    } catch (const Unreadable&) {
      throw;
    } catch (const Error&) {
      return false;
    }
  };
  if (is_sound()) return;
  const bool empty = manifest_entries(table).empty() && files_in(table / "logs", ".rows").empty();
  if (!empty && !is_sound()) pass.add(Kind::Record, table / "table.json", "is damaged or missing");
}

void examine(Pass& pass) {
  const fs::path& table = pass.check.summary.folder;
  try {
    try {
      check_description(pass);
    } catch (const Unreadable& e) {
      pass.add_unreadable(table / "table.json", e);
    }
    const std::vector<NotedUse> uses = read_noted_uses(pass);
    check_shards(pass);
    check_logs(pass);
    check_shards(pass);  // what was sealed between the two looks is in neither of them
    for (const NotedUse& use : uses) check_use(pass, use, &use == &uses.front());
  } catch (const Unreadable& e) {  // one of the folders
    pass.add_unreadable(table, e);
  }
}

/// Ids in logs, of which those go that shards have, too: 17 bytes each.
class LoggedIds {
 public:
  void add(const Digest& id) { ids_.push_back(id); }
  std::size_t size() const { return ids_.size(); }
  /// To be called between add() and remove().
  void sort() {
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    removed_.resize(ids_.size());
    left_ = ids_.size();
  }
  void remove(const Digest& id) {
    const auto at = std::lower_bound(ids_.begin(), ids_.end(), id);
    if (at == ids_.end() || *at != id || removed_[static_cast<std::size_t>(at - ids_.begin())]) return;
    removed_[static_cast<std::size_t>(at - ids_.begin())] = true;
    --left_;
  }
  std::size_t left() const { return left_; }

 private:
  std::vector<Digest> ids_;
  std::vector<bool> removed_;
  std::size_t left_ = 0;
};

}  // namespace

bool is_digest(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Value read_description(const fs::path& table) {
  Value description = Value::from_json(read_file(table / "table.json"));
  if (digest(description.to_json()).hex() != table.filename().string())
    throw Error((table / "table.json").string() + ": is not what the folder is named by");
  return description;
}

std::vector<fs::path> tables_in(const fs::path& store) {
  std::vector<fs::path> out;
  for (const fs::path& path : files_in(store / "tables", ""))
    if (is_digest(path.filename().string()) && fs::is_directory(path)) out.push_back(path);
  return out;
}

std::string describe_table(const fs::path& table) {
  const Value description = read_description(table);
  std::string out;
  const Value* stages = description.find("stages");
  if (stages == nullptr || !stages->is_list()) return description.to_json();
  for (const Value& stage : stages->as_list()) {
    if (!out.empty()) out += " > ";
    if (!stage.is_map()) {
      out += words_of(stage);
      continue;
    }
    for (const auto& [key, value] : stage.as_map()) {
      if (key == "plugin" || key == "version") {
        out += (key == "version" ? " " : "") + words_of(value);
      } else if (key == "with" && value.is_map()) {
        for (const auto& [name, v] : value.as_map())
          if (!v.is_null()) out += fmt::format(" {}={}", name, words_of(v));
      } else if (key != "libraries" && key != "services") {
        out += fmt::format(" {}={}", key, words_of(value));
      }
    }
  }
  return out;
}

TableSummary summarise_table(const fs::path& table) {
  TableSummary s;
  s.folder = table;
  s.fingerprint = table.filename().string();
  try {
    s.words = describe_table(table);
  } catch (const Unreadable&) {
    s.words = "(table.json cannot be read)";
  } catch (const Error&) {
    s.words = "(table.json is damaged)";
  }
  const auto add_format = [&](const RowFormat& format) {
    if (std::find(s.formats.begin(), s.formats.end(), format) == s.formats.end()) s.formats.push_back(format);
  };
  const auto list = [&](const auto& files) {
    try {
      return files();
    } catch (const Unreadable& e) {
      if (s.unreadable.empty()) s.unreadable = e.what();
      return decltype(files()){};
    }
  };
  // Logs first: a log goes only when its rows are in a shard, and until then they are in both.
  LoggedIds logged_rows, logged_rejects;
  for (const fs::path& path : list([&] { return files_in(table / "logs", ".rows"); })) {
    ++s.logs;
    try {
      LogReader log(path);
      const std::size_t rows = logged_rows.size();
      log.scan([&](const RowRecord& record, std::uint64_t) {
        (record.ok ? logged_rows : logged_rejects).add(record.id);
      });
      if (logged_rows.size() > rows) add_format(log.format());
      s.has_writer = !log.is_abandoned() || s.has_writer;
    } catch (const Error&) {  // verify tells
    }
  }
  logged_rows.sort();
  logged_rejects.sort();
  // A compaction that was cut short has left rows in two shards.
  const bool twice = is_being_compacted(table);
  std::unordered_set<Digest> seen;
  const auto count = [&](const std::vector<Digest>& ids, LoggedIds& logged) {
    for (const Digest& id : ids) logged.remove(id);
    if (!twice) return ids.size();
    return static_cast<std::size_t>(
        std::count_if(ids.begin(), ids.end(), [&](const Digest& id) { return seen.insert(id).second; }));
  };
  for (const auto& [number, path] : list([&] { return manifest_entries(table); })) try {
      if (const auto entry = read_manifest_entry(path)) {
        s.rows += count(entry->row_ids, logged_rows);
        s.rejects += count(entry->reject_ids, logged_rejects);
        ++s.shards;
        if (!entry->row_ids.empty()) add_format(entry->format);
      }
    } catch (const Error&) {
      ++s.shards;
    }
  s.rows += logged_rows.left();
  s.rejects += logged_rejects.left();
  s.in_use = s.has_writer || FolderLock::is_held(table);
  std::error_code error;
  std::int64_t newest = 0;
  for (fs::recursive_directory_iterator it(table, fs::directory_options::skip_permission_denied, error), end;
       !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto bytes = it->file_size(gone);
    if (gone) continue;
    s.bytes += bytes;
    // The lock is touched by whoever looks whether anybody holds it.
    if (it->path().filename() != "lock") newest = std::max(newest, changed(it->path()));
  }
  s.uses = read_uses(table, &s.damaged_uses);
  s.last_used = s.uses.empty() ? newest : std::max(newest, s.uses.front().time);
  return s;
}

TableCheck check_table(const fs::path& table) {
  TableCheck check;
  check.summary = summarise_table(table);
  FolderLock lock = FolderLock::share(table, new_attempt());
  Pass pass{check, {}};
  examine(pass);
  if (!pass.found.unknown) lock.while_alone([&] { check.leftovers = leftovers(table); });
  return check;
}

TableRepair repair_table(const TableCheck& first) {
  const fs::path& table = first.summary.folder;
  TableRepair out;
  if (first.faults.empty()) return out;
  const auto lock = FolderLock::exclude(table);
  if (!lock || has_writer(table)) {
    out.left.push_back(
        fmt::format("{}: is in use, or this user may not open its lock; repair it when no run works with it",
                    table.string()));
    return out;
  }
  // Once more, now that nobody changes anything: a fault of the moment is no damage.
  std::unordered_set<std::string> shards;
  for (const TableFault& fault : first.faults)
    if (fault.kind == Kind::Shard) shards.insert(fault.named_by.string());
  TableCheck second;
  second.summary.folder = table;
  Pass pass{second, {}, &shards};
  examine(pass);
  const auto found_again = [&](const TableFault& fault) {
    return std::any_of(second.faults.begin(), second.faults.end(), [&](const TableFault& f) {
      return f.kind == fault.kind && f.path == fault.path && f.named_by == fault.named_by;
    });
  };
  std::unordered_set<std::string> dropped;
  for (const TableFault& fault : first.faults) {
    const std::string path = fault.path.string();
    if (fault.kind == Kind::Unreadable) {
      out.left.push_back(fmt::format("left {}: it could not be read, which does not prove damage", path));
    } else if (fault.kind == Kind::Incomplete) {
      continue;  // follows from what is dropped, or the next run computes it
    } else if (!found_again(fault)) {
      out.left.push_back(fmt::format("left {}: it was sound when it was read again", path));
    } else if (fault.kind == Kind::Log) {
      // Its good records become a shard when the next run takes it over.
      out.done.push_back(fmt::format("left {}: the next run seals its good records", path));
    } else if (fault.kind == Kind::Shard) {
      if (!dropped.insert(fault.named_by.string()).second) continue;
      drop_manifest_entry(fault.named_by);
      if (fault.path != fault.named_by) fs::remove_all(fault.path);
      out.done.push_back(fmt::format("dropped {}", path));
    } else {
      fs::remove(fault.path);
      if (!fault.named_by.empty()) fs::remove(fault.named_by);
      out.done.push_back(fmt::format("{} {}", fault.kind == Kind::LogHeader ? "dropped" : "removed", path));
    }
  }
  return out;
}

}  // namespace graft
