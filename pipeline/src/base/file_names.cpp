#include <graft/file_names.h>

#include <algorithm>
#include <array>
#include <string_view>

#include <graft/text.h>

namespace graft {

std::string file_extension(const std::string& path) {
  const std::size_t base = path.rfind('/') + 1;  // npos + 1 is 0
  const std::size_t dot = path.rfind('.');
  if (dot == std::string::npos || dot <= base) return {};
  return lower_case(path.substr(dot + 1));
}

bool is_image_extension(const std::string& extension) {
  constexpr std::array<std::string_view, 14> kImages{"jpg", "jpeg", "jpe",  "jfif", "png", "webp", "bmp",
                                                     "dib", "tif",  "tiff", "ppm",  "pgm", "pbm",  "pnm"};
  return std::find(kImages.begin(), kImages.end(), extension) != kImages.end();
}

bool is_archive_name(const std::string& path) {
  const std::string name = lower_case(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
  constexpr std::string_view kEnds[] = {".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip"};
  return std::any_of(std::begin(kEnds), std::end(kEnds),
                     [&](std::string_view end) { return name.size() > end.size() && name.ends_with(end); });
}

}  // namespace graft
