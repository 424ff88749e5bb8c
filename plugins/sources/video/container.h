#pragma once

#include <string>

/// \file
/// What the structure of a container says of it, without its codecs.

/// What is no container by its first bytes never reaches FFmpeg.
bool is_container(const std::string& path);

/// Whether a file begins as an MP4 or MOV file and has no header (`moov`), which most have at their end:
/// nothing in it can be found then.
bool mp4_lacks_its_header(const std::string& path);

/// Whether the file ends before what it says of itself: a Matroska or WebM file before its segment, an MP4 or
/// MOV file in a box. Other containers do not say.
bool is_cut_short(const std::string& path);
