#include "video_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>

#include <graft/error.h>
#include <graft/files.h>

#include "container.h"
#include "mp4_track.h"

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

/// Failures to decode that follow each other, after which the video counts as ended, where packets are not
/// looked at.
constexpr std::uint64_t kMostFailures = 1000;

/// Codes of Motion JPEG, in capitals; MJPE is the start of a name. MP4 files give it the code of MPEG-4:
/// there its first bytes decide.
constexpr std::array<std::string_view, 4> kMotionJpeg{"MJPG", "JPEG", "MJPA", "MJPE"};
constexpr std::string_view kPerhapsMotionJpeg = "MP4V";

std::string codec_of(const cv::VideoCapture& capture) {
  const auto code = static_cast<std::int64_t>(capture.get(cv::CAP_PROP_FOURCC));
  std::string out;
  for (int shift = 0; shift < 32; shift += 8) {
    const char c = static_cast<char>(code >> shift);
    out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

/// Bytes of a packet, as the file holds them.
struct Packet {
  cv::Mat bytes;
  std::size_t size() const { return bytes.total() * bytes.elemSize(); }
  unsigned operator[](std::size_t i) const { return bytes.data[i]; }
  bool is_jpeg() const { return size() > 2 && (*this)[0] == 0xff && (*this)[1] == 0xd8; }
};

/// The sizes of the images in a packet of Motion JPEG; there are two where it holds the fields of a frame.
std::vector<cv::Size> jpeg_sizes(const Packet& p) {
  std::vector<cv::Size> out;
  std::size_t at = 0;
  while (at + 1 < p.size()) {
    const void* const found = std::memchr(p.bytes.data + at, 0xff, p.size() - at - 1);
    if (found == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - p.bytes.data);
    const unsigned marker = p[at + 1];
    if (marker == 0xff) {  // a byte that fills
      ++at;
      continue;
    }
    at += 2;
    // Without a length: pixels that are 255, what is no marker, restarts, the start and the end of an image.
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9)) continue;
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame && at + 7 <= p.size())
      out.emplace_back(static_cast<int>(p[at + 5] << 8 | p[at + 6]),
                       static_cast<int>(p[at + 3] << 8 | p[at + 4]));
    if (at + 2 <= p.size()) at += std::max(2U, p[at] << 8 | p[at + 1]);
  }
  return out;
}

std::string text_of(const cv::Size& size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
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
  cv::VideoCapture packets;  ///< Motion JPEG: the packets of the same file, one step with the decoder.
  bool avi = false;          ///< The times of frames are their numbers.
  cv::Size size;
  std::uint64_t promised = 0;  ///< Frames by the header, 0 where that does not say.
  double estimated = 0;        ///< Where it does not: frames by the duration and the mean rate.
  bool is_cut_short = false;   ///< Then the frames that were estimated are missing.
};

void VideoFile::set_up() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* const given = std::getenv("OPENCV_FFMPEG_CAPTURE_OPTIONS");
    // The last word on an option counts, and what is after a mistake is not read: so both before and after.
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
  if (!opened && mp4_lacks_its_header(path))
    throw Reject("truncated",
                 "the MP4 or MOV file has no header (moov), which is written at its end when the recording "
                 "ends: it was cut short, or its recording never ended; copy or download it again");
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
  capture_->size = {static_cast<int>(width), static_cast<int>(height)};
  const double count = guarded([&] { return capture.get(cv::CAP_PROP_FRAME_COUNT); });
  if (reader == cv::CAP_FFMPEG) find_packets(path);
  std::array<char, 4> magic{};
  capture_->avi = ::pread(file.number, magic.data(), magic.size(), 0) == 4 &&
                  std::string_view(magic.data(), magic.size()) == "RIFF";
  // A frame takes a byte or more. Other containers have no number of frames: OpenCV makes one of the
  // duration.
  const bool is_plausible = count >= 1 && count <= static_cast<double>(bytes_);
  const auto track = mp4_track(path);
  const bool lists_others = track && track->lists_more_than_shown;
  if (is_plausible && (capture_->avi || track) && !lists_others)
    capture_->promised = static_cast<std::uint64_t>(count);
  else if (is_plausible)
    capture_->estimated = lists_others ? track->seconds * rate() : count;
  capture_->is_cut_short = capture_->estimated > 0 && is_cut_short(path);
}

