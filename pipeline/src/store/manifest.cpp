#include "store/manifest.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/attempt.h"
#include "base/files.h"
#include "store/shard.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kDropped = "GRAFT: this shard was dropped\n";
/// Of numbers in a row, which are looked for again. More were never given.
constexpr std::uint64_t kMostMissing = 64;

fs::path path_of_number(const fs::path& table, std::uint64_t number) {
  return table / "manifest" / fmt::format("{:08}", number);
}

bool may_be_shared(const fs::path& folder) {
  const FileHandle handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !handle || !is_local(handle.get());
}

}  // namespace

std::vector<fs::path> files_in(const fs::path& folder, const char* extension) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == extension) out.push_back(it->path());
  if (error && error != std::errc::no_such_file_or_directory)
    throw Unreadable(fmt::format("cannot list {}: {}", folder.string(), error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::pair<std::uint64_t, fs::path>> manifest_entries(const fs::path& table) {
  std::vector<std::pair<std::uint64_t, fs::path>> out;
  for (const fs::path& path : files_in(table / "manifest", "")) {
    const std::string name = path.filename().string();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) out.emplace_back(number, path);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::pair<std::uint64_t, fs::path>> new_entries(const fs::path& table, SeenEntries& seen) {
  const auto listed = manifest_entries(table);
  std::vector<std::pair<std::uint64_t, fs::path>> out;
  const auto is_there = [&](std::uint64_t number) {
    std::error_code unknown;  // where that is set, reading says why
    if (!fs::exists(path_of_number(table, number), unknown) && !unknown) return false;
    out.emplace_back(number, path_of_number(table, number));
    return true;
  };
  std::erase_if(seen.missing, is_there);
  auto next = std::find_if(listed.begin(), listed.end(), [&](const auto& e) { return e.first > seen.last; });
  for (;; ++seen.last) {
    const std::uint64_t number = seen.last + 1;
    if (next != listed.end() && next->first == number) {
      out.push_back(*next++);
    } else if (!is_there(number)) {
      if (next == listed.end()) return out;
      if (next->first - number > kMostMissing)
        seen.last = next->first - 2;
      else
        seen.missing.push_back(number);
    }
  }
}

std::optional<ShardEntry> read_manifest_entry(const fs::path& path) {
  try {
    const std::string bytes = read_file(path);
    if (bytes == kDropped) return {};
    return ShardEntry::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, path);
  } catch (const Unreadable&) {
    throw;
  } catch (const Error& e) {
    throw Error(fmt::format("{}\n{}", e.what(), repair_hint(path)));
  }
}

bool add_manifest_entry(const fs::path& table, std::uint64_t number, const ShardEntry& entry) {
  return write_new_file(path_of_number(table, number),
                        [&](int fd, const fs::path& temporary) { write_all(fd, entry.encode(), temporary); });
}

void drop_manifest_entry(const fs::path& path) {
  write_file_atomically(path, kDropped);
}

std::vector<fs::path> leftovers(const fs::path& table) {
  std::vector<fs::path> out;
  for (const auto& [folder, extension] : {std::pair{"", ".tmp"},
                                          {"shards", ".tmp"},
                                          {"manifest", ".tmp"},
                                          {"inputs", ".tmp"},
                                          {"uses", ".tmp"},
                                          {"logs", ".new"}})
    for (fs::path& path : files_in(table / folder, extension)) out.push_back(std::move(path));
  for (fs::path& lease : files_in(table / "leases", ".lease"))
    if (is_stale(lease)) out.push_back(std::move(lease));
  const std::vector<fs::path> shards = files_in(table / "shards", ".h5");
  SeenEntries seen;
  const auto entries = new_entries(table, seen);
  const auto dropped = std::count_if(entries.begin(), entries.end(), [](const auto& entry) {
    std::error_code gone;
    return fs::file_size(entry.second, gone) == kDropped.size();
  });
  // The usual case; reading all entries takes its time.
  if (shards.size() + static_cast<std::size_t>(dropped) <= entries.size()) return out;
  std::unordered_set<std::string> named;
  for (const auto& [number, path] : entries) {
    try {
      if (const auto entry = read_manifest_entry(path)) named.insert(entry->file);
    } catch (const Error&) {
      return out;  // a damaged entry may name any of them
    }
  }
  const bool all_shown = !may_be_shared(table / "shards");
  for (const fs::path& path : shards)
    if (!named.contains(path.filename().string()) && (all_shown || is_stale(path))) out.push_back(path);
  return out;
}

std::uint64_t remove_leftovers(const fs::path& table) {
  std::uint64_t freed = 0;
  for (const fs::path& path : leftovers(table)) {
    std::error_code error;
    const auto bytes = fs::file_size(path, error);
    if (fs::remove(path, error)) freed += bytes;
  }
  return freed;
}

}  // namespace graft
