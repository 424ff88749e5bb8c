#include <source/file_names.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace graft::source {

std::string below(const std::string& folder, const std::string& name) {
  return folder + "/" + name;
}

std::string extension(const std::string& path) {
  const std::size_t base = path.rfind('/') + 1;  // npos + 1 is 0
  const std::size_t dot = path.rfind('.');
  if (dot == std::string::npos || dot <= base) return {};
  std::string out = path.substr(dot + 1);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_image_extension(const std::string& extension) {
  constexpr std::array<std::string_view, 14> kImages{"jpg", "jpeg", "jpe",  "jfif", "png", "webp", "bmp",
                                                     "dib", "tif",  "tiff", "ppm",  "pgm", "pbm",  "pnm"};
  return std::find(kImages.begin(), kImages.end(), extension) != kImages.end();
}

}  // namespace graft::source
