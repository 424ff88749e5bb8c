#pragma once

#include <optional>
#include <string>

/// What the header of an MP4 or MOV file says of its first video track.
struct Mp4Track {
  /// It lists frames that players do not show, so that their number is not that of the pictures: the edit
  /// list leaves out some, as after trimming without encoding again, or some are to be shown before the first
  /// one, and need what was before that (an open group of pictures that was cut).
  bool lists_more_than_shown = false;
  double seconds = 0;  ///< Of what is shown; 0 where the header does not say.
};
/// Nothing where the header does not list all frames: for another format, and for a file in fragments.
std::optional<Mp4Track> mp4_track(const std::string& path);
