#include "store/digest_memo.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/crc32c.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMemoHeaderBytes = 64;
constexpr std::size_t kRecordsPerWrite = 1024;

/// In pieces: weights may be larger than memory. Throws Error naming the file.
Digest digest_of_content(const fs::path& file) {
  const FileHandle in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) throw Error(file_error("open", file, errno));
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<std::uint8_t> block(std::size_t{1} << 20);
  for (std::uint64_t at = 0;;) {
    const std::size_t n = read_at(in.get(), block.data(), block.size(), at, file);
    XXH3_128bits_update(state.get(), block.data(), n);
    at += n;
    if (n < block.size()) break;
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.high64, hash.low64};
}

std::array<std::uint8_t, kMemoHeaderBytes> make_header() {
  std::array<std::uint8_t, kMemoHeaderBytes> header{};
  const std::uint32_t version = 2;
  std::memcpy(header.data(), "GRAFTMEM", 8);
  std::memcpy(header.data() + 8, &version, sizeof version);
  return header;
}

/// Whether the source has looked at the file. What it says of one that was not there would fit for ever.
bool is_known(const FileRef& file) {
  return file.size != 0 || file.mtime_ns != 0 || file.ctime_ns != 0;
}

Digest name_of(const FileRef& file) {
  return file.member.empty() ? digest(file.path) : digest(file.path + '\0' + file.member);
}

}  // namespace

FileRef examine_file(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) throw Error(file_error("examine", file, errno));
  FileRef ref;
  ref.path = fs::absolute(file).lexically_normal().string();
  ref.size = static_cast<std::uint64_t>(info.st_size);
  ref.mtime_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  ref.ctime_ns = std::int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec;
  return ref;
}

DigestMemo::Record DigestMemo::record_of(const FileRef& file, const Digest& content) {
  Record r;
  r.path = name_of(file);
  r.content = content;
  r.size = file.size;
  r.mtime = file.mtime_ns;
  r.ctime = file.ctime_ns;
  r.crc = crc32c(&r, offsetof(Record, crc));
  return r;
}

DigestMemo::DigestMemo(fs::path path) : path_(std::move(path)) {
  const FileHandle in(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return;
  std::size_t superseded = 0;
  bool sound = true;
  try {
    std::array<std::uint8_t, kMemoHeaderBytes> header{};
    const std::size_t have = read_at(in.get(), header.data(), header.size(), 0, path_);
    sound = have == header.size() && header == make_header();
    std::vector<Record> block(16384);
    for (std::uint64_t at = kMemoHeaderBytes; sound;) {
      const std::size_t bytes = read_at(in.get(), block.data(), block.size() * sizeof(Record), at, path_);
      at += bytes;
      for (std::size_t i = 0; i < bytes / sizeof(Record); ++i) {
        if (block[i].crc != crc32c(&block[i], offsetof(Record, crc))) {
          sound = false;  // what follows may be out of step; the rest is found again by reading files
          break;
        }
        superseded += by_path_.find(block[i].path) != nullptr ? 1 : 0;
        add(block[i]);
      }
      if (bytes % sizeof(Record) != 0) sound = false;  // a torn record: what is appended would be out of step
      if (bytes < block.size() * sizeof(Record)) break;
    }
  } catch (const Error&) {
    return;
  }
  if (!sound || superseded > records_.size() + 1024) rewrite();
}

DigestMemo::~DigestMemo() {
  append();
}

void DigestMemo::add(const Record& record) {
  if (const RowPlace* known = by_path_.find(record.path)) {
    records_[known->row] = record;
    return;
  }
  by_path_.insert(record.path, {0, static_cast<std::uint32_t>(records_.size())});
  records_.push_back(record);
}

void DigestMemo::rewrite() const {
  try {
    write_file_atomically(path_, [this](int fd) {
      write_all(fd, make_header(), path_);
      std::vector<Record> block;
      const auto write_block = [&] {
        write_all(fd, {reinterpret_cast<const std::uint8_t*>(block.data()), block.size() * sizeof(Record)},
                  path_);
        block.clear();
      };
      for (const Record& record : records_) {
        block.push_back(record);
        if (block.size() == 16384) write_block();
      }
      write_block();
    });
  } catch (const Error&) {  // a shortcut that could not be saved costs time, not truth
  }
}

void DigestMemo::append() {
  if (fresh_.empty()) return;
  const FileHandle out(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!out) return;
  try {
    struct stat info {};
    if (::fstat(out.get(), &info) == 0 && info.st_size == 0) write_all(out.get(), make_header(), path_);
    write_all(out.get(),
              {reinterpret_cast<const std::uint8_t*>(fresh_.data()), fresh_.size() * sizeof(Record)}, path_);
  } catch (const Error&) {  // as above; a torn record is seen when the memo is loaded
  }
  fresh_.clear();
}

std::optional<Digest> DigestMemo::find(const FileRef& file, bool* changed) const {
  if (!is_known(file)) return {};
  const Digest name = name_of(file);
  const std::lock_guard lock(mutex_);
  const RowPlace* place = by_path_.find(name);
  if (place == nullptr) return {};
  const Record& r = records_[place->row];
  records_.release_behind(place->row);
  if (r.size == file.size && r.mtime == file.mtime_ns && r.ctime == file.ctime_ns) return r.content;
  if (changed != nullptr) *changed = true;
  return {};
}

void DigestMemo::remember(const FileRef& file, const Digest& content) {
  if (!is_known(file)) return;
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  if (file.mtime_ns > now - 2'000'000'000) return;
  const Record record = record_of(file, content);
  const std::lock_guard lock(mutex_);
  add(record);
  fresh_.push_back(record);
  if (fresh_.size() >= kRecordsPerWrite) append();
}

Digest DigestMemo::digest_of(const std::filesystem::path& file) {
  const FileRef ref = examine_file(file);
  {
    const std::lock_guard lock(mutex_);
    if (const auto pinned = pinned_.find(ref.path); pinned != pinned_.end()) return pinned->second.content;
  }
  const auto known = find(ref);
  const Digest content = known ? *known : digest_of_content(file);
  if (!known) remember(ref, content);
  const std::lock_guard lock(mutex_);
  return pinned_.try_emplace(ref.path, Pinned{ref, content}).first->second.content;
}

void DigestMemo::require_unchanged() {
  const std::lock_guard lock(mutex_);
  for (auto& [path, pinned] : pinned_) {
    std::string how;
    try {
      const FileRef now = examine_file(path);
      if (now.size != pinned.file.size || now.mtime_ns != pinned.file.mtime_ns)
        how = "was replaced or written to";
      else if (now.ctime_ns != pinned.file.ctime_ns && digest_of_content(path) != pinned.content)
        how = "was replaced";
      else
        pinned.file = now;  // a hard link or other rights: the content is the same
    } catch (const Error& e) {
      how = fmt::format("is not there any more ({})", e.what());
    }
    if (!how.empty())
      throw Error(fmt::format("{} {} while it was in use; run again when it stays as it is", path, how));
  }
}

}  // namespace graft