void VideoFile::find_packets(const std::string& path) {
  const std::string codec = codec_of(capture_->capture);
  const bool perhaps = codec == kPerhapsMotionJpeg;
  if (!perhaps && std::find(kMotionJpeg.begin(), kMotionJpeg.end(), codec) == kMotionJpeg.end()) return;
  cv::VideoCapture& packets = capture_->packets;
  const auto open = [&] {
    return packets.open(path, cv::CAP_FFMPEG) && packets.set(cv::CAP_PROP_FORMAT, -1);
  };
  Packet first;
  const bool found = guarded(
      [&] { return open() && (!perhaps || (packets.read(first.bytes) && first.is_jpeg() && open())); });
  if (!found) packets.release();
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

bool VideoFile::is_motion_jpeg() const {
  return capture_->packets.isOpened();
}

std::uint64_t VideoFile::count_frames() {
  if (capture_->promised > 0) return capture_->promised;
  const double step = rate() > 0 ? 1000 / rate() : 0;
  double last = 0;  // ms
  while (grab()) {
    const double time = guarded([&] { return capture_->capture.get(cv::CAP_PROP_POS_MSEC); });
    // Frames that the decoder held back until the end of the file have no time.
    last = time == 0 && frames_ > 1 ? last + step : time;
  }
  position_ = frames_;
  // Frames need not follow each other at the mean rate, but the last one is at the end of the duration.
  constexpr double kAtTheEnd = 0.5;
  const double seconds = rate() > 0 ? capture_->estimated / rate() : 0;
  if (last / 1000 + kAtTheEnd >= seconds) return frames_;
  if (capture_->is_cut_short) return std::max(frames_, static_cast<std::uint64_t>(capture_->estimated));
  // The duration is that of the longest track, which may be the sound.
  ends_early_ = EarlyEnd{last / 1000, seconds};
  return frames_;
}

/// Goes to the next frame that can be decoded. OpenCV says of a damaged frame what it says of the end.
bool VideoFile::grab() {
  held_.reset();
  damaged_ = false;
  for (std::uint64_t failures = 0; !ended_; ++failures) {
    if (is_motion_jpeg()) ended_ = !guarded([&] { return capture_->packets.grab(); });
    if (!ended_ && guarded([&] { return capture_->capture.grab(); })) {
      held_ = number_by_time(frames_ + failures);
      frames_ = *held_ + 1;
      return true;
    }
    if (is_motion_jpeg()) {
      // There was a packet for each failure.
      damaged_ = failures > 0 || !ended_;
      if (ended_) frames_ += failures;
    } else {
      damaged_ = true;
      const std::uint64_t promised = capture_->promised;
      const std::uint64_t left = promised > frames_ ? promised - frames_ : kMostFailures;
      ended_ = failures + 1 >= std::min(left, kMostFailures);
    }
  }
  return false;
}

/// The number of the frame in the decoder, `least` or more. FFmpeg passes over empty chunks in silence, which
/// stand for frames that were dropped; in AVI files the time still counts them.
std::uint64_t VideoFile::number_by_time(std::uint64_t least) const {
  if (!capture_->avi || !is_motion_jpeg()) return least;
  const double number = guarded([&] { return capture_->capture.get(cv::CAP_PROP_POS_MSEC); }) / 1000 * rate();
  const double whole = std::round(number);
  // A chunk takes eight bytes or more.
  const std::uint64_t most = capture_->promised > 0 ? capture_->promised : bytes_ / 8;
  if (std::abs(number - whole) > 0.05 || whole <= static_cast<double>(least) ||
      whole >= static_cast<double>(most))
    return least;
  return static_cast<std::uint64_t>(whole);
}

/// OpenCV converts every frame as if it had the size of the first.
void VideoFile::check_size() {
  if (!is_motion_jpeg()) return;
  const std::string frame = "frame " + std::to_string(*held_);
  Packet packet;
  if (!guarded([&] { return capture_->packets.retrieve(packet.bytes); }))
    throw Reject("corrupt", frame + " cannot be decoded");
  const std::vector<cv::Size> sizes = jpeg_sizes(packet);
  const cv::Size wanted = capture_->size;
  if (sizes.empty()) throw Reject("corrupt", frame + " cannot be decoded");
  if (sizes[0] == wanted) return;
  if (sizes.size() > 1 && sizes[0].width == wanted.width &&
      sizes[0].height + sizes[1].height == wanted.height)
    return;
  throw Reject("size-changed",
               frame + " has " + text_of(sizes[0]) + " pixels, the video was opened with " + text_of(wanted) +
                   "; divide the video where its size changes, or encode it again with one size");
}

graft::Image VideoFile::read(std::uint64_t index) {
  while (frames_ <= index && grab()) {
  }
  if (frames_ <= index)
    throw Reject("truncated", "the video ends after " + std::to_string(frames_) + " frames, before frame " +
                                  std::to_string(index));
  position_ = index + 1;
  if (held_ != index && !damaged_)
    throw Reject("dropped", "the file holds nothing for frame " + std::to_string(index) +
                                ", which was dropped when the video was recorded");
  if (held_ != index) throw Reject("corrupt", "frame " + std::to_string(index) + " cannot be decoded");
  check_size();
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
