#include "base/message.h"

#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include <graft/error.h>

namespace graft {
namespace {

static_assert(std::endian::native == std::endian::little);

[[noreturn]] void damaged() {
  throw Error("a helper process gave an answer that makes no sense");
}

}  // namespace

bool send_message(int socket, std::uint64_t kind, std::string_view body) {
  const MessageFrame frame{kind, body.size()};
  std::string message(reinterpret_cast<const char*>(&frame), sizeof frame);
  message += body;
  for (std::string_view left = message; !left.empty();) {
    const ssize_t n = ::send(socket, left.data(), left.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void MessageWriter::number(std::uint64_t value) {
  body_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void MessageWriter::text(std::string_view value) {
  number(value.size());
  body_ += value;
}

void MessageWriter::optional_text(const std::optional<std::string>& value) {
  number(value ? 1 : 0);
  if (value) text(*value);
}

void MessageWriter::append(const MessageWriter& other) {
  body_ += other.body_;
}

std::uint64_t MessageParser::number(std::uint64_t most) {
  std::uint64_t value = 0;
  if (left_.size() < sizeof value) damaged();
  std::memcpy(&value, left_.data(), sizeof value);
  left_.remove_prefix(sizeof value);
  if (value > most) damaged();
  return value;
}

std::string MessageParser::text() {
  const std::uint64_t size = number(left_.size());
  if (size > left_.size()) damaged();
  std::string out(left_.substr(0, static_cast<std::size_t>(size)));
  left_.remove_prefix(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> MessageParser::optional_text() {
  if (number(1) == 0) return {};
  return text();
}

void MessageParser::end() const {
  if (!left_.empty()) damaged();
}

}  // namespace graft
