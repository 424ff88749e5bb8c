#include "store/row_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/crc32c.h"

namespace graft {
namespace {

constexpr char kMagic[8] = {'G', 'R', 'A', 'F', 'T', 'L', 'O', 'G'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kRecordMagic = 0x574f5247;
constexpr std::size_t kHeaderBytes = RowLog::kHeaderBytes;
constexpr std::size_t kRecordHeaderBytes = 40;
constexpr std::size_t kMinCapacity = 256;
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kMaxCapacity = 1ULL << 30;

// The formats are little-endian, as every machine that this is built for; big-endian ones would need swaps
// here.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

template <typename T>
void put(std::uint8_t*& at, T value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}
template <typename T>
T take(const std::uint8_t*& at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

std::size_t capacity_for(const RowFormat& format) {
  return (std::max(row_bytes(format), kMinCapacity) + 7) / 8 * 8;
}

/// Reads until `size` bytes or the end of the file.
std::size_t read_some(int fd, std::uint8_t* to, std::size_t size, const std::filesystem::path& path) {
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd, to + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(file_error("read", path, errno));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return have;
}

}  // namespace

Digest row_id(const Digest& content, std::uint32_t view, std::string_view qualifier) {
  std::string name = content.hex() + fmt::format("/{}/", view);
  name += qualifier;
  return digest(name);
}

std::vector<std::uint8_t> encode_reject(const StoredReject& reject) {
  // The stage and the code are short names; the text gives way when all of it does not fit a record.
  const std::string head = reject.stage.substr(0, 64) + '\0' + reject.code.substr(0, 32) + '\0';
  const std::string all = head + reject.text.substr(0, kMinCapacity - head.size() - 1) + '\0';
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
  if (format.shape.size() > kMaxRank)
    throw Error(fmt::format("a row may have {} dimensions, got {}", kMaxRank, to_string(format.shape)));
  RowLog log;
  log.path_ = path;
  log.capacity_ = capacity_for(format);
  log.file_ = FileHandle(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
  if (!log.file_) throw Error(file_error("create", path, errno));

  std::array<std::uint8_t, kHeaderBytes> header{};
  std::uint8_t* at = header.data();
  std::memcpy(at, kMagic, sizeof kMagic);
  at += sizeof kMagic;
  put(at, kVersion);
  put(at, static_cast<std::uint32_t>(format.dtype));
  put(at, static_cast<std::uint32_t>(format.shape.size()));
  put(at, static_cast<std::uint32_t>(log.capacity_));
  for (const std::int64_t extent : format.shape) put(at, extent);
  at = header.data() + kHeaderBytes - 4;
  put(at, crc32c(header.data(), kHeaderBytes - 4));
  write_all(log.file_.get(), header, path);
  sync_folder(path.parent_path());
  log.bytes_ = kHeaderBytes;
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
  ++records_;
  bytes_ += kRecordHeaderBytes + capacity_;
  if (buffer_.size() >= kBufferBytes) flush();
}

void RowLog::flush() {
  if (buffer_.empty()) return;
  write_all(file_.get(), buffer_, path_);
  buffer_.clear();
}

void RowLog::sync() {
  flush();
  while (::fdatasync(file_.get()) != 0)
    if (errno != EINTR) throw Error(file_error("sync", path_, errno));
}

LogScan scan_row_log(const std::filesystem::path& path, const std::function<void(const RowRecord&)>& visit) {
  const FileHandle in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) throw Error(file_error("open", path, errno));
  std::array<std::uint8_t, kHeaderBytes> header;
  if (read_some(in.get(), header.data(), header.size(), path) < header.size())
    throw Error(fmt::format("{}: not a row log: it ends within its header", path.string()));
  const std::uint8_t* at = header.data() + kHeaderBytes - 4;
  if (std::memcmp(header.data(), kMagic, sizeof kMagic) != 0 ||
      take<std::uint32_t>(at) != crc32c(header.data(), kHeaderBytes - 4))
    throw Error(fmt::format("{}: not a row log: its header is damaged", path.string()));
  at = header.data() + sizeof kMagic;
  if (const auto version = take<std::uint32_t>(at); version != kVersion)
    throw Error(
        fmt::format("{}: row log version {}; this graft reads version {}", path.string(), version, kVersion));
  LogScan scan;
  const auto dtype = take<std::uint32_t>(at);
  const auto rank = take<std::uint32_t>(at);
  const std::size_t capacity = take<std::uint32_t>(at);
  if (dtype > static_cast<std::uint32_t>(DType::I64) || rank > kMaxRank || capacity > kMaxCapacity)
    throw Error(fmt::format("{}: not a row log: impossible header", path.string()));
  scan.format.dtype = static_cast<DType>(dtype);
  for (std::uint32_t i = 0; i < rank; ++i) scan.format.shape.push_back(take<std::int64_t>(at));
  if (capacity != capacity_for(scan.format))
    throw Error(fmt::format("{}: not a row log: capacity and shape differ", path.string()));

  const std::size_t record_bytes = kRecordHeaderBytes + capacity;
  std::vector<std::uint8_t> buffer(std::max<std::size_t>(1, kBufferBytes / record_bytes) * record_bytes);
  for (;;) {
    const std::size_t have = read_some(in.get(), buffer.data(), buffer.size(), path);
    for (std::size_t offset = 0; offset + record_bytes <= have; offset += record_bytes) {
      const std::uint8_t* const record = buffer.data() + offset;
      const std::uint8_t* field = record;
      const auto magic = take<std::uint32_t>(field);
      const auto status = take<std::uint32_t>(field);
      RowRecord out;
      out.id.high = take<std::uint64_t>(field);
      out.id.low = take<std::uint64_t>(field);
      out.sequence = take<std::uint64_t>(field);
      const std::size_t size = take<std::uint32_t>(field);
      const auto crc = take<std::uint32_t>(field);
      const std::uint32_t actual = crc32c(field, capacity, crc32c(record, kRecordHeaderBytes - 4));
      if (magic != kRecordMagic || crc != actual || size > capacity || (status != 1 && status != 2)) {
        ++scan.damaged;
        continue;
      }
      out.ok = status == 1;
      out.payload = {field, size};
      ++scan.records;
      visit(out);
    }
    if (have < buffer.size()) {
      scan.torn_tail = have % record_bytes != 0;
      return scan;
    }
  }
}

}  // namespace graft
