#pragma once

// For tests: reads the files that testdata/make_fixtures.py writes. All numbers are 32-bit, little-endian.

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <graft/payload.h>

namespace graft::image::fixtures {

/// Takes a fixture file apart from front to back.
class Reader {
 public:
  explicit Reader(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read the fixture " + path);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  bool more() const { return at_ < bytes_.size(); }
  int number() {
    std::uint32_t v = 0;
    for (int i = 3; i >= 0; --i)
      v = v << 8 | static_cast<unsigned char>(bytes_.at(at_ + static_cast<std::size_t>(i)));
    at_ += 4;
    return static_cast<int>(v);
  }
  std::string text(int count) {
    std::string out = bytes_.substr(at_, static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return out;
  }
  Image image(int width, int height) {
    Image out = Image::allocate(width, height);
    const std::string pixels = text(3 * width * height);
    std::memcpy(out.data, pixels.data(), pixels.size());
    return out;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

/// An encoded file and the pixels that it means.
struct File {
  std::string name, content;
  Image pixels;
};

inline std::vector<File> files(const std::string& path) {
  std::vector<File> all;
  for (Reader in(path); in.more();) {
    File file;
    file.name = in.text(in.number());
    file.content = in.text(in.number());
    const int width = in.number(), height = in.number();
    file.pixels = in.image(width, height);
    all.push_back(std::move(file));
  }
  return all;
}

/// What the parameters of Fit make of an image: one result a view.
struct Fitting {
  Image source;
  std::string params;
  std::vector<Image> views;
};

inline std::vector<Fitting> fittings(const std::string& path) {
  std::vector<Fitting> all;
  for (Reader in(path); in.more();) {
    const int width = in.number(), height = in.number(), cases = in.number();
    const Image source = in.image(width, height);
    for (int i = 0; i < cases; ++i) {
      Fitting fitting{source, in.text(in.number()), {}};
      for (int views = in.number(); views > 0; --views) {
        const int w = in.number(), h = in.number();
        fitting.views.push_back(in.image(w, h));
      }
      all.push_back(std::move(fitting));
    }
  }
  return all;
}

/// Empty when equal, else where the first difference is.
inline std::string difference(const Image& got, const Image& wanted) {
  if (got.width != wanted.width || got.height != wanted.height)
    return "size " + std::to_string(got.width) + " x " + std::to_string(got.height) + " instead of " +
           std::to_string(wanted.width) + " x " + std::to_string(wanted.height);
  for (int y = 0; y < got.height; ++y)
    for (int i = 0; i < 3 * got.width; ++i)
      if (got.row(y)[i] != wanted.row(y)[i])
        return "at x " + std::to_string(i / 3) + ", y " + std::to_string(y) + ", channel " +
               std::to_string(i % 3) + ": " + std::to_string(got.row(y)[i]) + " instead of " +
               std::to_string(wanted.row(y)[i]);
  return {};
}

}  // namespace graft::image::fixtures
