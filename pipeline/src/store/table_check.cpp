#include "store/table_check.h"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/value.h>

#include "store/files.h"
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
};

/// Nothing, or what is wrong with the shard of an entry.
std::string fault_of_shard(const fs::path& shard, const ShardEntry& entry) {
  std::error_code error;
  const auto status = fs::status(shard, error);
  if (!fs::exists(status)) return "is missing";
  if (!fs::is_regular_file(status)) return "is no regular file";
  if (const auto bytes = fs::file_size(shard); bytes != entry.bytes)
    return fmt::format("has {} bytes, the manifest says {}", bytes, entry.bytes);
  if (sha256_of_file(shard) != entry.sha256) return "is damaged: its SHA-256 is not the one in the manifest";
  return {};
}

void check_shards(TableCheck& check, Found& found) {
  for (const auto& [number, path] : manifest_entries(check.summary.folder)) {
    std::optional<ShardEntry> entry;
    try {
      entry = read_manifest_entry(path);
    } catch (const Error& e) {
      // What the entry was for is not known any more: its shard becomes a leftover.
      check.faults.push_back(
          {Kind::Shard, path, "is damaged: its checksum is wrong, or it is cut short", path});
      continue;
    }
    if (!entry) continue;
    const fs::path shard = check.summary.folder / "shards" / entry->file;
    std::string why;
    try {
      why = fault_of_shard(shard, *entry);
    } catch (const Error& e) {
      why = e.what();
    }
    const auto part = static_cast<std::uint32_t>(found.files.size());
    found.files.push_back(shard);
    for (const Digest& id : entry->row_ids) {
      if (const RowPlace* other = found.rows.find(id); other == nullptr)
        found.rows.insert(id, {part, 0});
      else if (why.empty())
        why = fmt::format("has rows that {} has, too", found.files[other->part].filename().string());
    }
    if (!why.empty()) check.faults.push_back({Kind::Shard, shard, why, path});
    found.rejects.insert(entry->reject_ids.begin(), entry->reject_ids.end());
  }
}

void check_logs(TableCheck& check, Found& found) {
  for (const fs::path& path : files_in(check.summary.folder / "logs", ".rows")) try {
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
        check.faults.push_back(
            {Kind::Log,
             path,
             fmt::format("{} of {} records are damaged", scan.damaged, scan.damaged + scan.records),
             {}});
    } catch (const Error& e) {
      std::error_code error;
      if (fs::exists(path, error))
        check.faults.push_back({Kind::LogHeader, path, "is damaged: its header cannot be read", {}});
    }
}

void check_uses(TableCheck& check, const Found& found) {
  std::vector<fs::path> damaged;
  const std::vector<TableUse> uses = read_uses(check.summary.folder, &damaged);
  for (const fs::path& path : damaged) check.faults.push_back({Kind::Record, path, "is damaged", {}});
  for (const TableUse& use : uses) {
    const fs::path path = check.summary.folder / "inputs" / use.list;
    InputList list;
    try {
      list = InputList::read(path);
    } catch (const Error& e) {
      check.faults.push_back({Kind::Record, path, "is damaged or missing", {}});
      continue;
    }
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
    if (&use == &uses.front()) {
      check.inputs = list.inputs.size();
      check.ok = ok.size();
      check.rejected = rejected;
      check.fewer_views = fewer;
    }
    if (!lost.empty() || ok.size() + rejected != list.inputs.size())
      check.faults.push_back(
          {Kind::Incomplete,
           path,
           fmt::format(
               "of the {} inputs of {}/{}, {} have neither a row nor a reject, '{}' for one; run it again",
               list.inputs.size(), use.run, use.stage, list.inputs.size() - ok.size() - rejected,
               lost.empty() ? "" : list.inputs[*std::min_element(lost.begin(), lost.end())].key),
           {}});
  }
}

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
  } catch (const Error&) {
    s.words = "(table.json is damaged)";
  }
  for (const auto& [number, path] : manifest_entries(table)) try {
      if (const auto entry = read_manifest_entry(path)) {
        s.rows += entry->row_ids.size();
        s.rejects += entry->reject_ids.size();
        ++s.shards;
        if (!entry->row_ids.empty()) s.format = entry->format;
      }
    } catch (const Error&) {
      ++s.shards;
    }
  for (const fs::path& path : files_in(table / "logs", ".rows")) {
    ++s.logs;
    try {
      LogReader log(path);
      const LogScan scan =
          log.scan([&](const RowRecord& record, std::uint64_t) { ++(record.ok ? s.rows : s.rejects); });
      if (!s.format && scan.records > 0) s.format = log.format();
      s.in_use = !log.take_over() || s.in_use;
    } catch (const Error&) {  // verify tells
    }
  }
  std::error_code error;
  std::int64_t newest = 0;
  for (fs::recursive_directory_iterator it(table, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto bytes = it->file_size(gone);
    if (gone) continue;
    s.bytes += bytes;
    newest = std::max(newest, changed(it->path()));
  }
  s.uses = read_uses(table);
  s.last_used = s.uses.empty() ? newest : s.uses.front().time;
  return s;
}

TableCheck check_table(const fs::path& table) {
  TableCheck check;
  check.summary = summarise_table(table);
  try {
    describe_table(table);
  } catch (const Error& e) {
    check.faults.push_back({Kind::Record, table / "table.json", "is damaged or missing", {}});
  }
  Found found;
  check_shards(check, found);
  check_logs(check, found);
  check_uses(check, found);
  check.leftovers = leftovers(table);
  return check;
}

std::vector<std::string> repair_table(const TableCheck& check) {
  const fs::path& table = check.summary.folder;
  std::vector<std::string> done;
  if (check.faults.empty()) return done;
  if (check.summary.in_use)
    throw Error(
        fmt::format("{}: a run is writing to this table; repair it when that has ended", table.string()));
  std::unordered_set<std::string> shards;
  for (const TableFault& fault : check.faults) switch (fault.kind) {
      case Kind::Shard:
        if (!shards.insert(fault.entry.string()).second) break;
        drop_manifest_entry(fault.entry);
        if (fault.path != fault.entry) fs::remove_all(fault.path);
        done.push_back(fmt::format("dropped {}", fault.path.string()));
        break;
      case Kind::Log:
        // Its good records become a shard when the next run takes it over.
        done.push_back(fmt::format("left {}: the next run seals its good records", fault.path.string()));
        break;
      case Kind::LogHeader:
        fs::remove(fault.path);
        done.push_back(fmt::format("dropped {}", fault.path.string()));
        break;
      case Kind::Record:
        fs::remove(fault.path);
        done.push_back(fmt::format("removed {}", fault.path.string()));
        break;
      case Kind::Incomplete:
        break;
    }
  return done;
}

}  // namespace graft
