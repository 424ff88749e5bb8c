#include <array>
#include <csetjmp>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <png.h>

#include <image/byte_reader.h>
#include <image/on_white.h>
#include <image/png_chunks.h>
#include <image/reject.h>

#include "readers.h"

namespace {

using graft::Image;
using graft::image::ByteReader;
using graft::image::Format;
using graft::image::on_white;
using graft::image::to8;

using Colour = std::array<std::uint8_t, 3>;

struct PngSource {
  const std::uint8_t* next;
  const std::uint8_t* end;
};

// libpng's reader; freed on every way out, for it lives in a frame above the one that calls setjmp.
struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  int depth = 0;  // bits per sample in the file
  PngSource source;
  std::string error;

  explicit Reader(const std::vector<std::uint8_t>& file) : source{file.data(), file.data() + file.size()} {
    // Warnings are of no interest to a user: chunks that do not change the pixels have been left out.
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_read_struct(&png, nullptr, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png, &source, read);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    static_cast<Reader*>(png_get_error_ptr(png))->error = text;
    png_longjmp(png, 1);
  }
  static void read(png_structp png, png_bytep to, std::size_t size) {
    auto* source = static_cast<PngSource*>(png_get_io_ptr(png));
    if (static_cast<std::size_t>(source->end - source->next) < size) png_error(png, "its data end early");
    std::memcpy(to, source->next, size);
    source->next += size;
  }
};

// Converts one row of samples to RGB.
class Rows {
 public:
  // `transparency`: the data of the chunk tRNS.
  Rows(png_structp png, png_infop info, int depth, int width, const ByteReader& transparency)
      : width_(width), deep_(depth == 16), type_(png_get_color_type(png, info)) {
    if (type_ == PNG_COLOR_TYPE_PALETTE) read_palette(png, info, transparency);
    if (type_ == PNG_COLOR_TYPE_GRAY || type_ == PNG_COLOR_TYPE_RGB) read_key(depth, transparency);
    if (type_ == PNG_COLOR_TYPE_GRAY && !deep_) make_greys(depth);
  }

  void convert(const std::uint8_t* from, std::uint8_t* to) const {
    if (type_ == PNG_COLOR_TYPE_PALETTE || (type_ == PNG_COLOR_TYPE_GRAY && !deep_))
      by_table(from, to);
    else if (type_ == PNG_COLOR_TYPE_RGB && !deep_ && !keyed_)
      std::memcpy(to, from, 3 * static_cast<std::size_t>(width_));
    else if (deep_)
      by_channels<2>(from, to);
    else
      by_channels<1>(from, to);
  }

 private:
  void read_palette(png_structp png, png_infop info, const ByteReader& opacities) {
    png_colorp colours = nullptr;
    int size = 0;
    if (png_get_PLTE(png, info, &colours, &size) == 0) size = 0;
    for (int i = 0; i < 256; ++i) {
      // Entries that the file lacks are grey levels, as in Pillow.
      const auto grey = static_cast<std::uint8_t>(i);
      const png_color c = i < size ? colours[i] : png_color{grey, grey, grey};
      const unsigned alpha = opacities.u8(static_cast<std::uint64_t>(i)).value_or(255);
      table_[static_cast<std::size_t>(i)] = {on_white(c.red, alpha), on_white(c.green, alpha),
                                             on_white(c.blue, alpha)};
    }
  }
  // The transparent colour: 16 bits for each sample, of which those count that the samples have.
  void read_key(int depth, const ByteReader& colour) {
    const std::size_t samples = type_ == PNG_COLOR_TYPE_RGB ? 3 : 1;
    if (colour.size() == 0) return;
    if (colour.size() < 2 * samples)
      graft::image::reject_corrupt(Format::Png, "its transparent colour (tRNS) has " +
                                                    std::to_string(colour.size()) + " of " +
                                                    std::to_string(2 * samples) + " bytes");
    for (std::size_t i = 0; i < samples; ++i) key_[i] = *colour.u16(2 * i) & ((1u << depth) - 1);
    keyed_ = true;
  }
  void make_greys(int depth) {
    const unsigned largest = (1u << depth) - 1;
    for (unsigned v = 0; v <= largest; ++v) {
      const auto grey = static_cast<std::uint8_t>(keyed_ && v == key_[0] ? 255 : v * 255 / largest);
      table_[v] = {grey, grey, grey};
    }
  }
  void by_table(const std::uint8_t* from, std::uint8_t* to) const {
    for (int x = 0; x < width_; ++x, to += 3) std::memcpy(to, table_[from[x]].data(), 3);
  }
  template <std::size_t kBytes>
  void by_channels(const std::uint8_t* from, std::uint8_t* to) const {
    const auto sample = [](const std::uint8_t* at) {
      return kBytes == 1 ? at[0] : static_cast<unsigned>(at[0] << 8 | at[1]);
    };
    const auto eight = [](unsigned v) {
      return kBytes == 1 ? static_cast<std::uint8_t>(v) : to8(static_cast<std::uint16_t>(v));
    };
    const bool grey = (type_ & PNG_COLOR_MASK_COLOR) == 0, alpha = (type_ & PNG_COLOR_MASK_ALPHA) != 0;
    const std::size_t colours = grey ? 1 : 3, step = kBytes * (colours + (alpha ? 1 : 0));
    for (int x = 0; x < width_; ++x, from += step, to += 3) {
      const unsigned r = sample(from), g = grey ? r : sample(from + kBytes),
                     b = grey ? r : sample(from + 2 * kBytes);
      unsigned opacity = alpha ? eight(sample(from + kBytes * colours)) : 255;
      if (keyed_ && r == key_[0] && (grey || (g == key_[1] && b == key_[2]))) opacity = 0;
      to[0] = on_white(eight(r), opacity);
      to[1] = on_white(eight(g), opacity);
      to[2] = on_white(eight(b), opacity);
    }
  }

