#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tiffio.h>

#include <image/on_white.h>
#include <image/reject.h>

#include "readers.h"

namespace {

using graft::Image;
using graft::image::Format;
using graft::image::on_white;

// A tile may be larger than the image, but only by a limited factor.
std::uint64_t largest_piece(std::int64_t width, std::int64_t height) {
  constexpr std::uint64_t kLargestTile = 64 << 20, kBytesOfPixel = 48;
  return std::max(kLargestTile, kBytesOfPixel * static_cast<std::uint64_t>(width * height));
}

struct TiffSource {
  const std::uint8_t* data;
  std::uint64_t size;
  std::uint64_t at = 0;
};

TiffSource& source_of(thandle_t handle) {
  return *static_cast<TiffSource*>(handle);
}

tmsize_t read(thandle_t handle, void* to, tmsize_t size) {
  TiffSource& s = source_of(handle);
  if (size < 0 || s.at > s.size) return 0;
  const std::uint64_t n = std::min(static_cast<std::uint64_t>(size), s.size - s.at);
  std::memcpy(to, s.data + s.at, static_cast<std::size_t>(n));
  s.at += n;
  return static_cast<tmsize_t>(n);
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  TiffSource& s = source_of(handle);
  s.at = offset + (whence == SEEK_CUR ? s.at : whence == SEEK_END ? s.size : 0);
  return s.at;
}

// libtiff's handle of a file in memory, with the text of its first error since it was opened.
class File {
 public:
  // libtiff holds nothing of more than `largest` bytes: a codec may need more for a row than the row has.
  File(const graft::Bytes& bytes, std::uint64_t largest) : source_{bytes.data, bytes.size} {
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                               TIFFOpenOptionsFree);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), static_cast<tmsize_t>(largest));
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, this);
    tiff_ = TIFFClientOpenExt(
        "memory", "r", &source_, read, [](thandle_t, void*, tmsize_t) { return tmsize_t{0}; }, seek,
        [](thandle_t) { return 0; }, [](thandle_t h) { return toff_t{source_of(h).size}; },
        // Mapped: what is read is not copied. libtiff writes to none of it.
        [](thandle_t h, void** base, toff_t* size) {
          *base = const_cast<std::uint8_t*>(source_of(h).data);
          *size = source_of(h).size;
          return 1;
        },
        [](thandle_t, void*, toff_t) {}, options.get());
    if (tiff_ == nullptr) fail();
    damaged_ = false;  // what libtiff said of tags
  }
  ~File() {
    if (tiff_ != nullptr) TIFFClose(tiff_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  TIFF* get() const { return tiff_; }

  // The value of a tag, or its default by the TIFF specification.
  template <typename T>
  T tag(std::uint32_t tag, T otherwise) const {
    T v{};
    return TIFFGetFieldDefaulted(tiff_, tag, &v) != 0 ? v : otherwise;
  }

  // For data that libtiff could not decode.
  [[noreturn]] void fail() const {
    const auto says = [&](std::string_view words) { return text_.find(words) != std::string::npos; };
    if (says("limit defined in open options"))
      throw graft::Reject("too-large",
                          "the TIFF file cannot be decoded within the memory limit (" + text_ + ")");
    // A feature that a codec lacks is not damage.
    if (says("nsupported") || says("not supported") || says("not implemented") || says("not configured") ||
        says("Sorry"))
      graft::image::reject_unsupported("a TIFF image of this kind (" + text_ + ")", "save it uncompressed");
    graft::image::reject_corrupt(Format::Tiff, "its pixels cannot be decoded" +
                                                   (text_.empty() ? "" : " (" + text_ + ")") +
                                                   "; copy or download it again");
  }
  // Throws if pixels are not those of the file, though libtiff gave all of them: some of its codecs report an
  // error and go on, and some fill in missing data.
  void check() const {
    if (damaged_) fail();
  }

 private:
  static std::string format(const char* format, std::va_list arguments) {
    char text[256];
    std::vsnprintf(text, sizeof text, format, arguments);
    return text;
  }
  static int on_error(TIFF*, void* self, const char*, const char* words, std::va_list arguments) {
    static_cast<File*>(self)->found_damage(format(words, arguments));
    return 1;  // and so it is not printed
  }
  static int on_warning(TIFF*, void* self, const char* module, const char* words, std::va_list arguments) {
    const std::string text = format(words, arguments);
    const auto begins = [&](std::string_view with) { return text.starts_with(with); };
    const bool libjpeg = module != nullptr && std::string_view(module) == "JPEGLib";
    const bool lacks_data = libjpeg && (begins("Corrupt JPEG data") || begins("Premature end")) &&
                            text.find("extraneous") == std::string::npos;
    // Of a JPEG image that is smaller than its piece, and of rows of fax that end before their width.
    if (lacks_data || begins("Improper JPEG strip/tile size") || begins("Premature EO"))
      static_cast<File*>(self)->found_damage(text);
    return 1;
  }
  void found_damage(const std::string& text) {
    if (!damaged_) text_ = text;
    damaged_ = true;
  }

  TiffSource source_;
  TIFF* tiff_ = nullptr;
  std::string text_;
  bool damaged_ = false;
};

// Samples of 1 to 16 bits, packed from the high bit of each byte, as numbers. 16-bit ones are in the
// machine's order.
void unpack(const std::uint8_t* from, unsigned bits, std::size_t count, std::uint16_t* to) {
  if (bits == 8) {
    std::copy_n(from, count, to);
  } else if (bits == 16) {
    std::memcpy(to, from, 2 * count);
  } else {
    std::uint32_t held = 0;
    unsigned n = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for (; n < bits; n += 8) held = held << 8 | *from++;
      n -= bits;
      to[i] = static_cast<std::uint16_t>(held >> n & ((1u << bits) - 1));
    }
  }
}

