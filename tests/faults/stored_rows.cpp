#include "stored_rows.h"

#include <algorithm>
#include <unordered_set>

#include <graft/error.h>
#include <graft/random.h>

#include "store/manifest.h"

namespace graft::test {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kValues = 128;

bool is_reject(std::uint64_t row) {
  return row % 37 == 0;
}

std::size_t count_files(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

/// Empty when no row or reject is named twice by the entries of the manifest.
std::string check_manifest(const fs::path& table) {
  std::unordered_set<Digest> rows, rejects;
  const auto entries = manifest_entries(table);
  for (const auto& [number, path] : entries) {
    const auto entry = read_manifest_entry(path);
    if (!entry) continue;
    for (const Digest& id : entry->row_ids)
      if (!rows.insert(id).second) return path.string() + ": names a row of another shard";
    for (const Digest& id : entry->reject_ids)
      if (!rejects.insert(id).second) return path.string() + ": names a reject of another shard";
  }
  return {};
}

}  // namespace

Fingerprint stored_fingerprint() {
  Fingerprint f;
  f.description["made_by"] = "the fault tests";
  f.digest = digest(f.description.to_json());
  return f;
}

Digest stored_id(std::uint64_t row) {
  return row_id(digest("row " + std::to_string(row)), 0, "");
}

RowWriter::Job stored_row(std::uint64_t row) {
  RowWriter::Job job;
  job.id = stored_id(row);
  job.sequence = row;
  job.ok = !is_reject(row);
  if (!job.ok) {
    job.payload = encode_reject({"decode", "truncated", "input " + std::to_string(row) + " is cut"});
    return job;
  }
  job.format = {DType::F32, {kValues}};
  Random random(row);
  for (std::size_t i = 0; i < kValues; ++i) {
    const auto value = static_cast<float>(random.uniform());
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    job.payload.insert(job.payload.end(), bytes, bytes + sizeof value);
  }
  return job;
}

bool has_outcome(const TableStore& store, std::uint64_t row) {
  const Digest id = stored_id(row);
  return store.find_row(id).has_value() || store.find_reject(id) != nullptr;
}

TableCheck check_table(const fs::path& folder, std::uint64_t rows, std::uint64_t known) {
  TableCheck check;
  const auto fail = [&](std::uint64_t row, const std::string& why) {
    check.fault = "row " + std::to_string(row) + " of " + std::to_string(known) + " known ones: " + why;
    return check;
  };
  try {
    const TableStore store(folder, stored_fingerprint());
    std::string all;
    std::vector<std::uint8_t> got;
    for (std::uint64_t i = 0; i < rows; ++i) {
      const RowWriter::Job wanted = stored_row(i);
      const auto place = store.find_row(wanted.id);
      const StoredReject* reject = store.find_reject(wanted.id);
      if (!place && reject == nullptr) {
        if (i < known) return fail(i, "is lost");
        continue;
      }
      if (place.has_value() != wanted.ok || (place && reject != nullptr)) return fail(i, "has two outcomes");
      if (place) {
        got.resize(wanted.payload.size());
        if (store.format() != wanted.format) return fail(i, "has another format");
        store.read(place->part, place->row, 1, got.data());
      } else {
        got = encode_reject(*reject);
      }
      if (got != wanted.payload) return fail(i, "has other bits");
      all.append(got.begin(), got.end());
    }
    if (store.rows() + store.rejects() > rows) return fail(rows, "there are more than were written");
    check.digest = digest(all).hex();
    if (fs::exists(store.folder())) check.fault = check_manifest(store.folder());
  } catch (const std::exception& e) {
    check.fault = e.what();
  }
  return check;
}

TableCheck check_finished_table(const fs::path& folder, std::uint64_t rows) {
  TableCheck check = check_table(folder, rows, rows);
  if (!check.fault.empty()) return check;
  const fs::path table = folder / "tables" / stored_fingerprint().hex();
  const auto entries = manifest_entries(table);
  const auto shards = static_cast<std::size_t>(std::count_if(
      entries.begin(), entries.end(), [](const auto& e) { return read_manifest_entry(e.second); }));
  if (count_files(table / "logs") != 0) check.fault = "logs are left";
  if (count_files(table / "shards") != shards) check.fault = "shards are left that the manifest lacks";
  if (count_files(table / "manifest") != entries.size()) check.fault = "half-written entries are left";
  return check;
}

}  // namespace graft::test
