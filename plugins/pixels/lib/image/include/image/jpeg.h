#pragma once

#include <cstdint>
#include <memory>

#include <image/resize.h>

namespace graft::image {

struct JpegOptions {
  std::int64_t max_pixels = 64'000'000;  ///< Checked before memory is allocated for pixels or coefficients.
  bool exif = true;                      ///< Turn the image upright by its EXIF orientation.
  /// Fewer pixels where the image is to shrink, a rougher DCT, plain chroma upsampling; and what lies below
  /// the wanted pixels is not decoded, only its end mark looked for.
  bool fast = false;
};

/// A JPEG file whose header has been read. The pixels are those of libjpeg with its accurate integer DCT and
/// smooth chroma upsampling, and so Pillow's, but for `fast`. Grey becomes RGB; CMYK and YCCK are taken as
/// Adobe writes them (inverted) and converted as Pillow's convert("RGB") does.
///
/// Warnings of libjpeg that mean lost data count as damage, because most truncated files decode with nothing
/// but a warning. Others (odd JFIF or Adobe markers, bytes between segments) cost no pixel.
/// All functions throw Reject: `truncated`, `corrupt`, `too-large`, `unsupported-format`. One thread at a
/// time.
class JpegFile {
 public:
  JpegFile(const Bytes& bytes, const JpegOptions& options);
  ~JpegFile();
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;

  /// Of the upright image.
  Size size() const;

  /// The pixels of the upright image when it is decoded at `eighths`/8 of its size.
  Frame frame(int eighths) const;

  /// With `fast` the smallest of 1, 2 and 4 eighths at which the image is no smaller than `target`; else 8.
  int eighths_for(Size target) const;

  /// Bytes that decode() holds at once, at most: pixels, and the coefficients of a file with several scans.
  std::uint64_t bytes_to_decode(Rect wanted) const;

  /// The pixels of `wanted`, which lies in frame(eighths); the same as those of the whole image. But for
  /// `fast` the whole file is read, so that damage anywhere is found, but not every pixel is made. Once only.
  Image decode(Rect wanted, int eighths = 8);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The whole image.
Image decode_jpeg(const Bytes& bytes, const JpegOptions& options);

}  // namespace graft::image