// What the samples of a pixel mean.
class Colours {
 public:
  Colours(const File& file, std::uint16_t photometric, unsigned bits, unsigned samples)
      : photometric_(photometric),
        colours_(photometric == PHOTOMETRIC_RGB         ? 3
                 : photometric == PHOTOMETRIC_SEPARATED ? 4
                                                        : 1),
        level_(std::size_t{1} << bits) {
    const unsigned largest = (1u << bits) - 1;
    for (unsigned v = 0; v <= largest; ++v) {
      const unsigned shown = photometric == PHOTOMETRIC_MINISWHITE ? largest - v : v;
      level_[v] = static_cast<std::uint8_t>((shown * 255 + largest / 2) / largest);
    }
    if (photometric == PHOTOMETRIC_PALETTE) read_palette(file);
    read_alpha(file, samples);
  }

  // `sample(i)` is the i-th sample of the pixel.
  template <typename Sample>
  void convert(const Sample& sample, std::uint8_t* to) const {
    std::array<unsigned, 3> rgb{};
    if (photometric_ == PHOTOMETRIC_SEPARATED) {
      const unsigned light = 255u - level_[sample(3)];
      for (unsigned c = 0; c < 3; ++c) {
        const unsigned t = level_[sample(c)] * light + 128u;
        rgb[c] = light - (((t >> 8) + t) >> 8);
      }
    } else if (photometric_ == PHOTOMETRIC_PALETTE) {
      rgb = palette_[sample(0)];
    } else {
      for (unsigned c = 0; c < 3; ++c) rgb[c] = level_[sample(colours_ == 3 ? c : 0)];
    }
    if (alpha_ == Alpha::None) {
      for (unsigned c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>(rgb[c]);
      return;
    }
    const unsigned alpha = opacity(sample(colours_));
    for (unsigned c = 0; c < 3; ++c) {
      // Premultiplied colours are divided first, as Pillow does, which costs a grey level at times.
      if (alpha_ == Alpha::Premultiplied) rgb[c] = alpha == 0 ? 0 : std::min(255u, rgb[c] * 255 / alpha);
      to[c] = on_white(rgb[c], alpha);
    }
  }

 private:
  enum class Alpha { None, Straight, Premultiplied };

  unsigned opacity(unsigned v) const {
    return photometric_ == PHOTOMETRIC_MINISWHITE ? 255u - level_[v] : level_[v];
  }

  void read_palette(const File& file) {
    std::array<std::uint16_t*, 3> maps{};
    if (TIFFGetField(file.get(), TIFFTAG_COLORMAP, &maps[0], &maps[1], &maps[2]) == 0)
      graft::image::reject_corrupt(Format::Tiff, "it has no palette");
    // Some writers store 8 bits instead of 16; libtiff's own conversion accepts that, too.
    bool deep = false;
    for (const std::uint16_t* map : maps)
      deep = deep || std::any_of(map, map + level_.size(), [](std::uint16_t v) { return v >= 256; });
    for (std::size_t i = 0; i < level_.size(); ++i)
      for (std::size_t c = 0; c < 3; ++c) palette_[i][c] = deep ? maps[c][i] >> 8 : maps[c][i];
  }

  void read_alpha(const File& file, unsigned samples) {
    if (samples <= colours_) return;
    std::uint16_t count = 0;
    std::uint16_t* kinds = nullptr;
    TIFFGetField(file.get(), TIFFTAG_EXTRASAMPLES, &count, &kinds);
    constexpr std::uint16_t kCorelDraw10 = 999;
    if (count > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA)
      alpha_ = Alpha::Premultiplied;
    else if (count > 0 ? kinds[0] == EXTRASAMPLE_UNASSALPHA || kinds[0] == kCorelDraw10
                       : photometric_ == PHOTOMETRIC_RGB && samples == 4)
      alpha_ = Alpha::Straight;
  }

  std::uint16_t photometric_;
  unsigned colours_;
  std::vector<std::uint8_t> level_;
  std::array<std::array<unsigned, 3>, 256> palette_{};
  Alpha alpha_ = Alpha::None;
};

// Tiles or strips, and in files of separate planes one of them for each sample.
struct Pieces {
  bool tiled = false;
  unsigned planes = 1;
  std::uint32_t width = 0, height = 0;
  std::uint64_t row_bytes = 0, bytes = 0;
};

Pieces pieces_of(const File& file, Image& out, unsigned samples) {
  Pieces p;
  TIFF* tiff = file.get();
  p.tiled = TIFFIsTiled(tiff) != 0;
  if (file.tag<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE)
    p.planes = samples;
  const auto image_height = static_cast<std::uint32_t>(out.height);
  if (p.tiled) {
    p.width = file.tag<std::uint32_t>(TIFFTAG_TILEWIDTH, 0);
    p.height = file.tag<std::uint32_t>(TIFFTAG_TILELENGTH, 0);
    p.row_bytes = static_cast<std::uint64_t>(std::max<tmsize_t>(TIFFTileRowSize(tiff), 0));
    p.bytes = TIFFTileSize64(tiff);
  } else {
    p.width = static_cast<std::uint32_t>(out.width);
    p.height = std::min(file.tag<std::uint32_t>(TIFFTAG_ROWSPERSTRIP, image_height), image_height);
    p.row_bytes = static_cast<std::uint64_t>(std::max<tmsize_t>(TIFFScanlineSize(tiff), 0));
    p.bytes = p.row_bytes * p.height;
  }
  if (p.width == 0 || p.height == 0 || p.row_bytes == 0) file.fail();
  // The planes are held together.
  if (p.bytes > largest_piece(out.width, out.height) / p.planes)
    throw graft::Reject("too-large", "the TIFF file has tiles of " + std::to_string(p.width) + " x " +
                                         std::to_string(p.height) + " pixels");
  return p;
}

// Where data end early, the codecs of fax leave the rest of a piece as it was, and libtiff says nothing.
bool may_leave_rows(const File& file) {
  switch (file.tag<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE)) {
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTRLEW:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
      return true;
    default:
      return false;
  }
}

