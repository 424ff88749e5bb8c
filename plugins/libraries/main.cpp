// graft-libraries: what `graft version` starts. Prints the libraries that the plugins are linked with, and
// their versions: a name, a tab and a version per line. It is a program of its own because the core of graft
// knows none of them, and because they take a moment to load. LibTorch takes longest, and is not among them.

#include <archive.h>
#include <cblas.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <png.h>
#include <tiffio.h>
#include <webp/decode.h>

#include <cstdio>
#include <string>

#include <jpeglib.h>

#include <fmt/format.h>
#include <opencv2/core/utility.hpp>
#include <opencv2/videoio/registry.hpp>

#ifdef GRAFT_HAS_FAISS
#include <faiss/Index.h>
#endif

#include "onednn.h"

#define GRAFT_TEXT_(x) #x
#define GRAFT_TEXT(x) GRAFT_TEXT_(x)

namespace {

void print(const char* library, const std::string& version) {
  std::fputs(fmt::format("{}\t{}\n", library, version).c_str(), stdout);
}

/// The second word of "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." and of "libarchive 3.6.2".
std::string second_word(const std::string& text) {
  const std::size_t first = text.find(' ') + 1;
  return text.substr(first, text.find(' ', first) - first);
}

/// The last word of the first line: of "LIBTIFF, Version 4.5.0", which has more lines.
std::string last_word_of_line(const std::string& text) {
  const std::string line = text.substr(0, text.find('\n'));
  return line.substr(line.rfind(' ') + 1);
}

/// OpenCV loads FFmpeg, of which graft has no headers; empty where it does without.
std::string ffmpeg_version() {
  (void)cv::videoio_registry::getBackendName(cv::CAP_FFMPEG);  // so that the linker keeps OpenCV's library
  using Version = const char*();
  auto* const version = reinterpret_cast<Version*>(::dlsym(RTLD_DEFAULT, "av_version_info"));
  return version == nullptr ? "" : version();
}

}  // namespace

int main() {
  const dnnl_version_t* onednn = dnnl_version();
  print("oneDNN", fmt::format("{}.{}.{}", onednn->major, onednn->minor, onednn->patch));
  print("OpenBLAS", second_word(openblas_get_config()));
#ifdef GRAFT_HAS_FAISS
  print("FAISS", fmt::format("{}.{}.{}", FAISS_VERSION_MAJOR, FAISS_VERSION_MINOR, FAISS_VERSION_PATCH));
#endif
  print("OpenCV", cv::getVersionString());
  if (const std::string version = ffmpeg_version(); !version.empty()) print("FFmpeg", version);
  print("libjpeg-turbo", GRAFT_TEXT(LIBJPEG_TURBO_VERSION));
  print("libpng", png_get_libpng_ver(nullptr));
  print("libtiff", last_word_of_line(TIFFGetVersion()));
  const int webp = WebPGetDecoderVersion();
  print("libwebp", fmt::format("{}.{}.{}", webp >> 16, webp >> 8 & 255, webp & 255));
  print("libarchive", second_word(archive_version_string()));
  print("libcurl", curl_version_info(CURLVERSION_NOW)->version);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
