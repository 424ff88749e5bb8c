#include "store/table_store.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft {
namespace fs = std::filesystem;
namespace {

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string host = name;
  std::replace(host.begin(), host.end(), '.', '-');
  return host.empty() ? "host" : host;
}

std::vector<fs::path> files_in(const fs::path& folder, const char* extension) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == extension) out.push_back(it->path());
  std::sort(out.begin(), out.end());
  return out;
}

/// Log names are host.pid.time.rows. A log is left when its process is gone, as far as this host can tell.
bool is_left_behind(const fs::path& log) {
  const std::string name = log.filename().string();
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || name.substr(0, dot) != host_name()) return false;
  int pid = 0;
  std::from_chars(name.data() + dot + 1, name.data() + name.size(), pid);
  return pid <= 0 || pid == ::getpid() || (::kill(pid, 0) != 0 && errno == ESRCH);
}

}  // namespace

TableStore::TableStore(const fs::path& store, Fingerprint fingerprint)
    : folder_(store / "tables" / fingerprint.hex()), fingerprint_(std::move(fingerprint)) {
  for (const fs::path& path : files_in(folder_ / "shards", ".h5")) add_shard(path);
}

std::optional<RowPlace> TableStore::find_row(const Digest& id) const {
  const auto it = rows_.find(id);
  return it == rows_.end() ? std::nullopt : std::optional(it->second);
}

const StoredReject* TableStore::find_reject(const Digest& id) const {
  const auto it = rejects_.find(id);
  return it == rejects_.end() ? nullptr : &it->second;
}

void TableStore::read(std::uint32_t shard, std::size_t first, std::size_t count, void* out) const {
  shards_.at(shard).read(first, count, out);
}

void TableStore::add_shard(const fs::path& path) {
  const auto damaged = [&](const std::string& why) {
    return Error(
        fmt::format("{}\nthe shard is damaged or foreign; remove the file and run again: its rows are then "
                    "computed again, all others stay",
                    why));
  };
  std::optional<Shard> shard;
  try {
    shard.emplace(path);
  } catch (const Error& e) {
    throw damaged(e.what());
  }
  if (shard->fingerprint() != fingerprint_.hex())
    throw damaged(fmt::format("{}: belongs to the table {}", path.string(), shard->fingerprint()));
  if (!shard->row_ids().empty()) {
    if (!format_) format_ = shard->format();
    if (*format_ != shard->format())
      throw damaged(fmt::format("{}: rows of {}{}, the table has {}{}", path.string(),
                                to_string(shard->format().dtype), to_string(shard->format().shape),
                                to_string(format_->dtype), to_string(format_->shape)));
  }
  const auto index = static_cast<std::uint32_t>(shards_.size());
  for (std::size_t i = 0; i < shard->row_ids().size(); ++i)
    rows_.emplace(shard->row_ids()[i], RowPlace{index, static_cast<std::uint32_t>(i)});
  for (std::size_t i = 0; i < shard->reject_ids().size(); ++i)
    rejects_.emplace(shard->reject_ids()[i], shard->rejects()[i]);
  shards_.push_back(std::move(*shard));
}

void TableStore::prepare_to_write() {
  make_folders(folder_ / "shards");
  make_folders(folder_ / "logs");
  if (!fs::exists(folder_ / "table.json"))
    write_file_atomically(folder_ / "table.json", fingerprint_.description.to_json_pretty());
  for (const fs::path& log : files_in(folder_ / "logs", ".rows"))
    if (is_left_behind(log)) seal(log);
}

fs::path TableStore::new_log_path() const {
  static std::atomic<int> count{0};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return folder_ / "logs" /
         fmt::format("{}.{}.{}-{}.rows", host_name(), ::getpid(),
                     std::chrono::duration_cast<std::chrono::microseconds>(now).count(), count++);
}

void TableStore::seal(const fs::path& log) {
  std::vector<std::uint8_t> payloads;  // of all records; spans into it are made once it has stopped growing
  std::vector<std::pair<RowRecord, std::size_t>> records;
  std::unordered_set<Digest> seen;
  RowFormat format;
  try {
    format = scan_row_log(log, [&](const RowRecord& record) {
               if (rows_.count(record.id) != 0 || rejects_.count(record.id) != 0) return;
               if (!seen.insert(record.id).second) return;
               records.emplace_back(record, payloads.size());
               payloads.insert(payloads.end(), record.payload.begin(), record.payload.end());
             }).format;
  } catch (const Error&) {
    // Cut off before its header was on disk: nothing in it was ever committed.
    if (fs::file_size(log) >= RowLog::kHeaderBytes) throw;
  }
  std::vector<RowRecord> rows, rejects;
  for (auto& [record, offset] : records) {
    record.payload = {payloads.data() + offset, record.payload.size()};
    (record.ok ? rows : rejects).push_back(record);
  }
  for (auto* list : {&rows, &rejects})
    std::sort(list->begin(), list->end(), [](const RowRecord& a, const RowRecord& b) {
      return std::tie(a.sequence, a.id) < std::tie(b.sequence, b.id);
    });
  if (!records.empty()) {
    const fs::path shard = folder_ / "shards" / log.filename().replace_extension(".h5");
    Shard::seal(shard, fingerprint_.hex(), format, rows, rejects);
    add_shard(shard);
  }
  std::error_code ignored;
  fs::remove(log, ignored);
}

}  // namespace graft