// Whether the first `bits` of each row are equal.
bool are_equal(const std::vector<std::uint8_t>& a, const std::uint8_t* b, std::uint64_t row_bytes,
               std::uint32_t rows, std::size_t bits) {
  for (std::uint64_t y = 0; y < rows; ++y) {
    const std::uint8_t *in_a = a.data() + row_bytes * y, *in_b = b + row_bytes * y;
    if (std::memcmp(in_a, in_b, bits / 8) != 0) return false;
    if (bits % 8 != 0 && (in_a[bits / 8] ^ in_b[bits / 8]) >> (8 - bits % 8) != 0) return false;
  }
  return true;
}

void decode_pieces(const File& file, const Colours& colours, unsigned bits, unsigned samples, Image& out) {
  const Pieces p = pieces_of(file, out, samples);
  const unsigned together = samples / p.planes;  // samples beside one another in a piece
  if (p.row_bytes < (std::uint64_t{p.width} * together * bits + 7) / 8) file.fail();
  std::vector<std::uint8_t> data(static_cast<std::size_t>(p.bytes * p.planes));
  std::vector<std::uint8_t> again(may_leave_rows(file) ? static_cast<std::size_t>(p.bytes) : 0);
  const auto width = static_cast<std::uint32_t>(out.width), height = static_cast<std::uint32_t>(out.height);
  const std::size_t row_samples = std::size_t{std::min(p.width, width)} * together;
  std::vector<std::uint16_t> row(row_samples * p.planes);
  for (std::uint64_t top = 0; top < height; top += p.height) {
    const auto y0 = static_cast<std::uint32_t>(top);
    const std::uint32_t rows = std::min(p.height, height - y0);
    const auto wanted = static_cast<tmsize_t>(p.tiled ? p.bytes : p.row_bytes * rows);
    for (std::uint64_t left = 0; left < width; left += p.width) {
      const auto x0 = static_cast<std::uint32_t>(left);
      const std::uint32_t columns = std::min(p.width, width - x0);
      for (unsigned plane = 0; plane < p.planes; ++plane) {
        std::uint8_t* to = data.data() + p.bytes * plane;
        const auto which = static_cast<std::uint16_t>(plane);
        const auto read = [&](std::uint8_t* into) {
          const tmsize_t got =
              p.tiled
                  ? TIFFReadEncodedTile(file.get(), TIFFComputeTile(file.get(), x0, y0, 0, which), into,
                                        wanted)
                  : TIFFReadEncodedStrip(file.get(), TIFFComputeStrip(file.get(), y0, which), into, wanted);
          if (got < wanted) file.fail();
        };
        if (again.empty()) {
          read(to);
          continue;
        }
        // What does not come from the file differs between the two.
        std::fill_n(to, p.bytes, std::uint8_t{0});
        std::fill(again.begin(), again.end(), std::uint8_t{0xff});
        read(to);
        read(again.data());
        if (!are_equal(again, to, p.row_bytes, rows, std::size_t{columns} * together * bits))
          graft::image::reject_truncated(Format::Tiff, "some of its pixels are missing");
      }
      for (std::uint32_t y = 0; y < rows; ++y) {
        for (unsigned plane = 0; plane < p.planes; ++plane)
          unpack(data.data() + p.bytes * plane + p.row_bytes * y, bits, columns * together,
                 row.data() + row_samples * plane);
        std::uint8_t* to = out.row(static_cast<int>(y0 + y)) + std::size_t{3} * x0;
        for (std::size_t x = 0; x < columns; ++x, to += 3)
          colours.convert(
              [&](unsigned i) { return row[p.planes > 1 ? row_samples * i + x : together * x + i]; }, to);
      }
    }
  }
}

