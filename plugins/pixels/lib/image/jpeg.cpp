#include <image/jpeg.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <jpeglib.h>
// After jpeglib.h, on whose types it relies.
#include <jerror.h>

#include <graft/error.h>

#include <image/exif.h>
#include "jpeg_scan.h"

namespace graft::image {
namespace {

// A progressive file may hold any number of scans over the same pixels; more than this is an attack on the
// clock.
constexpr int kMaxScans = 500;

// Of a file with several scans libjpeg holds the coefficients of all channels, 2 bytes each. Blocks stick out
// of the image a little.
constexpr std::int64_t kBytesPerPixel = 2 * 4, kBytesBesides = 1 << 20;

struct Failure {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
  int code;
  bool extraneous;  // bytes were skipped
};

[[noreturn]] void fail(j_common_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  failure->code = failure->manager.msg_code;
  failure->manager.format_message(info, failure->text);
  std::longjmp(failure->jump, 1);
}

// Warnings that cost no pixel. The files of many cameras and editors cause them.
bool is_harmless(int code) {
  switch (code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:  // within a scan it may mean lost data: see check_scans()
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
      return true;
    default:
      return false;
  }
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  if (!is_harmless(info->err->msg_code)) fail(info);
  if (info->err->msg_code == JWRN_EXTRANEOUS_DATA) reinterpret_cast<Failure*>(info->err)->extraneous = true;
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

bool read_header(Decoder& d, const Bytes& bytes, long memory) {
  if (setjmp(d.failure.jump)) return false;
  jpeg_create_decompress(&d.info);
  d.info.mem->max_memory_to_use = memory;
  d.info.progress = &d.progress;
  jpeg_mem_src(&d.info, bytes.data, static_cast<unsigned long>(bytes.size));
  jpeg_save_markers(&d.info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&d.info, TRUE);
  return true;
}

// round(a * b / 255)
inline unsigned mul255(unsigned a, unsigned b) {
  const unsigned t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Smooth upsampling of chroma looks this many pixels beyond the one that it makes.
constexpr std::int64_t kContext = 2;
// libjpeg upsamples narrower stripes in another way.
constexpr std::int64_t kLeastWidth = 32;

// Files whose parts can be decoded alone: their single scan is read as the lines are asked for. Of the others
// libjpeg holds all coefficients anyway, and arithmetic coding is too rare to rely on.
bool is_single_scan(jpeg_decompress_struct& info) {
  return !jpeg_has_multiple_scans(&info) && !info.arith_code;
}

// Tells libjpeg to make only the columns that `wanted` needs; returns the first that it makes.
std::int64_t crop_columns(jpeg_decompress_struct& info, Rect wanted) {
  const std::int64_t width = info.output_width;
  std::int64_t left = std::max<std::int64_t>(wanted.x - kContext, 0);
  const std::int64_t right =
      std::min(width, std::max(wanted.x + wanted.width + kContext, left + kLeastWidth));
  left = std::min(left, std::max<std::int64_t>(right - kLeastWidth, 0));
  auto x = static_cast<JDIMENSION>(left), n = static_cast<JDIMENSION>(right - left);
  jpeg_crop_scanline(&info, &x, &n);
  return x;
}

void copy_pixels(const std::uint8_t* from, bool cmyk, int width, std::uint8_t* to) {
  if (!cmyk) {
    std::memcpy(to, from, 3 * static_cast<std::size_t>(width));
    return;
  }
  for (int x = 0; x < width; ++x, from += 4, to += 3)
    for (int c = 0; c < 3; ++c) to[c] = static_cast<std::uint8_t>(from[3] - mul255(255u - from[c], from[3]));
}

// Whether an end mark follows. It cannot stand within a scan, whose 0xff bytes are stuffed.
bool has_end_mark(const jpeg_decompress_struct& info) {
  if (info.unread_marker == JPEG_EOI) return true;  // the decoder looks ahead
  const JOCTET* at = info.src->next_input_byte;
  const JOCTET* const end = at + info.src->bytes_in_buffer;
  while ((at = std::find(at, end, JOCTET{0xff})) != end)
    if (++at != end && *at == JPEG_EOI) return true;
  return false;
}

// Whether scans are missing, though the end mark is there: all of a channel, or those with the last bits of
// coefficients whose first bits have come. To be asked when all scans have been read.
bool lacks_scans(const jpeg_decompress_struct& info) {
  for (int c = 0; c < info.num_components; ++c) {
    if (info.comp_info[c].quant_table == nullptr) return true;  // set by the first scan
    if (info.coef_bits == nullptr) continue;                    // not progressive
    const int* const missing_bits = info.coef_bits[c];          // of each coefficient; -1: it has not come
    if (std::any_of(missing_bits, missing_bits + DCTSIZE2, [](int n) { return n > 0; })) return true;
  }
  return false;
}

// The pixels of `wanted`, out of all; `line` has room for a whole row of them.
//
// Lines are skipped from and to the borders of rows of MCUs only: from elsewhere jpeg_skip_scanlines gives
// wrong lines (libjpeg-turbo issue 915). A skip that reaches the end of the image would leave the rest of the
// data unread, and damage in it unseen (issue 439): the last line is read. With `fast` the rest is not read
// at all, for it makes no pixel; that it is there is seen from the end mark.
bool read_pixels(Decoder& d, std::uint8_t* line, Rect wanted, const Image& out, bool fast) {
  if (setjmp(d.failure.jump)) return false;
  jpeg_decompress_struct& info = d.info;
  info.dct_method = fast ? JDCT_IFAST : JDCT_ISLOW;
  info.do_fancy_upsampling = fast ? FALSE : TRUE;
  jpeg_start_decompress(&info);
  if (jpeg_has_multiple_scans(&info) && lacks_scans(info)) {
    info.err->msg_code = JWRN_JPEG_EOF;
    fail(reinterpret_cast<j_common_ptr>(&info));
  }
  const bool partial = is_single_scan(info), cmyk = info.out_color_space == JCS_CMYK;
  const std::int64_t left = partial ? crop_columns(info, wanted) : 0;
  const JDIMENSION band = static_cast<JDIMENSION>(info.max_v_samp_factor) * info.scale_num;
  const auto top = static_cast<JDIMENSION>(wanted.y),
             bottom = static_cast<JDIMENSION>(wanted.y + wanted.height);
  if (partial && top >= band) jpeg_skip_scanlines(&info, top / band * band);
  while (info.output_scanline < info.output_height) {
    if (partial && fast && info.output_scanline >= bottom) {
      info.err->msg_code = JWRN_JPEG_EOF;
      if (!has_end_mark(info)) fail(reinterpret_cast<j_common_ptr>(&info));
      jpeg_abort_decompress(&info);
      return true;
    }
    if (partial && info.output_scanline >= bottom && info.output_scanline % band == 0 &&
        info.output_scanline + 1 < info.output_height)
      jpeg_skip_scanlines(&info, info.output_height - 1 - info.output_scanline);
    const JDIMENSION y = info.output_scanline;
    jpeg_read_scanlines(&info, &line, 1);
    if (y >= top && y < bottom)
      copy_pixels(line + (cmyk ? 4 : 3) * (wanted.x - left), cmyk, out.width,
                  out.row(static_cast<int>(y - top)));
  }
  jpeg_finish_decompress(&info);
  return true;
}

[[noreturn]] void reject(const Failure& failure, std::int64_t max_pixels) {
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
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_EMPTY_IMAGE:  // its height is in a segment after the pixels (DNL)
      throw Reject("unsupported-format", std::string("a JPEG variant that is not read (") + failure.text +
                                             "); save it as baseline JPEG");
    case JERR_IMAGE_TOO_BIG:
    case JERR_OUT_OF_MEMORY:
      throw Reject("too-large", "not enough memory to decode the JPEG file");
    case JERR_NO_BACKING_STORE:
      throw Reject("too-large", "the JPEG file needs more memory to decode than max_pixels: " +
                                    std::to_string(max_pixels) + " allows");
    default:
      throw Reject("corrupt",
                   std::string("the JPEG file is damaged (") + failure.text + "); copy or download it again");
  }
}

int orientation(const jpeg_decompress_struct& info) {
  for (const jpeg_marker_struct* m = info.marker_list; m != nullptr; m = m->next) {
    const ByteReader segment(m->data, m->data_length);
    if (segment.starts_with({"Exif\0\0", 6})) return exif_orientation(segment).value_or(1);
  }
  return 1;
}

// Of an image at eighths/8 of its size; part of a pixel counts as one, as in jpeg_calc_output_dimensions.
Size reduced(Size size, int eighths) {
  const auto scaled = [eighths](std::int64_t side) { return (side * eighths + DCTSIZE - 1) / DCTSIZE; };
  return {scaled(size.width), scaled(size.height)};
}

}  // namespace

struct JpegFile::Impl {
  Decoder decoder;
  Bytes bytes;
  std::int64_t max_pixels = 0;
  bool fast = false;
  int turn = 1;
};

JpegFile::JpegFile(const Bytes& bytes, const JpegOptions& options) : impl_(std::make_unique<Impl>()) {
  Decoder& d = impl_->decoder;
  const jpeg_decompress_struct& info = d.info;
  impl_->bytes = bytes;
  impl_->max_pixels = options.max_pixels;
  impl_->fast = options.fast;
  const auto memory = static_cast<long>(kBytesPerPixel * options.max_pixels + kBytesBesides);
  if (!read_header(d, bytes, memory)) reject(d.failure, impl_->max_pixels);
  const std::int64_t width = info.image_width, height = info.image_height;
  if (width * height > options.max_pixels)
    throw Reject("too-large", "the image has " + std::to_string(width) + " x " + std::to_string(height) +
                                  " pixels, more than max_pixels: " + std::to_string(options.max_pixels));
  if (info.jpeg_color_space == JCS_UNKNOWN)
    throw Reject("unsupported-format",
                 "the JPEG file has " + std::to_string(info.num_components) +
                     " channels of unknown meaning; grey, RGB, YCbCr, CMYK and YCCK are read");
  if (options.exif) impl_->turn = orientation(info);
}

JpegFile::~JpegFile() = default;

Size JpegFile::size() const {
  return frame(DCTSIZE).size;
}

Frame JpegFile::frame(int eighths) const {
  const jpeg_decompress_struct& info = impl_->decoder.info;
  const Size stored{info.image_width, info.image_height};
  Frame frame = Frame::whole(reduced(stored, eighths));
  frame.right = static_cast<double>(stored.width * eighths) / DCTSIZE;
  frame.bottom = static_cast<double>(stored.height * eighths) / DCTSIZE;
  return upright(frame, impl_->turn);
}

int JpegFile::eighths_for(Size target) const {
  if (!impl_->fast) return DCTSIZE;
  // The other numbers of eighths have no vector code in libjpeg-turbo and take longer than the whole size.
  for (const int eighths : {1, 2, 4}) {
    const Frame f = frame(eighths);
    if (f.right - f.left >= static_cast<double>(target.width) &&
        f.bottom - f.top >= static_cast<double>(target.height))
      return eighths;
  }
  return DCTSIZE;
}

std::uint64_t JpegFile::bytes_to_decode(Rect wanted) const {
  jpeg_decompress_struct& info = impl_->decoder.info;
  std::uint64_t bytes =
      3 * static_cast<std::uint64_t>(wanted.width) * static_cast<std::uint64_t>(wanted.height);
  if (impl_->turn > 1) bytes *= 2;
  if (is_single_scan(info)) return bytes;
  for (int c = 0; c < info.num_components; ++c)
    bytes += std::uint64_t{sizeof(JBLOCK)} * info.comp_info[c].width_in_blocks *
             info.comp_info[c].height_in_blocks;
  return bytes;
}

Image JpegFile::decode(Rect wanted, int eighths) {
  Decoder& d = impl_->decoder;
  const Rect stored = before_turning(wanted, frame(eighths).size, impl_->turn);
  const bool cmyk = d.info.jpeg_color_space == JCS_CMYK || d.info.jpeg_color_space == JCS_YCCK;
  d.info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  d.info.scale_num = static_cast<unsigned>(eighths);
  d.info.scale_denom = DCTSIZE;
  std::vector<std::uint8_t> line(std::size_t{4} * d.info.image_width);
  const Image out = Image::allocate(stored.width, stored.height);
  d.failure.extraneous = false;  // bytes between the segments of the header do not count
  if (!read_pixels(d, line.data(), stored, out, impl_->fast)) reject(d.failure, impl_->max_pixels);
  if (d.failure.extraneous) check_scans(impl_->bytes);
  return upright(out, impl_->turn);
}

Image decode_jpeg(const Bytes& bytes, const JpegOptions& options) {
  JpegFile file(bytes, options);
  const Size size = file.size();
  return file.decode({0, 0, static_cast<int>(size.width), static_cast<int>(size.height)});
}

}  // namespace graft::image
