#include <image/jpeg.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <string>

#include <jpeglib.h>
// After jpeglib.h, on whose types it relies.
#include <jerror.h>

#include <graft/error.h>

#include <image/exif.h>

namespace graft::image {
namespace {

// A progressive file may hold any number of scans over the same pixels; more than this is an attack on the
// clock.
constexpr int kMaxScans = 500;

struct Failure {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
  int code;
};

[[noreturn]] void fail(j_common_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  failure->code = failure->manager.msg_code;
  failure->manager.format_message(info, failure->text);
  std::longjmp(failure->jump, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level < 0) fail(info);  // a warning: the data are damaged
}

void on_scan(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    info->err->msg_code = JERR_BAD_PROGRESSION;
    fail(info);
  }
}

// Frees libjpeg's memory on every way out, longjmp included: it lives in the frame that calls setjmp's frame.
struct Decoder {
  jpeg_decompress_struct info{};
  Failure failure{};
  jpeg_progress_mgr progress{};

  Decoder() {
    info.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = fail;
    failure.manager.emit_message = on_message;
    failure.manager.output_message = [](j_common_ptr) {};
    progress.progress_monitor = on_scan;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

// The functions below are the only ones that libjpeg can leave by longjmp: no object with a destructor lives
// in them.

bool read_header(Decoder& d, const Bytes& bytes) {
  if (setjmp(d.failure.jump)) return false;
  jpeg_create_decompress(&d.info);
  d.info.progress = &d.progress;
  jpeg_mem_src(&d.info, bytes.data, static_cast<unsigned long>(bytes.size));
  jpeg_save_markers(&d.info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&d.info, TRUE);
  return true;
}

bool read_pixels(Decoder& d, std::uint8_t* data, std::ptrdiff_t stride) {
  if (setjmp(d.failure.jump)) return false;
  jpeg_start_decompress(&d.info);
  while (d.info.output_scanline < d.info.output_height) {
    JSAMPROW rows[4];
    const unsigned n = std::min(4u, d.info.output_height - d.info.output_scanline);
    for (unsigned i = 0; i < n; ++i)
      rows[i] = data + stride * static_cast<std::ptrdiff_t>(d.info.output_scanline + i);
    jpeg_read_scanlines(&d.info, rows, n);
  }
  jpeg_finish_decompress(&d.info);
  return true;
}

[[noreturn]] void reject(const Failure& failure) {
  switch (failure.code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY:
      throw Reject("truncated", std::string("the JPEG file ends early or lacks data (") + failure.text +
                                    "); copy or download it again");
    case JERR_BAD_PROGRESSION:
      throw Reject("corrupt",
                   "the JPEG file has impossible or more than " + std::to_string(kMaxScans) + " scans");
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
      throw Reject("unsupported-format", std::string("a JPEG variant that is not read (") + failure.text +
                                             "); save it as baseline JPEG");
    case JERR_IMAGE_TOO_BIG:
    case JERR_OUT_OF_MEMORY:
      throw Reject("too-large", "not enough memory to decode the JPEG file");
    default:
      throw Reject("corrupt",
                   std::string("the JPEG file is damaged (") + failure.text + "); copy or download it again");
  }
}

int orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* m = info.marker_list; m != nullptr; m = m->next) {
    const ByteReader segment(m->data, m->data_length);
    if (segment.starts_with({"Exif\0\0", 6}))
      return exif_orientation(segment.part(6, segment.size() - 6)).value;
  }
  return 1;
}

// round(a * b / 255)
inline unsigned mul255(unsigned a, unsigned b) {
  const unsigned t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

Image from_cmyk(const std::uint8_t* cmyk, int width, int height) {
  Image out = Image::allocate(width, height);
  std::uint8_t* to = out.data;
  for (std::int64_t i = 0; i < std::int64_t{width} * height; ++i, cmyk += 4, to += 3)
    for (int c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>(cmyk[3] - mul255(255u - cmyk[c], cmyk[3]));
  return out;
}

}  // namespace

Image decode_jpeg(const Bytes& bytes, const JpegOptions& options) {
  Decoder d;
  if (!read_header(d, bytes)) reject(d.failure);
  const auto width = static_cast<int>(d.info.image_width), height = static_cast<int>(d.info.image_height);
  if (std::int64_t{width} * height > options.max_pixels)
    throw Reject("too-large", "the image has " + std::to_string(width) + " x " + std::to_string(height) +
                                  " pixels, more than max_pixels: " + std::to_string(options.max_pixels));
  const bool cmyk = d.info.jpeg_color_space == JCS_CMYK || d.info.jpeg_color_space == JCS_YCCK;
  if (!cmyk && d.info.jpeg_color_space == JCS_UNKNOWN)
    throw Reject("unsupported-format",
                 "the JPEG file has " + std::to_string(d.info.num_components) +
                     " channels of unknown meaning; grey, RGB, YCbCr, CMYK and YCCK are read");
  const int turn = options.exif ? orientation(d.info) : 1;  // the markers are gone once the pixels are read
  d.info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  Image out;
  if (cmyk) {
    const Tensor raw = Tensor::allocate(DType::U8, {height, width, 4});
    if (!read_pixels(d, raw.as<std::uint8_t>(), std::ptrdiff_t{4} * width)) reject(d.failure);
    out = from_cmyk(raw.as<std::uint8_t>(), width, height);
  } else {
    out = Image::allocate(width, height);
    if (!read_pixels(d, out.data, out.stride)) reject(d.failure);
  }
  return upright(out, turn);
}

}  // namespace graft::image
