#include "store/shard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include <graft/error.h>

#include "store/crc32c.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// A table of a billion rows has more shards than a process may have open files.
constexpr std::size_t kMaxOpen = 64;
/// Checksums that are not worth a file.
constexpr std::size_t kSmall = std::size_t{16} << 10;

struct OpenShards {
  std::mutex mutex;
  std::deque<const Shard*> order;  // oldest first
};
OpenShards& open_shards() {
  static auto* shared = new OpenShards;  // outlives every static shard
  return *shared;
}

std::atomic<std::uint64_t> next_serial{1};

}  // namespace

std::string repair_hint(const fs::path& shard) {
  // <store>/tables/<fingerprint>/shards/<file>
  const fs::path store = shard.parent_path().parent_path().parent_path().parent_path();
  return fmt::format(
      "to drop exactly the damaged shards: graft store verify --repair --store {}; the next run computes "
      "their rows again, all others stay",
      store.string());
}

Shard::Shard(const fs::path& shards, ShardEntry entry)
    : path_(shards / entry.file),
      entry_(std::move(entry)),
      row_bytes_(graft::row_bytes(entry_.format)),
      rows_(entry_.row_crcs.size()),
      row_crcs_(entry_.row_crcs.data()),
      serial_(next_serial++) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) fail(file_error("open", path_, errno));
  if (!S_ISREG(info.st_mode)) fail(path_.string() + ": is not a regular file");
  if (static_cast<std::uint64_t>(info.st_size) != entry_.bytes)
    fail(fmt::format("{}: has {} bytes, the manifest says {}", path_.string(), info.st_size, entry_.bytes));
}

Shard::~Shard() {
  OpenShards& all = open_shards();
  const std::lock_guard lock(all.mutex);
  if (file_) std::erase(all.order, this);
}

void Shard::drop_ids() {
  // A vector that is assigned {} keeps its memory.
  std::vector<Digest>().swap(entry_.row_ids);
  std::vector<Digest>().swap(entry_.reject_ids);
  std::vector<StoredReject>().swap(entry_.rejects);
  const std::size_t bytes = rows_ * sizeof(std::uint32_t);
  crcs_ = PagedBlock(bytes, bytes < kSmall);
  if (bytes > 0) std::memcpy(crcs_.data(), entry_.row_crcs.data(), bytes);
  crcs_.release();
  row_crcs_ = reinterpret_cast<const std::uint32_t*>(crcs_.data());
  std::vector<std::uint32_t>().swap(entry_.row_crcs);
}

void Shard::fail(const std::string& why) const {
  throw Error(why + "\n" + repair_hint(path_));
}

std::shared_ptr<const FileHandle> Shard::open() const {
  OpenShards& all = open_shards();
  const std::lock_guard lock(all.mutex);
  if (file_) return file_;
  auto handle = std::make_shared<FileHandle>(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*handle) fail(file_error("open", path_, errno));
  if (all.order.size() >= kMaxOpen) {
    all.order.front()->file_.reset();
    all.order.pop_front();
  }
  all.order.push_back(this);
  file_ = std::move(handle);
  return file_;
}

void Shard::read(std::size_t first, std::size_t count, std::uint8_t* out) const {
  if (first + count > rows_)
    throw Error(fmt::format("{}: rows {} to {} of {}", path_.string(), first, first + count, rows_));
  if (entry_.compression == Compression::None) {
    const auto file = open();
    std::uint8_t* to = out;
    for (std::size_t row = first; row < first + count;) {
      const std::size_t chunk = row / entry_.chunk_rows, within = row % entry_.chunk_rows;
      const std::size_t n = std::min(entry_.chunk_rows - within, first + count - row), size = n * row_bytes_;
      if (read_at(file->get(), to, size, entry_.chunks[chunk].offset + within * row_bytes_, path_) < size)
        fail(fmt::format("{}: ends within row {}", path_.string(), row));
      to += size;
      row += n;
    }
  } else {
    read_packed(first, count, out);
  }
  for (std::size_t i = 0; i < count; ++i)
    if (crc32c(out + i * row_bytes_, row_bytes_) != row_crcs_[first + i])
      fail(fmt::format("{}: row {} is damaged (its checksum is wrong)", path_.string(), first + i));
}

void Shard::read_packed(std::size_t first, std::size_t count, std::uint8_t* out) const {
  // Rows are mostly read one after the other: the chunk unpacked last serves the next ones.
  struct Unpacked {
    std::uint64_t serial = 0;
    std::size_t chunk = 0;
    std::vector<std::uint8_t> data;
  };
  thread_local Unpacked last;
  thread_local std::vector<std::uint8_t> packed;
  for (std::size_t row = first; row < first + count;) {
    const std::size_t chunk = row / entry_.chunk_rows, within = row % entry_.chunk_rows;
    if (last.serial != serial_ || last.chunk != chunk) {
      last.serial = 0;
      const ShardChunk& place = entry_.chunks[chunk];
      packed.resize(place.bytes);
      if (read_at(open()->get(), packed.data(), packed.size(), place.offset, path_) < packed.size())
        fail(fmt::format("{}: ends within row {}", path_.string(), row));
      if (place.unpacked != 0) {
        last.data.assign(packed.begin(), packed.end());
      } else {
        last.data.resize(entry_.chunk_rows * row_bytes_);
        uLongf size = last.data.size();
        if (::uncompress(last.data.data(), &size, packed.data(), packed.size()) != Z_OK ||
            size != last.data.size())
          fail(fmt::format("{}: the chunk of row {} does not unpack", path_.string(), row));
      }
      last.serial = serial_;
      last.chunk = chunk;
    }
    const std::size_t n = std::min(entry_.chunk_rows - within, first + count - row);
    std::copy_n(last.data.data() + within * row_bytes_, n * row_bytes_, out);
    out += n * row_bytes_;
    row += n;
  }
}

}  // namespace graft
