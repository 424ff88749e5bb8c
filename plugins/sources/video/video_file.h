#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <graft/payload.h>

#include "orientation.h"

/// A video, read forwards, frame by frame. Used by one thread at a time.
class VideoFile {
 public:
  /// Tells OpenCV and FFmpeg to open no other file than a video, to drop packets that are cut off, instead of
  /// filling them with what was there before, and to print nothing. Sets variables of the environment, once:
  /// before other threads run.
  static void set_up();

  /// Opens a regular file and nothing else, whatever its name and its bytes say. Throws graft::Reject:
  /// `not-a-video`; `truncated` when an MP4 file has no header; `too-large` when a frame has more pixels than
  /// `max_pixels`; `rotation` when the file asks for an orientation that cannot be had; `unreadable`.
  VideoFile(const std::string& name, std::int64_t max_pixels);
  ~VideoFile();

  /// How frames are shown; read gives them so.
  Orientation orientation() const { return orientation_; }

  /// Frames a second, 0 where the file does not say.
  double rate() const;

  /// Motion JPEG, read by OpenCV's FFmpeg: its packets are looked at beside the decoder.
  bool is_motion_jpeg() const;

  /// Frames by the file's header; counted, where that says nothing or what cannot be, with those that its
  /// duration promises where it is cut short. The file is then at its end. Throws graft::Reject `corrupt`.
  std::uint64_t count_frames();
  /// After count_frames(): where the last frame was much earlier than the end of a file that is not cut
  /// short.
  struct EarlyEnd {
    double last = 0, duration = 0;  ///< In seconds.
  };
  const std::optional<EarlyEnd>& ends_early() const { return ends_early_; }

  /// The frame that read gives next.
  std::uint64_t position() const { return position_; }
  /// Frame `index`, not before position(). Frames between are not turned into pixels. Throws graft::Reject:
  /// `truncated` when the video ends before; for this frame alone `corrupt`, `dropped` when the file holds
  /// nothing for it, `size-changed` when it has another size than the video had when it was opened.
  graft::Image read(std::uint64_t index);

 private:
  bool grab();
  std::uint64_t number_by_time(std::uint64_t least) const;
  void check_size();
  void find_packets(const std::string& path);
  void find_orientation(const std::string& path);

  struct Capture;
  std::unique_ptr<Capture> capture_;
  Orientation orientation_;
  std::uint64_t bytes_ = 0, position_ = 0;
  std::uint64_t frames_ = 0;  ///< What the file was found to hold so far.
  std::optional<std::uint64_t>
      held_;  ///< The frame in the decoder; those before it that grab passed are lost.
  bool damaged_ = false, ended_ = false;
  std::optional<EarlyEnd> ends_early_;
};
