#include "video_file.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>

#include <graft/error.h>
#include <graft/files.h>

using graft::Reject;

namespace {

/// How OpenCV's FFmpeg opens files. A file may say that its data lie in others: play lists (HLS, DASH,
/// concat, SDP), numbered images, data references of QuickTime. FFmpeg takes a text for such a list wherever
/// it finds its words, so its first bytes alone do not decide: FFmpeg looks at this list, too, whatever it
/// takes the file for, before it reads a word of it. None of these formats names other files in FFmpeg but
/// QuickTime, whose references are switched off.
constexpr const char* kOnlyThisFile =
    "format_whitelist;mov,matroska,avi,mpeg,mpegvideo,mpegts,ogg,flv,asf|protocol_whitelist;file|"
    "enable_drefs;0|use_absolute_path;0";

/// What is no container by its first bytes never reaches FFmpeg.
bool is_container(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::array<char, 400> head{};
  in.read(head.data(), head.size());
  const std::string_view bytes(head.data(), static_cast<std::size_t>(in.gcount()));
  using namespace std::string_view_literals;
  const auto at = [&](std::size_t offset, std::string_view magic) {
    return bytes.size() >= offset + magic.size() && bytes.substr(offset, magic.size()) == magic;
  };
  for (const std::string_view box : {"ftyp"sv, "moov"sv, "mdat"sv, "free"sv, "skip"sv, "wide"sv})  // MP4, MOV
    if (at(4, box)) return true;
  return at(0, "\x1a\x45\xdf\xa3"sv) ||                         // Matroska, WebM
         (at(0, "RIFF"sv) && at(8, "AVI "sv)) ||                // AVI
         at(0, "\0\0\1\xba"sv) || at(0, "\0\0\1\xb3"sv) ||      // MPEG program stream, video stream
         (at(0, "G"sv) && at(188, "G"sv) && at(376, "G"sv)) ||  // MPEG transport stream
         at(0, "OggS"sv) || at(0, "FLV\1"sv) || at(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"sv);  // Ogg, FLV, ASF
}

struct Descriptor {
  explicit Descriptor(int number) : number(number) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int number;
};

template <typename Call>
auto guarded(Call call) {
  try {
    return call();
  } catch (const cv::Exception& e) {
    throw Reject("corrupt", "OpenCV cannot read the video: " + e.err);
  }
}

}  // namespace

struct VideoFile::Capture {
  cv::VideoCapture capture;
};

void VideoFile::set_up() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* const given = std::getenv("OPENCV_FFMPEG_CAPTURE_OPTIONS");
    // The last word on an option counts, and what is behind a mistake is not read: so both before and behind.
    const std::string options = std::string(kOnlyThisFile) + "|" +
                                (given == nullptr ? "fflags;discardcorrupt" : given) + "|" + kOnlyThisFile;
    ::setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", options.c_str(), 1);
    ::setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 0);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  });
}

VideoFile::VideoFile(const std::string& name, std::int64_t max_pixels)
    : capture_(std::make_unique<Capture>()) {
  const Descriptor file(graft::open_regular_file(name));
  if (file.number < 0) {
    const int error = errno;
    throw Reject("unreadable",
                 "cannot open the video: " +
                     (error == ENXIO ? "not a regular file" : std::generic_category().message(error)));
  }
  // The file itself, under a name that is no pattern and no address.
  const std::string path = "/proc/self/fd/" + std::to_string(file.number);
  std::error_code error;
  bytes_ = std::filesystem::file_size(path, error);
  if (error) throw Reject("unreadable", "cannot open the video by way of /proc: " + error.message());
  cv::VideoCapture& capture = capture_->capture;
  // OpenCV's own reader knows AVI files of Motion JPEG, and nothing else.
  const int reader = cv::videoio_registry::hasBackend(cv::CAP_FFMPEG) ? cv::CAP_FFMPEG : cv::CAP_OPENCV_MJPEG;
  const bool opened = is_container(path) && guarded([&] { return capture.open(path, reader); });
  if (!opened)
    throw Reject(
        "not-a-video",
        "expected a video (MP4, MOV, Matroska, WebM, AVI, MPEG, Ogg, FLV, ASF) with a codec that OpenCV "
        "has, got something else");
  const auto width = static_cast<std::int64_t>(capture.get(cv::CAP_PROP_FRAME_WIDTH));
  const auto height = static_cast<std::int64_t>(capture.get(cv::CAP_PROP_FRAME_HEIGHT));
  if (width > 0 && height > max_pixels / width)
    throw Reject("too-large", "the frames have " + std::to_string(width) + " x " + std::to_string(height) +
                                  " pixels, more than max_pixels: " + std::to_string(max_pixels));
  find_orientation(path);
}

// OpenCV's own rotation is switched off: versions disagree about its direction. What the container says is
// read from the container; where OpenCV alone can read it, half a turn is the only one without a direction.
void VideoFile::find_orientation(const std::string& path) {
  cv::VideoCapture& capture = capture_->capture;
  const auto said = mp4_orientation(path);
  const double meta = guarded([&] { return capture.get(cv::CAP_PROP_ORIENTATION_META); });
  const int degrees = (static_cast<int>(std::lround(meta)) % 360 + 360) % 360;
  if (!said && degrees != 0 && degrees != 180)
    throw Reject("rotation", "the file asks for a rotation by " + std::to_string(degrees) +
                                 " degrees, whose direction is known in MP4 and MOV files alone; pack the "
                                 "video into an MP4 file, for example with ffmpeg -c copy");
  orientation_ = said.value_or(Orientation::clockwise(degrees));
  const bool off = guarded([&] { return capture.set(cv::CAP_PROP_ORIENTATION_AUTO, 0); });
  if (!off && degrees != 0)
    throw Reject("rotation",
                 "this build of OpenCV rotates frames by itself; encode the video again, upright");
}

VideoFile::~VideoFile() = default;

double VideoFile::rate() const {
  const double rate = guarded([&] { return capture_->capture.get(cv::CAP_PROP_FPS); });
  return std::isfinite(rate) && rate > 0 ? rate : 0;
}

std::uint64_t VideoFile::count_frames() {
  const double count = guarded([&] { return capture_->capture.get(cv::CAP_PROP_FRAME_COUNT); });
  // A frame takes a byte or more.
  if (count >= 1 && count <= static_cast<double>(bytes_)) return static_cast<std::uint64_t>(count);
  while (grab()) {
  }
  return position_;
}

bool VideoFile::grab() {
  if (!guarded([&] { return capture_->capture.grab(); })) return false;
  ++position_;
  return true;
}

graft::Image VideoFile::read(std::uint64_t index) {
  while (position_ <= index)
    if (!grab())
      throw Reject("truncated", "the video ends after " + std::to_string(position_) +
                                    " frames, before frame " + std::to_string(index));
  cv::Mat bgr;
  if (!guarded([&] { return capture_->capture.retrieve(bgr); }) || bgr.empty() || bgr.type() != CV_8UC3)
    throw Reject("corrupt", "frame " + std::to_string(index) + " cannot be decoded");
  graft::Image image = graft::Image::allocate(bgr.cols, bgr.rows);
  for (int y = 0; y < bgr.rows; ++y) {
    const std::uint8_t* from = bgr.ptr(y);
    std::uint8_t* to = image.row(y);
    for (int x = 0; x < bgr.cols; ++x, from += 3, to += 3) {
      to[0] = from[2];
      to[1] = from[1];
      to[2] = from[0];
    }
  }
  return oriented(std::move(image), orientation_);
}
