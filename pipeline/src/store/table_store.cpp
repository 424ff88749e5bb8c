#include "store/table_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <tuple>

#include <fmt/format.h>
#include <graft/text.h>

#include <graft/error.h>

#include "base/assert.h"
#include "base/attempt.h"
#include "base/paged_memory.h"
#include "store/compact.h"

namespace graft {
namespace fs = std::filesystem;

TableStore::TableStore(const fs::path& store, Fingerprint fingerprint)
    : folder_(store / "tables" / fingerprint.hex()),
      fingerprint_(std::move(fingerprint)),
      attempt_(new_attempt()),
      lock_(FolderLock::share(folder_, attempt_)) {
  load();
}

std::optional<RowFormat> TableStore::format() const {
  const std::shared_lock lock(mutex_);
  return formats_.size() == 1 ? std::optional(formats_.front()) : std::nullopt;
}

const RowFormat& TableStore::format_of(std::uint32_t index) const {
  const Part& p = part(index);
  return p.shard ? p.shard->entry().format : p.log->format();
}

std::size_t TableStore::rows() const {
  const std::shared_lock lock(mutex_);
  return rows_.size();
}

std::size_t TableStore::rejects() const {
  const std::shared_lock lock(mutex_);
  return rejects_.size();
}

std::optional<RowPlace> TableStore::find_row(const Digest& id) const {
  const std::shared_lock lock(mutex_);
  const RowPlace* place = rows_.find(id);
  return place == nullptr ? std::nullopt : std::optional(*place);
}

const StoredReject* TableStore::find_reject(const Digest& id) const {
  const std::shared_lock lock(mutex_);
  const auto it = rejects_.find(id);
  return it == rejects_.end() ? nullptr : &it->second;
}

const TableStore::Part& TableStore::part(std::uint32_t index) const {
  const std::shared_lock lock(mutex_);
  return *parts_.at(index);
}

bool TableStore::sealed_here(const RowPlace& place) const {
  return part(place.part).sealed_here;
}

bool TableStore::is_dense(std::uint32_t index) const {
  return part(index).shard != nullptr;
}

void TableStore::read(std::uint32_t index, std::size_t first, std::size_t count, std::uint8_t* out) const {
  const Part& p = part(index);
  if (p.shard) return p.shard->read(first, count, out);
  const std::size_t bytes = row_bytes(p.log->format());
  for (std::size_t i = 0; i < count; ++i) p.log->read(first + i, out + i * bytes);
}

void TableStore::load() {
  {
    const std::unique_lock lock(mutex_);
    parts_.clear();
    rows_.clear();
    rejects_.clear();
    sealed_rejects_.clear();
    formats_.clear();
    seen_ = {};
  }
  refresh();
  for (const fs::path& path : files_in(folder_ / "logs", ".rows")) {
    std::unique_ptr<LogReader> log;
    try {
      log = std::make_unique<LogReader>(path);
    } catch (const Error& e) {
      std::error_code gone;
      if (fs::exists(path, gone))
        warnings_.push_back(fmt::format("{}; its rows are computed again", e.what()));
      continue;
    }
    add_log(std::move(log));
  }
  // What was sealed between the two looks is in neither of them.
  refresh();
}

void TableStore::refresh() {
  SeenEntries seen;
  {
    const std::shared_lock lock(mutex_);
    seen = seen_;
  }
  std::vector<std::unique_ptr<Shard>> fresh;
  for (const auto& [number, path] : new_entries(folder_, seen)) {
    if (std::optional<ShardEntry> entry = read_manifest_entry(path))
      fresh.push_back(std::make_unique<Shard>(folder_ / "shards", std::move(*entry)));
  }
  const std::unique_lock lock(mutex_);
  for (auto& shard : fresh) add_shard(std::move(shard), false);
  seen_ = std::move(seen);
}

void TableStore::add_format(const RowFormat& format) {
  if (std::find(formats_.begin(), formats_.end(), format) == formats_.end()) formats_.push_back(format);
}

void TableStore::add_shard(std::unique_ptr<Shard> shard, bool sealed_here) {
  const ShardEntry& entry = shard->entry();
  if (!entry.row_ids.empty()) add_format(entry.format);
  const auto index = static_cast<std::uint32_t>(parts_.size());
  for (std::size_t i = 0; i < entry.row_ids.size(); ++i) {
    const RowPlace place{index, static_cast<std::uint32_t>(i)};
    RowPlace* known = rows_.find(entry.row_ids[i]);
    if (known == nullptr)
      rows_.insert(entry.row_ids[i], place);
    else if (parts_[known->part]->log)
      *known = place;
  }
  for (std::size_t i = 0; i < entry.reject_ids.size(); ++i)
    if (sealed_rejects_.insert(entry.reject_ids[i]).second)
      rejects_.emplace(entry.reject_ids[i], entry.rejects[i]);
  shard->drop_ids();
  parts_.push_back(std::make_unique<Part>(Part{std::move(shard), nullptr, sealed_here}));
}

void TableStore::add_log(std::unique_ptr<LogReader> log) {
  std::vector<std::pair<Digest, RowPlace>> rows;
  std::vector<std::pair<Digest, StoredReject>> rejects;
  const std::unique_lock lock(mutex_);
  const auto index = static_cast<std::uint32_t>(parts_.size());
  const LogScan scan = log->scan([&](const RowRecord& record, std::uint64_t position) {
    if (record.ok)
      rows.emplace_back(record.id, RowPlace{index, static_cast<std::uint32_t>(position)});
    else
      rejects.emplace_back(record.id, decode_reject(record.payload));
  });
  if (scan.damaged > 0)
    warnings_.push_back(fmt::format("{}: {} of {} records are damaged; their rows are computed again",
                                    log->path().string(), scan.damaged, scan.damaged + scan.records));
  if (!rows.empty()) add_format(log->format());
  for (const auto& [id, place] : rows)
    if (rows_.find(id) == nullptr) rows_.insert(id, place);
  for (auto& [id, reject] : rejects) rejects_.emplace(id, std::move(reject));
  parts_.push_back(std::make_unique<Part>(Part{nullptr, std::move(log), false}));
}

void TableStore::prepare_to_write() {
  try {
    make_folders(folder_);
    // A gc may take the folder away before it is held.
    while (!lock_ && !(lock_ = FolderLock::share(folder_, attempt_)) && !fs::exists(folder_))
      make_folders(folder_);
    for (const char* folder : {"shards", "logs", "manifest"}) make_folders(folder_ / folder);
    if (!fs::exists(folder_ / "table.json"))
      write_file_atomically(folder_ / "table.json", fingerprint_.description.to_json_pretty());
    // Half-written files that this process may not even create would show too late.
    if (::access((folder_ / "logs").c_str(), W_OK) != 0)
      throw Error(file_error("write to", folder_ / "logs", errno));
  } catch (const Error& e) {
    read_only_ = e.what();
    return;
  }
  bool sealed = false;
  lock_.while_alone([&] {
    if (has_writer(folder_)) return;  // one that could not open the lock
    sealed = finish_compaction(folder_);
    remove_leftovers(folder_);
  });
  if (sealed) load();
  for (const fs::path& path : files_in(folder_ / "logs", ".rows")) {
    std::optional<LogReader> log;
    try {
      log.emplace(path);
    } catch (const Error&) {
      continue;  // warned of when it was loaded
    }
    if (!log->try_lock_abandoned()) continue;
    seal(*log);
    sealed = true;
  }
  if (sealed) load();
}

fs::path TableStore::new_log_path() const {
  return folder_ / "logs" / fmt::format("{}.{}.rows", attempt_, ++logs_);
}

void TableStore::seal(const fs::path& log) {
  seal(LogReader(log));
}

void TableStore::seal(const LogReader& log) {
  // Of all records, which point into it. Not from the heap, which would keep it.
  const PagedBlock payloads(log.bytes(), true);
  std::size_t used = 0;
  std::vector<RowRecord> rows, rejects;
  RowIndex seen;
  log.scan([&](const RowRecord& record, std::uint64_t) {
    if (!seen.try_insert(record.id, {})) return;
    if (record.payload.size() > payloads.bytes() - used)
      throw Error(log.path().string() + ": somebody writes to this log while it is sealed; run again");
    auto* const place = reinterpret_cast<std::uint8_t*>(payloads.data() + used);
    std::copy(record.payload.begin(), record.payload.end(), place);
    used += record.payload.size();
    RowRecord kept = record;
    kept.payload = {place, record.payload.size()};
    (record.ok ? rows : rejects).push_back(kept);
  });
  for (auto* list : {&rows, &rejects})
    std::sort(list->begin(), list->end(), [](const RowRecord& a, const RowRecord& b) {
      return std::tie(a.sequence, a.id) < std::tie(b.sequence, b.id);
    });
  for (;;) {
    refresh();
    {
      const std::shared_lock lock(mutex_);
      std::erase_if(rows, [&](const RowRecord& r) {
        const RowPlace* place = rows_.find(r.id);
        return place != nullptr && parts_[place->part]->shard;
      });
      std::erase_if(rejects, [&](const RowRecord& r) { return sealed_rejects_.contains(r.id); });
    }
    if (rows.empty() && rejects.empty()) break;
    const fs::path shard = folder_ / "shards" / (new_attempt() + ".h5");
    const fs::path temporary = shard.string() + ".tmp";
    try {
      ShardEntry entry =
          write_shard(temporary, fingerprint_.hex(), log.format(), compression_, rows, rejects);
      entry.file = shard.filename().string();
      if (link_shard(temporary, std::move(entry))) break;
    } catch (const Error& e) {
      std::error_code ignored;
      throw Error(fmt::format(
          "cannot seal the shard {}: {} ({} to write, {} free); the rows stay in the log, and the "
          "next run goes on from there",
          shard.string(), e.what(), human_bytes(used), human_bytes(fs::space(folder_, ignored).available)));
    }
  }
  std::error_code ignored;
  fs::remove(log.path(), ignored);
}

bool TableStore::link_shard(const fs::path& temporary, ShardEntry entry) {
  const fs::path shard = folder_ / "shards" / entry.file;
  if (!link_without_replacing(temporary, shard)) throw Error(file_error("link", shard, EEXIST));
  // The entry must not outlive the shard in a power cut: the shard's name goes to disk first.
  sync_folder(shard.parent_path());
  std::uint64_t number = 0;
  {
    const std::shared_lock lock(mutex_);
    number = seen_.last + 1;
  }
  // When this throws, the entry may be there all the same: a shard that none names goes with the next run.
  if (!add_manifest_entry(folder_, number, entry)) {
    fs::remove(shard);  // somebody sealed meanwhile: see what of ours is left
    return false;
  }
  auto sealed = std::make_unique<Shard>(shard.parent_path(), std::move(entry));
  const std::unique_lock lock(mutex_);
  GRAFT_ASSERT(seen_.last + 1 == number);  // one thread seals
  add_shard(std::move(sealed), true);
  seen_.last = number;
  return true;
}

}  // namespace graft
