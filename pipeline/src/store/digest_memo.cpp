#include "store/digest_memo.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/crc32c.h"

namespace graft {
namespace {

// One record: digest of (path, size, mtime), digest of the content, CRC-32C of both, 4 zero bytes.
constexpr std::size_t kRecordBytes = 40;

Digest identity(const FileRef& file) {
  std::string id = fmt::format("{}/{}/{}", file.size, file.mtime_ns, file.path);
  if (!file.member.empty()) id.append(1, '\0').append(file.member);
  return digest(id);
}

}  // namespace

FileRef examine_file(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) throw Error(file_error("examine", file, errno));
  return {std::filesystem::absolute(file).lexically_normal().string(),
          static_cast<std::uint64_t>(info.st_size),
          std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

DigestMemo::DigestMemo(std::filesystem::path path) : path_(std::move(path)) {
  std::string data;
  try {
    if (std::filesystem::exists(path_)) data = read_file(path_);
  } catch (const Error&) {
    return;
  }
  for (std::size_t at = 0; at + kRecordBytes <= data.size(); at += kRecordBytes) {
    Digest id, content;
    std::uint32_t crc = 0;
    std::memcpy(&id, data.data() + at, 16);
    std::memcpy(&content, data.data() + at + 16, 16);
    std::memcpy(&crc, data.data() + at + 32, 4);
    if (crc == crc32c(data.data() + at, 32)) known_[id] = content;
  }
}

DigestMemo::~DigestMemo() {
  if (fresh_.empty()) return;
  const FileHandle out(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!out) return;
  try {
    write_all(out.get(), fresh_, path_);
  } catch (const Error&) {  // a shortcut that could not be saved costs time, not truth
  }
}

std::optional<Digest> DigestMemo::find(const FileRef& file) const {
  const Digest id = identity(file);
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(id);
  return it == known_.end() ? std::nullopt : std::optional(it->second);
}

void DigestMemo::remember(const FileRef& file, const Digest& content) {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  if (file.mtime_ns > now - 2'000'000'000) return;
  const Digest id = identity(file);
  const std::lock_guard lock(mutex_);
  if (!known_.emplace(id, content).second) return;
  std::uint8_t record[kRecordBytes] = {};
  std::memcpy(record, &id, 16);
  std::memcpy(record + 16, &content, 16);
  const std::uint32_t crc = crc32c(record, 32);
  std::memcpy(record + 32, &crc, 4);
  fresh_.insert(fresh_.end(), record, record + kRecordBytes);
}

Digest DigestMemo::digest_of(const std::filesystem::path& file) {
  const FileRef ref = examine_file(file);
  if (const auto known = find(ref)) return *known;
  const std::string content = read_file(file);
  const Digest d = digest(content);
  remember(ref, d);
  return d;
}

}  // namespace graft
