#include "preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/hash.h>
#include <image/resize.h>
#include <preview/preview_mark.h>

namespace {

using graft::Image;

constexpr std::size_t kRows = 8;
constexpr std::uint32_t kViews = 8;
constexpr int kSide = 160;  // px, longer side of a picture
constexpr int kGap = 6;     // px, around pictures
constexpr int kLine = 16;   // px, height of a line of text
const cv::Scalar kPaper(245, 245, 245), kInk(40, 40, 40);

// Small images grow by a whole factor, so that their own pixels are seen.
Image thumbnail(const Image& image) {
  const int longer = std::max(image.width, image.height);
  const int factor = kSide / longer;
  if (factor > 1) {
    Image out = Image::allocate(image.width * factor, image.height * factor);
    for (int y = 0; y < out.height; ++y)
      for (int x = 0; x < out.width; ++x)
        std::copy_n(image.row(y / factor) + 3 * (x / factor), 3, out.row(y) + 3 * x);
    return out;
  }
  const auto scaled = [&](int side) {
    return longer <= kSide ? side : std::max(1, static_cast<int>(std::int64_t{side} * kSide / longer));
  };
  return graft::image::resize(image, scaled(image.width), scaled(image.height),
                              graft::image::Filter::Bilinear);
}

void place(cv::Mat& sheet, const Image& image, int left, int top) {
  const cv::Mat rgb(image.height, image.width, CV_8UC3, image.data, static_cast<std::size_t>(image.stride));
  cv::cvtColor(rgb, sheet(cv::Rect(left, top, image.width, image.height)), cv::COLOR_RGB2BGR);
}

void print(cv::Mat& sheet, const std::string& text, int left, int top) {
  cv::putText(sheet, text, {left, top + kLine - 5}, cv::FONT_HERSHEY_SIMPLEX, 0.4, kInk, 1, cv::LINE_AA);
}

// The fonts of OpenCV hold ASCII only. The end of a long key says more than its beginning.
std::string caption(const std::string& key, int width) {
  std::string text;
  for (const char c : key) {
    if (c >= 0x20 && c < 0x7f)
      text += c;
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  const auto fits = [&](const std::string& t) {
    int ignored;
    return cv::getTextSize(t, cv::FONT_HERSHEY_SIMPLEX, 0.4, 1, &ignored).width <= width;
  };
  if (fits(text)) return text;
  while (!text.empty() && !fits("..." + text)) text.erase(0, 1);
  return "..." + text;
}

}  // namespace

void Preview::add(const std::string& key, std::uint32_t view, const Image& input, const Image& output) {
  if (view >= kViews) return;
  const Rank rank(graft::hash64(key), key);
  {
    const std::lock_guard lock(mutex_);
    if (rows_.size() == kRows && rows_.rbegin()->first < rank) return;
  }
  const Image before = thumbnail(input), after = thumbnail(output);
  const std::lock_guard lock(mutex_);
  Row& row = rows_[rank];
  row.input = before;
  row.views[view] = after;
  if (rows_.size() > kRows) rows_.erase(std::prev(rows_.end()));
}

void Preview::write(const std::string& path) const {
  std::uint32_t views = 0;
  int cell = 0, height = kLine + kGap;
  std::vector<int> heights;
  for (const auto& [rank, row] : rows_) {
    cell = std::max(cell, row.input.width);
    int tallest = row.input.height;
    for (const auto& [view, image] : row.views) {
      views = std::max(views, view + 1);
      cell = std::max(cell, image.width);
      tallest = std::max(tallest, image.height);
    }
    heights.push_back(tallest);
    height += tallest + kLine + kGap;
  }
  cell = std::max(cell, kSide / 2);  // room for the captions
  const auto column = [&](std::uint32_t i) { return kGap + static_cast<int>(i) * (cell + kGap); };

  cv::Mat sheet(height, column(views + 1), CV_8UC3, kPaper);
  print(sheet, "input", column(0), 0);
  for (std::uint32_t view = 0; view < views; ++view)
    print(sheet, fmt::format("view {}", view), column(view + 1), 0);
  int top = kLine + kGap / 2;
  auto tallest = heights.begin();
  for (const auto& [rank, row] : rows_) {
    place(sheet, row.input, column(0), top);
    for (const auto& [view, image] : row.views) place(sheet, image, column(view + 1), top);
    top += *tallest++;
    print(sheet, caption(rank.second, sheet.cols - 2 * kGap), column(0), top);
    top += kLine + kGap;
  }

  std::vector<std::uint8_t> png;
  if (!cv::imencode(".png", sheet, png)) throw graft::Error(path + ": OpenCV cannot write PNG");
  png.insert(png.begin() + graft::preview::kPreviewMarkAt, graft::preview::kPreviewMark.begin(),
             graft::preview::kPreviewMark.end());
  graft::write_file_atomically(path, {reinterpret_cast<const char*>(png.data()), png.size()});
}
