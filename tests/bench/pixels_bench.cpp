// Milliseconds per photograph from file in memory to the pixels that a network takes, and of the resizer
// alone; one thread. pixels_pillow.py runs this and Pillow in turn.
//
// pixels_bench FOLDER: one round over every .jpg below it; prints "exact MS fast MS resize MS".

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <image/fit.h>
#include <image/jpeg.h>

namespace {

using namespace graft;
using namespace graft::image;
using Clock = std::chrono::steady_clock;

// What Fit is made from when a config says nothing else: resize 256, crop 224, bilinear.
Params defaults() {
  std::vector<ParamFault> faults;
  return Params(resolve(Fit::parameters(), Value::map(), faults));
}

std::vector<Bytes> photographs(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".jpg") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> files;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    const auto content =
        std::make_shared<std::string>(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    files.push_back({content, reinterpret_cast<const std::uint8_t*>(content->data()), content->size()});
  }
  return files;
}

Image decode(const Bytes& bytes, const Fit& fit, bool fast) {
  JpegFile file(bytes, {.fast = fast});
  const Fit::Plan plan = fit.plan(file.size(), 0);
  const int eighths = file.eighths_for(plan.scaled);
  const Frame frame = file.frame(eighths);
  const Rect needed = fit.needed(frame, plan);
  return fit.apply({file.decode(needed, eighths), needed.x, needed.y, frame}, plan);
}

// Milliseconds of each of `n` calls, on the average.
template <typename Work>
double milliseconds(std::size_t n, const Work& work) {
  const auto start = Clock::now();
  for (std::size_t i = 0; i < n; ++i) work(i);
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count() / static_cast<double>(n);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw Error("usage: pixels_bench FOLDER");
  const std::vector<Bytes> files = photographs(argv[1]);
  if (files.empty()) throw Error(std::string("no .jpg file in ") + argv[1]);
  // As graft run does: buffers that come and go with every image stay with the process.
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const Params params = defaults();
  const Fit fit(StageContext{.id = "pixels", .params = params, .warn = {}});
  const auto all = [&](bool fast) {
    return milliseconds(files.size(), [&](std::size_t i) { decode(files[i], fit, fast); });
  };
  const Image photograph = decode_jpeg(files.front(), {});
  const Image source = resize(photograph, 500, 375, Filter::Bilinear);
  decode(files.front(), fit, false);  // the first touch of memory is not what is measured
  const double exact = all(false), fast = all(true);
  const double alone = milliseconds(200, [&](std::size_t) { resize(source, 341, 256, Filter::Bilinear); });
  std::printf("exact %.4f fast %.4f resize %.4f\n", exact, fast, alone);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
