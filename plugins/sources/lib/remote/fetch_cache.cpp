#include <remote/fetch_cache.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

#include <graft/error.h>
#include <graft/hash.h>

namespace graft::remote {

namespace fs = std::filesystem;

namespace {

constexpr char kCacheMagic[8] = {'G', 'R', 'A', 'F', 'T', 'U', 'R', 'L'};
constexpr std::uint32_t kCacheVersion = 1;
constexpr std::size_t kLongestTag = 1024;
constexpr std::uint64_t kLooksPerLimit = 16;
/// A file that is being written is not older.
constexpr auto kOldestTemporary = std::chrono::hours(1);

struct CacheHeader {
  char magic[8];
  std::uint32_t version, tag;
  std::uint64_t size, high, low;
};
static_assert(sizeof(CacheHeader) == 40);

class CacheFile {
 public:
  explicit CacheFile(int fd) : fd_(fd) {}
  ~CacheFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  bool read(void* to, std::size_t size) const {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t n = ::read(fd_, at, size);
      if (n <= 0) return false;
      at += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }
  bool write(const void* from, std::size_t size) const {
    const auto* at = static_cast<const char*>(from);
    while (size > 0) {
      const ssize_t n = ::write(fd_, at, size);
      if (n < 0) return false;
      at += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }

 private:
  int fd_;
};

/// Whether a path ends as those of the cache do: nothing else in the folder is ever removed.
bool is_of_the_cache(const fs::path& path) {
  const std::string name = path.filename().string().substr(0, 32),
                    folder = path.parent_path().filename().string();
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string::npos &&
         folder == name.substr(0, 2) && (path.extension() == ".tmp" || path.filename().string().size() == 32);
}

/// Of all that a file of the cache says.
Digest checksum(const std::string& url, const std::string& tag, const std::vector<std::uint8_t>& bytes) {
  const Digest name = digest(url + "\n" + tag), content = digest(bytes.data(), bytes.size());
  return {name.high ^ content.high, name.low ^ content.low};
}

}  // namespace

FetchCache::FetchCache(fs::path folder, std::uint64_t limit) : folder_(std::move(folder)), limit_(limit) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw Error("cache: cannot create " + folder_.string() + ": " + error.message());
  make_room();
}

fs::path FetchCache::path_of(const std::string& url) const {
  const std::string name = digest(url).hex();
  return folder_ / name.substr(0, 2) / name;
}

std::optional<FetchCache::Found> FetchCache::find(const std::string& url) const {
  const fs::path path = path_of(url);
  const CacheFile in(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  CacheHeader header{};
  if (!in || ::fstat(in.get(), &info) != 0 || !S_ISREG(info.st_mode) || !in.read(&header, sizeof header) ||
      std::memcmp(header.magic, kCacheMagic, sizeof kCacheMagic) != 0 || header.version != kCacheVersion ||
      header.tag > kLongestTag ||
      static_cast<std::uint64_t>(info.st_size) != sizeof header + header.tag + header.size)
    return {};
  Found out;
  out.tag.resize(header.tag);
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(header.size);
  if (!in.read(out.tag.data(), out.tag.size()) || !in.read(bytes->data(), bytes->size()) ||
      checksum(url, out.tag, *bytes) != Digest{header.high, header.low})
    return {};
  out.bytes = std::move(bytes);
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // used now
  return out;
}

void FetchCache::keep(const std::string& url, const std::string& tag,
                      const std::vector<std::uint8_t>& bytes) {
  const std::uint64_t size = sizeof(CacheHeader) + tag.size() + bytes.size();
  if (tag.size() > kLongestTag || size > limit_) return;
  const fs::path path = path_of(url);
  std::error_code error;
  fs::create_directory(path.parent_path(), error);
  std::random_device random;
  const fs::path temporary =
      path.string() + "." + std::to_string(random()) + std::to_string(random()) + ".tmp";
  CacheHeader header{{}, kCacheVersion, static_cast<std::uint32_t>(tag.size()), bytes.size(), 0, 0};
  std::memcpy(header.magic, kCacheMagic, sizeof kCacheMagic);
  const Digest digest = checksum(url, tag, bytes);
  header.high = digest.high;
  header.low = digest.low;
  bool written = false;
  {
    const CacheFile out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    written = out && out.write(&header, sizeof header) && out.write(tag.data(), tag.size()) &&
              out.write(bytes.data(), bytes.size());
  }
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
    ::unlink(temporary.c_str());
    return;
  }
  if ((written_ += size) > limit_ / kLooksPerLimit) make_room();
}

/// One process at a time looks through the folder; the others go on.
void FetchCache::make_room() {
  const CacheFile lock(::open((folder_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return;
  written_ = 0;
  struct Kept {
    fs::file_time_type used;
    std::uint64_t bytes;
    fs::path path;
  };
  std::vector<Kept> files;
  std::uint64_t sum = 0;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::recursive_directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it.depth() != 1 || !it->is_regular_file(gone) || !is_of_the_cache(it->path())) continue;
    const auto used = it->last_write_time(gone);
    const auto bytes = it->file_size(gone);
    if (gone) continue;
    if (it->path().extension() == ".tmp") {  // left by a process that was killed
      if (now - used > kOldestTemporary) fs::remove(it->path(), gone);
      continue;
    }
    files.push_back({used, bytes, it->path()});
    sum += bytes;
  }
  if (sum <= limit_) return;
  std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  for (const Kept& file : files) {
    if (sum <= limit_ - limit_ / kLooksPerLimit) break;
    if (fs::remove(file.path, error)) sum -= file.bytes;
  }
}

}  // namespace graft::remote
