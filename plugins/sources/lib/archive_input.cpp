#include <source/archive_input.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <graft/error.h>

namespace graft::source {
namespace {

class ArchiveFile final : public ArchiveInput {
 public:
  explicit ArchiveFile(std::string path) : path_(std::move(path)) {
    struct stat info {};
    // Before it is opened: a pipe would wait for its writer.
    if (::stat(path_.c_str(), &info) != 0) fail("open");
    if (!S_ISREG(info.st_mode)) throw Error("expected an archive, got no regular file: " + path_);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
      close();
      fail("open");
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~ArchiveFile() override { close(); }
  ArchiveFile(const ArchiveFile&) = delete;
  ArchiveFile& operator=(const ArchiveFile&) = delete;

  const std::string& name() const override { return path_; }
  std::uint64_t size() const override { return size_; }
  std::span<const std::uint8_t> read(std::uint64_t offset) override {
    for (;;) {
      const ssize_t n = ::pread(fd_, block_.data(), block_.size(), static_cast<off_t>(offset));
      if (n >= 0) return {block_.data(), static_cast<std::size_t>(n)};
      if (errno != EINTR) fail("read");
    }
  }
  void expect(std::uint64_t, std::uint64_t) override {}

 private:
  [[noreturn]] void fail(const char* verb) const {
    throw Error(std::string("cannot ") + verb + " " + path_ + ": " + std::strerror(errno));
  }
  void close() const {
    const int error = errno;
    if (fd_ >= 0) ::close(fd_);
    errno = error;
  }

  static constexpr std::size_t kBlock = 1 << 17;

  const std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::vector<std::uint8_t> block_ = std::vector<std::uint8_t>(kBlock);
};

}  // namespace

std::string ArchiveInput::text(std::uint64_t offset, std::uint64_t bytes) {
  expect(offset, bytes);
  std::string out;
  while (out.size() < bytes) {
    const auto some = read(offset + out.size());
    if (some.empty()) break;
    out.append(reinterpret_cast<const char*>(some.data()),
               std::min<std::uint64_t>(some.size(), bytes - out.size()));
  }
  return out;
}

std::unique_ptr<ArchiveInput> archive_file(std::string path) {
  return std::make_unique<ArchiveFile>(std::move(path));
}

}  // namespace graft::source