// YCbCr that is not contiguous JPEG: libtiff's own conversion, which Pillow uses for it.
void decode_by_libtiff(const File& file, Image& out) {
  char why[1024] = "";
  if (TIFFRGBAImageOK(file.get(), why) == 0)
    graft::image::reject_unsupported(std::string("a TIFF image of this kind (") + why + ")",
                                     "save it as RGB");
  std::vector<std::uint32_t> pixels(static_cast<std::size_t>(out.width) *
                                    static_cast<std::size_t>(out.height));
  // libtiff would rotate the image only if that keeps its sides.
  TIFFSetField(file.get(), TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  if (TIFFReadRGBAImageOriented(file.get(), static_cast<std::uint32_t>(out.width),
                                static_cast<std::uint32_t>(out.height), pixels.data(), ORIENTATION_TOPLEFT,
                                1) == 0)
    file.fail();
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      const std::uint32_t v = pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(out.width) +
                                     static_cast<std::size_t>(x)];
      std::uint8_t* to = out.row(y) + 3 * x;
      to[0] = static_cast<std::uint8_t>(TIFFGetR(v));
      to[1] = static_cast<std::uint8_t>(TIFFGetG(v));
      to[2] = static_cast<std::uint8_t>(TIFFGetB(v));
    }
}

}  // namespace

Image decode_tiff(const graft::Bytes& bytes, const graft::image::Header& header) {
  // Tags are as large as the file at most.
  const File file(bytes, bytes.size + largest_piece(header.width, header.height));
  const auto compression = file.tag<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (TIFFIsCODECConfigured(compression) == 0)
    graft::image::reject_unsupported("a TIFF image of compression " + std::to_string(compression),
                                     "save it uncompressed, or with LZW or Deflate");
  if (file.tag<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0) != header.width ||
      file.tag<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0) != header.height)
    graft::image::reject_corrupt(Format::Tiff, "its directory gives two sizes");
  std::uint16_t photometric = PHOTOMETRIC_MINISWHITE;  // where the file does not say, as in Pillow
  TIFFGetField(file.get(), TIFFTAG_PHOTOMETRIC, &photometric);
  const auto bits = file.tag<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1),
             samples = file.tag<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
  Image out = Image::allocate(static_cast<int>(header.width), static_cast<int>(header.height));
  if (photometric == PHOTOMETRIC_YCBCR && compression == COMPRESSION_JPEG &&
      file.tag<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_CONTIG) {
    TIFFSetField(file.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    photometric = PHOTOMETRIC_RGB;
  }
  if (photometric == PHOTOMETRIC_YCBCR || compression == COMPRESSION_OJPEG) {
    decode_by_libtiff(file, out);
  } else {
    const unsigned colours = photometric == PHOTOMETRIC_RGB         ? 3
                             : photometric == PHOTOMETRIC_SEPARATED ? 4
                                                                    : 1;
    if (bits < 1 || bits > 16 || samples < colours || (photometric == PHOTOMETRIC_PALETTE && bits > 8))
      graft::image::reject_corrupt(Format::Tiff, "its directory contradicts itself");
    decode_pieces(file, Colours(file, photometric, bits, samples), bits, samples, out);
  }
  file.check();
  return out;
}
