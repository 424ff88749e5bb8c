#pragma once

#include <cstdint>
#include <memory>
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
  /// `not-a-video`; `too-large` when a frame has more pixels than `max_pixels`;
  /// `rotation` when the file asks for an orientation that cannot be had; `unreadable`.
  VideoFile(const std::string& name, std::int64_t max_pixels);
  ~VideoFile();

  /// How frames are shown; read gives them so.
  Orientation orientation() const { return orientation_; }

  /// Frames a second, 0 where the file does not say.
  double rate() const;

  /// Frames by the file's header; counted, where that says nothing or what cannot be. The file is then at its
  /// end. Throws graft::Reject `corrupt`.
  std::uint64_t count_frames();

  /// The frame that read gives next.
  std::uint64_t position() const { return position_; }
  /// Frame `index`, not before position(). Frames between are not turned into pixels. Throws graft::Reject:
  /// `truncated` when the video ends before, `corrupt`.
  graft::Image read(std::uint64_t index);

 private:
  bool grab();
  void find_orientation(const std::string& path);

  struct Capture;
  std::unique_ptr<Capture> capture_;
  Orientation orientation_;
  std::uint64_t bytes_ = 0, position_ = 0;
};
