#include <source/words.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace graft::source {

std::string joined(const std::vector<std::string>& words) {
  constexpr std::size_t kShown = 10;
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < kShown; ++i)
    out += (i == 0 ? "" : ", ") + shortened(words[i]);
  if (words.size() > kShown) out += " and " + std::to_string(words.size() - kShown) + " more";
  return out;
}

std::string shortened(const std::string& name) {
  constexpr std::size_t kLongest = 100;
  if (name.size() <= kLongest) return name;
  std::size_t end = kLongest;
  while (end > kLongest - 4 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  return name.substr(0, end) + "...";
}

std::string plural(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

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

std::string five_digits(std::size_t n) {
  const std::string digits = std::to_string(n);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

}  // namespace graft::source
