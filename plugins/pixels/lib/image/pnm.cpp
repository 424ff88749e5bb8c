#include <image/pnm.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include <image/reject.h>

namespace graft::image {
namespace {

// Numbers are not followed further: ten times this does not overflow, nor do the products of two.
constexpr std::uint32_t kTooLarge = 100'000'000;

bool is_space(int c) {
  return std::isspace(c) != 0;
}
bool is_digit(int c) {
  return c >= '0' && c <= '9';
}

// Numbers with white space and comments between them.
class Numbers {
 public:
  Numbers(const ByteReader& in, std::uint64_t at) : in_(in), at_(at) {}

  std::uint64_t position() const { return at_; }

  // The next byte that is neither white space nor in a comment; -1 at the end.
  int peek() {
    while (in_.has(at_, 1)) {
      if (byte() == '#')
        skip_comment();
      else if (is_space(byte()))
        ++at_;
      else
        return byte();
    }
    return -1;
  }

  // A number, or nothing where something else stands.
  std::optional<std::uint32_t> number() {
    if (!is_digit(peek())) return {};
    std::uint32_t v = 0;
    for (; in_.has(at_, 1) && is_digit(byte()); ++at_)
      v = std::min(kTooLarge, v * 10 + static_cast<std::uint32_t>(byte() - '0'));
    return v;
  }

  // One digit, for bitmaps, whose numbers may touch.
  std::optional<std::uint32_t> digit() {
    if (!is_digit(peek())) return {};
    const auto v = static_cast<std::uint32_t>(byte() - '0');
    ++at_;
    return v;
  }

  // After the header stands one byte of white space, before it maybe a comment.
  void end_header() {
    if (in_.has(at_, 1) && byte() == '#') skip_comment();
    ++at_;
  }

 private:
  int byte() const { return in_.data()[at_]; }
  // To the end of the line, which is white space.
  void skip_comment() {
    while (in_.has(at_, 1) && byte() != '\n' && byte() != '\r') ++at_;
  }

  const ByteReader& in_;
  std::uint64_t at_;
};

std::uint32_t header_number(Numbers& numbers) {
  if (const auto v = numbers.number()) {
    if (*v == kTooLarge) reject_corrupt(Format::Pnm, "a number in its header is too large");
    return *v;
  }
  if (numbers.peek() < 0) reject_truncated(Format::Pnm, "its header is incomplete");
  reject_corrupt(Format::Pnm, "a number is missing in its header");
}

// 8 bits for every sample up to the largest; larger ones are white.
std::vector<std::uint8_t> levels(const PnmInfo& info) {
  std::vector<std::uint8_t> out(info.largest < 256 ? 256 : 65536, 255);
  for (std::uint32_t v = 0; v <= info.largest; ++v)
    out[v] = static_cast<std::uint8_t>(std::nearbyint(static_cast<double>(v) / info.largest * 255));
  return out;
}

void text_row(Numbers& numbers, const PnmInfo& info, const std::vector<std::uint8_t>& levels,
              std::uint8_t* to) {
  for (std::int64_t i = 0; i < info.width * info.channels; ++i) {
    const auto v = info.bits ? numbers.digit() : numbers.number();
    if (!v && numbers.peek() < 0) reject_truncated(Format::Pnm, "some of its samples are missing");
    if (!v) reject_corrupt(Format::Pnm, "its samples are not all numbers");
    if (*v > info.largest)
      reject_corrupt(Format::Pnm, "a sample is " + std::to_string(*v) + ", more than its largest value " +
                                      std::to_string(info.largest));
    to[i] = info.bits ? (*v ? 0 : 255) : levels[*v];
  }
}

void binary_row(const std::uint8_t* from, const PnmInfo& info, const std::vector<std::uint8_t>& levels,
                std::uint8_t* to) {
  for (std::int64_t i = 0; i < info.width * info.channels; ++i) {
    if (info.bits)
      to[i] = from[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
    else
      to[i] =
          levels[info.largest < 256 ? from[i] : static_cast<unsigned>(from[2 * i] << 8 | from[2 * i + 1])];
  }
}

// Of a binary file.
std::uint64_t row_bytes(const PnmInfo& info) {
  const auto width = static_cast<std::uint64_t>(info.width);
  if (info.bits) return (width + 7) / 8;
  return width * static_cast<std::uint64_t>(info.channels) * (info.largest < 256 ? 1 : 2);
}

}  // namespace

PnmInfo pnm_info(const ByteReader& in) {
  PnmInfo info;
  const auto kind = static_cast<char>(*in.u8(1));
  info.bits = kind == '1' || kind == '4';
  info.text = kind <= '3';
  info.channels = kind == '3' || kind == '6' ? 3 : 1;
  Numbers numbers(in, 2);
  info.width = header_number(numbers);
  info.height = header_number(numbers);
  if (!info.bits) info.largest = header_number(numbers);
  if (info.largest < 1 || info.largest > 65535)
    reject_corrupt(Format::Pnm, "its largest value is " + std::to_string(info.largest));
  numbers.end_header();
  info.samples = numbers.position();
  const std::uint64_t bytes = row_bytes(info) * static_cast<std::uint64_t>(info.height);
  // A sample in text takes one byte at least.
  const std::uint64_t least = info.text ? static_cast<std::uint64_t>(info.width * info.channels) *
                                              static_cast<std::uint64_t>(info.height)
                                        : bytes;
  if (!in.has(info.samples, least))
    reject_truncated(Format::Pnm, "expected " + std::to_string(info.samples + least) + " bytes" +
                                      (info.text ? " or more" : "") + ", got " + std::to_string(in.size()));
  return info;
}

Image decode_pnm(const ByteReader& in, const PnmInfo& info) {
  Image out = Image::allocate(static_cast<int>(info.width), static_cast<int>(info.height));
  const std::vector<std::uint8_t> scaled = levels(info);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(info.width * info.channels));
  Numbers numbers(in, info.samples);
  for (int y = 0; y < out.height; ++y) {
    std::uint8_t* to = info.channels == 3 ? out.row(y) : row.data();
    if (info.text)
      text_row(numbers, info, scaled, to);
    else
      binary_row(in.data() + info.samples + static_cast<std::uint64_t>(y) * row_bytes(info), info, scaled,
                 to);
    if (info.channels == 3) continue;
    for (int x = 0; x < out.width; ++x) std::fill_n(out.row(y) + 3 * x, 3, row[static_cast<std::size_t>(x)]);
  }
  return out;
}

}  // namespace graft::image
