#include "line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <graft/system_error.h>

namespace {

constexpr std::size_t kBlock = 1 << 16, kLongestLine = 1 << 20;
constexpr int kLookMs = 200;

}  // namespace

LineReader::LineReader(std::string path)
    : name_(std::move(path)), file_(::open(name_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (file_ < 0)
    throw graft::Error("paths: cannot read the list " + name_ + ": " + graft::system_error_text(errno));
}

LineReader::LineReader(std::function<bool()> keep_waiting)
    : name_("the standard input"), file_(STDIN_FILENO), keep_waiting_(std::move(keep_waiting)) {}

LineReader::~LineReader() {
  if (file_ != STDIN_FILENO) ::close(file_);
}

/// False: nobody wants to wait any longer.
bool LineReader::wait() const {
  if (!keep_waiting_) return true;
  for (pollfd look{file_, POLLIN, 0};;) {
    const int ready = ::poll(&look, 1, kLookMs);
    // A signal ends the wait, too: to read then would be to wait without looking.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
    if (!keep_waiting_()) return false;
  }
}

/// Appends what can be read to what is left of the buffer. False at the end.
bool LineReader::fill() {
  if (ended_) return false;
  buffer_.erase(0, std::exchange(at_, 0));
  if (!wait()) {
    buffer_.clear();
    ended_ = true;
    return false;
  }
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kBlock);
  ssize_t n = -1;
  do n = ::read(file_, buffer_.data() + before, kBlock);
  while (n < 0 && errno == EINTR);
  if (n < 0) throw graft::Error("paths: cannot read " + name_ + ": " + graft::system_error_text(errno));
  buffer_.resize(before + static_cast<std::size_t>(n));
  ended_ = n == 0;
  return n > 0;
}

std::optional<std::string> LineReader::next() {
  for (;;) {
    std::size_t end = buffer_.find('\n', at_);
    while (end == std::string::npos && fill()) {
      end = buffer_.find('\n', at_);
      if (end == std::string::npos && buffer_.size() > kLongestLine)
        throw graft::Error("paths: " + name_ + ": a line of more than 1 MiB: expected one path per line");
    }
    if (end == std::string::npos && at_ == buffer_.size()) return {};
    std::string_view line(buffer_.data() + at_, (end == std::string::npos ? buffer_.size() : end) - at_);
    at_ += line.size() + (end == std::string::npos ? 0 : 1);
    if (std::exchange(first_, false) && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.find('\0') != std::string_view::npos)
      throw graft::Error("paths: " + name_ + ": a path with a NUL byte: expected one path per line");
    return std::string(line);
  }
}
