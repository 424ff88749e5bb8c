#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// Bodies of messages between graft and its helper programs: numbers are u64 little-endian, texts a number
/// and their bytes. The other process may have been taken over by what it works on: who takes a message apart
/// checks every number.

/// What a message begins with.
struct MessageFrame {
  std::uint64_t kind, bytes;
};
constexpr std::uint64_t kMaxMessage = std::uint64_t{64} << 20;  ///< Bytes of a body.

/// Sends a message, whole, whatever signals come. False: the other end is gone.
bool send_message(int socket, std::uint64_t kind, std::string_view body);

/// Puts a body together.
class MessageWriter {
 public:
  void number(std::uint64_t value);
  void text(std::string_view value);
  void optional_text(const std::optional<std::string>& value);
  /// All that another one has.
  void append(const MessageWriter& other);
  const std::string& body() const { return body_; }

 private:
  std::string body_;
};

/// Takes a body apart. Everything throws Error when the body ends too early.
class MessageParser {
 public:
  /// `body` outlives the parser.
  explicit MessageParser(std::string_view body) : left_(body) {}
  /// At most `most`; more throws Error.
  std::uint64_t number(std::uint64_t most = ~std::uint64_t{0});
  std::string text();
  std::optional<std::string> optional_text();
  /// Throws Error when something is left.
  void end() const;

 private:
  std::string_view left_;
};

}  // namespace graft
