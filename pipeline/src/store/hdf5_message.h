#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// What TableFile and the process that reads for it say to each other, over one socket: every message is a
/// kind, a size and a body, the numbers u64 little-endian. The reader's answers may be anything, since the
/// file that it reads may have taken it over: who takes them apart checks every number.

/// To the reader. Open: the path for messages, the names of the datasets. Describe and Read: first, count.
enum class Hdf5Request : std::uint64_t { Open = 1, Describe = 2, Read = 3 };
/// From the reader. Refused: why, as text.
enum class Hdf5Answer : std::uint64_t { Done = 1, Refused = 2 };

struct Hdf5Frame {
  std::uint64_t kind, bytes;
};
constexpr std::uint64_t kMaxHdf5Message = std::uint64_t{64} << 20;  ///< Bytes of a body.

/// Puts a body together.
class Hdf5MessageWriter {
 public:
  void number(std::uint64_t value);
  void text(std::string_view value);
  void optional_text(const std::optional<std::string>& value);
  const std::string& body() const { return body_; }

 private:
  std::string body_;
};

/// Takes a body apart. Everything throws Error when the body ends too early.
class Hdf5MessageParser {
 public:
  /// `body` outlives the parser.
  explicit Hdf5MessageParser(std::string_view body) : left_(body) {}
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
