#include "store/row_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>

#include <fmt/compile.h>
#include <fmt/format.h>

#include <graft/error.h>

#include "base/assert.h"
#include "base/attempt.h"
#include "base/bytes.h"
#include "store/crc32c.h"
#include "store/folder_lock.h"
#include "store/manifest.h"

namespace graft {
namespace {

constexpr char kLogMagic[8] = {'G', 'R', 'A', 'F', 'T', 'L', 'O', 'G'};
constexpr std::uint32_t kLogVersion = 2;
constexpr std::uint32_t kRecordMagic = 0x574f5247;
constexpr std::size_t kLogHeaderBytes = RowLog::kHeaderBytes;
constexpr std::size_t kFlagsAt = 88;
constexpr std::uint32_t kLocked = 1;
constexpr std::size_t kRecordHeaderBytes = 40;
constexpr std::size_t kMaxRowRank = 8;
constexpr std::size_t kLogBufferBytes = 1 << 20;
constexpr std::size_t kMaxCapacity = 1ULL << 30;

std::size_t capacity_for(const RowFormat& format) {
  return (std::max(row_bytes(format), kReasonBytes) + 7) / 8 * 8;
}

bool try_lock(int fd) {
  return ::flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/// The record in `record`, or nothing when it is damaged.
std::optional<RowRecord> decode_record(const std::uint8_t* record, std::size_t capacity,
                                       std::size_t row_size) {
  const std::uint8_t* field = record;
  const auto magic = take<std::uint32_t>(field);
  const auto status = take<std::uint32_t>(field);
  RowRecord out;
  out.id.high = take<std::uint64_t>(field);
  out.id.low = take<std::uint64_t>(field);
  out.sequence = take<std::uint64_t>(field);
  const std::size_t size = take<std::uint32_t>(field);
  const auto crc = take<std::uint32_t>(field);
  if (magic != kRecordMagic || (status != 1 && status != 2) || size > capacity ||
      crc != crc32c(field, capacity, crc32c(record, kRecordHeaderBytes - 4)))
    return {};
  out.ok = status == 1;
  if (out.ok && size != row_size) return {};
  out.payload = {field, size};
  return out;
}

}  // namespace

Digest row_id(const Digest& content, std::uint32_t view, std::string_view qualifier) {
  // Called some times for every row of every run: a short name takes no memory, and its format is not parsed.
  fmt::memory_buffer name;
  fmt::format_to(std::back_inserter(name), FMT_COMPILE("{:016x}{:016x}/{}/"), content.high, content.low,
                 view);
  name.append(qualifier);
  return digest(name.data(), name.size());
}

std::vector<std::uint8_t> encode_reject(const StoredReject& reject) {
  // The stage and the code are short names; the text gives way when all of it does not fit a record.
  const std::string head = reject.stage.substr(0, 64) + '\0' + reject.code.substr(0, 32) + '\0';
  const std::string all = head + reject.text.substr(0, kReasonBytes - head.size() - 1) + '\0';
  return {all.begin(), all.end()};
}

StoredReject decode_reject(std::span<const std::uint8_t> payload) {
  std::array<std::string, 3> parts;
  std::size_t at = 0;
  for (std::string& part : parts) {
    while (at < payload.size() && payload[at] != 0) part += static_cast<char>(payload[at++]);
    ++at;
  }
  return {parts[0], parts[1], parts[2]};
}

RowLog RowLog::create(const std::filesystem::path& path, const RowFormat& format) {
  if (format.shape.size() > kMaxRowRank)
    throw Error(fmt::format("a row may have {} dimensions, got {}", kMaxRowRank, to_string(format.shape)));
  RowLog log;
  log.path_ = path;
  log.capacity_ = capacity_for(format);
  const std::filesystem::path temporary = path.string() + ".new";
  log.file_ = FileHandle(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
  if (!log.file_) throw Error(file_error("create", path, errno));

  std::array<std::uint8_t, kLogHeaderBytes> header{};
  std::uint8_t* at = header.data();
  std::memcpy(at, kLogMagic, sizeof kLogMagic);
  at += sizeof kLogMagic;
  put(at, kLogVersion);
  put(at, static_cast<std::uint32_t>(format.dtype));
  put(at, static_cast<std::uint32_t>(format.shape.size()));
  put(at, static_cast<std::uint32_t>(log.capacity_));
  for (const std::int64_t extent : format.shape) put(at, extent);
  GRAFT_ASSERT(at <= header.data() + kFlagsAt);
  at = header.data() + kFlagsAt;
  put(at, std::uint32_t{try_lock(log.file_.get()) ? kLocked : 0});
  at = header.data() + kLogHeaderBytes - 4;
  put(at, crc32c(header.data(), kLogHeaderBytes - 4));
  try {
    write_all(log.file_.get(), header, path);
    sync_file(log.file_.get(), path);
    if (!link_without_replacing(temporary, path)) throw Error(file_error("create", path, EEXIST));
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(path.parent_path());
  log.bytes_ = log.synced_bytes_ = kLogHeaderBytes;
  return log;
}

void RowLog::append(const RowRecord& record) {
  if (record.payload.size() > capacity_)
    throw Error(
        fmt::format("{}: a record holds {} bytes, got {}", path_.string(), capacity_, record.payload.size()));
  const std::size_t start = buffer_.size();
  buffer_.resize(start + kRecordHeaderBytes + capacity_, 0);
  std::uint8_t* const header = buffer_.data() + start;
  std::uint8_t* at = header;
  put(at, kRecordMagic);
  put(at, std::uint32_t{record.ok ? 1u : 2u});
  put(at, record.id.high);
  put(at, record.id.low);
  put(at, record.sequence);
  put(at, static_cast<std::uint32_t>(record.payload.size()));
  if (!record.payload.empty())
    std::memcpy(header + kRecordHeaderBytes, record.payload.data(), record.payload.size());
  put(at, crc32c(header + kRecordHeaderBytes, capacity_, crc32c(header, kRecordHeaderBytes - 4)));
  GRAFT_ASSERT(at == header + kRecordHeaderBytes);
  ++records_;
  bytes_ += kRecordHeaderBytes + capacity_;
  // A record's position gives its offset.
  GRAFT_ASSERT(bytes_ == kLogHeaderBytes + records_ * (kRecordHeaderBytes + capacity_));
  GRAFT_ASSERT(buffer_.size() <= bytes_ - synced_bytes_);
  if (buffer_.size() >= kLogBufferBytes) flush();
}

void RowLog::flush() {
  if (buffer_.empty()) return;
  write_all(file_.get(), buffer_, path_);
  buffer_.clear();
}

void RowLog::sync() {
  flush();
  sync_file(file_.get(), path_);
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw Error(file_error("examine", path_, errno));
  if (info.st_nlink == 0)
    throw Error(
        path_.string() +
        ": somebody has removed this log while it was written to; run again: what it held and what is "
        "not in a shard is computed again");
  synced_bytes_ = bytes_;
}

LogReader::LogReader(const std::filesystem::path& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (!file_ && errno == ENOENT) throw Error(file_error("open", path, errno));
  if (!file_) throw Unreadable(file_error("open", path, errno));
  std::array<std::uint8_t, kLogHeaderBytes> header;
  if (read_at(file_.get(), header.data(), header.size(), 0, path) < header.size())
    throw Error(fmt::format("{}: not a row log: it ends within its header", path.string()));
  const std::uint8_t* at = header.data() + kLogHeaderBytes - 4;
  if (std::memcmp(header.data(), kLogMagic, sizeof kLogMagic) != 0 ||
      take<std::uint32_t>(at) != crc32c(header.data(), kLogHeaderBytes - 4))
    throw Error(fmt::format("{}: not a row log: its header is damaged", path.string()));
  at = header.data() + sizeof kLogMagic;
  if (const auto version = take<std::uint32_t>(at); version != kLogVersion)
    throw Error(fmt::format("{}: row log version {}; this graft reads version {}", path.string(), version,
                            kLogVersion));
  const auto dtype = take<std::uint32_t>(at);
  const auto rank = take<std::uint32_t>(at);
  capacity_ = take<std::uint32_t>(at);
  if (dtype > static_cast<std::uint32_t>(DType::I64) || rank > kMaxRowRank || capacity_ > kMaxCapacity)
    throw Error(fmt::format("{}: not a row log: impossible header", path.string()));
  format_.dtype = static_cast<DType>(dtype);
  for (std::uint32_t i = 0; i < rank; ++i) format_.shape.push_back(take<std::int64_t>(at));
  if (capacity_ != capacity_for(format_))
    throw Error(fmt::format("{}: not a row log: capacity and shape differ", path.string()));
  at = header.data() + kFlagsAt;
  locks_ = (take<std::uint32_t>(at) & kLocked) != 0;
}

bool LogReader::try_lock_abandoned(bool keep) const {
  const bool held = ::flock(file_.get(), (keep ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0;
  if (!held && errno == EWOULDBLOCK) return false;
  if (held && !keep) ::flock(file_.get(), LOCK_UN);
  // The writer's lock goes with it, however it ended; a stopped process keeps it.
  if (held && locks_ && locks_tell_of(path_, file_.get())) return true;
  return is_stale(path_) && !FolderLock::has_lease(path_.parent_path().parent_path(), attempt_of(path_));
}

LogScan LogReader::scan(const std::function<void(const RowRecord&, std::uint64_t)>& visit) const {
  LogScan scan;
  const std::size_t record_bytes = kRecordHeaderBytes + capacity_;
  // A header promises records of any size: no memory is taken for one that is not there.
  if (const std::uint64_t size = bytes(); size < kLogHeaderBytes + record_bytes) {
    scan.torn_tail = size > kLogHeaderBytes;
    return scan;
  }
  std::vector<std::uint8_t> buffer(std::max<std::size_t>(1, kLogBufferBytes / record_bytes) * record_bytes);
  for (std::uint64_t position = 0;;) {
    const std::size_t have =
        read_at(file_.get(), buffer.data(), buffer.size(), kLogHeaderBytes + position * record_bytes, path_);
    for (std::size_t offset = 0; offset + record_bytes <= have; offset += record_bytes, ++position) {
      const auto record = decode_record(buffer.data() + offset, capacity_, row_bytes(format_));
      ++(record ? scan.records : scan.damaged);
      if (record) visit(*record, position);
    }
    if (have < buffer.size()) {
      scan.torn_tail = have % record_bytes != 0;
      return scan;
    }
  }
}

void LogReader::read(std::uint64_t position, std::uint8_t* out) const {
  thread_local std::vector<std::uint8_t> buffer;
  const std::size_t record_bytes = kRecordHeaderBytes + capacity_;
  buffer.resize(record_bytes);
  const std::size_t have =
      read_at(file_.get(), buffer.data(), record_bytes, kLogHeaderBytes + position * record_bytes, path_);
  const auto record =
      have == record_bytes ? decode_record(buffer.data(), capacity_, row_bytes(format_)) : std::nullopt;
  if (!record || !record->ok)
    throw Error(
        fmt::format("{}: record {} is damaged (its checksum is wrong); run again: it is then computed again",
                    path_.string(), position));
  std::copy(record->payload.begin(), record->payload.end(), out);
}

std::uint64_t LogReader::bytes() const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) throw Error(file_error("examine", path_, errno));
  return static_cast<std::uint64_t>(info.st_size);
}

bool has_writer(const std::filesystem::path& table) {
  for (const std::filesystem::path& path : files_in(table / "logs", ".rows")) try {
      if (!LogReader(path).is_abandoned()) return true;
    } catch (const Unreadable&) {
      return true;
    } catch (const Error&) {  // nobody goes on with a log whose header is damaged
    }
  return false;
}

}  // namespace graft