  int width_;
  bool deep_, keyed_ = false;
  int type_;
  std::array<unsigned, 3> key_{};
  std::array<Colour, 256> table_{};
};

// The functions below are the only ones that libpng can leave by longjmp: no object with a destructor lives
// in them.

bool read_header(Reader& r) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  // The size has been judged; the checksums have been checked.
  png_set_user_limits(r.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_crc_action(r.png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  png_read_info(r.png, r.info);
  r.depth = png_get_bit_depth(r.png, r.info);
  png_set_packing(r.png);  // a byte for each sample of less than 8 bits
  png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  return true;
}

bool read_rows(Reader& r, const Rows& rows, std::uint8_t* row, const Image& out) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  for (int y = 0; y < out.height; ++y) {
    png_read_row(r.png, row, nullptr);
    rows.convert(row, out.row(y));
  }
  png_read_end(r.png, nullptr);
  return true;
}

bool read_passes(Reader& r, std::uint8_t* samples, std::size_t row_bytes, int height) {
  if (setjmp(png_jmpbuf(r.png))) return false;
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass)
    for (int y = 0; y < height; ++y)
      png_read_row(r.png, samples + static_cast<std::size_t>(y) * row_bytes, nullptr);
  png_read_end(r.png, nullptr);
  return true;
}

[[noreturn]] void reject(const Reader& r) {
  graft::image::reject_corrupt(Format::Png,
                               "its pixels cannot be decoded (" + r.error + "); copy or download it again");
}

}  // namespace

Image decode_png(const graft::Bytes& bytes, const graft::image::Header& header) {
  const graft::image::PngPixels pixels = graft::image::png_pixels(bytes);
  Reader r(pixels.file);
  if (!read_header(r)) reject(r);
  Image out = Image::allocate(static_cast<int>(header.width), static_cast<int>(header.height));
  const Rows rows(r.png, r.info, r.depth, out.width, pixels.transparency);
  const std::size_t row_bytes = png_get_rowbytes(r.png, r.info);
  if (png_get_interlace_type(r.png, r.info) == PNG_INTERLACE_NONE) {
    std::vector<std::uint8_t> row(row_bytes);
    if (!read_rows(r, rows, row.data(), out)) reject(r);
    return out;
  }
  std::vector<std::uint8_t> samples(row_bytes * static_cast<std::size_t>(out.height));
  if (!read_passes(r, samples.data(), row_bytes, out.height)) reject(r);
  for (int y = 0; y < out.height; ++y)
    rows.convert(samples.data() + static_cast<std::size_t>(y) * row_bytes, out.row(y));
  return out;
}
