#include "chart.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include <graft/chart.h>

#include "markup.h"

namespace graft::page {
namespace {

using namespace graft::chart;

/// Not scaled to what is around it: its text stays readable, and it scrolls where it must.
std::string with_width(std::string svg, double width) {
  return svg.insert(svg.find(" viewBox"), fmt::format(" width=\"{:g}\"", width));
}

/// 1, 2 and 5 times powers of ten between two powers; of many decades the powers alone.
std::vector<double> log_ticks_of(Range exponents) {
  std::vector<double> out;
  for (double power = std::floor(exponents.first); power <= exponents.second; ++power)
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double t = digit * std::pow(10, power), at = std::log10(t);
      if (digit != 1 && exponents.second - exponents.first > 2.5) continue;
      if (at >= exponents.first - 1e-9 && at <= exponents.second + 1e-9) out.push_back(t);
    }
  return out;
}

/// A rectangle with two axes, and where values lie in it.
class Axes {
 public:
  static constexpr double kWidth = 380, kHeight = 260, kLeft = 62, kRight = 20, kTop = 10, kBottom = 40;

  Axes(Range x, Range y, bool log_x) : x_(x), y_(y), log_x_(log_x) {
    if (log_x_) x_ = {std::log10(x.first), std::log10(x.second)};
    if (!(x_.second > x_.first)) x_ = padded(x_);
    if (!(y_.second > y_.first)) y_ = padded(y_);
  }
  double x(double value) const {
    const double v = log_x_ ? std::log10(value) : value;
    return kLeft + (v - x_.first) / (x_.second - x_.first) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom - (value - y_.first) / (y_.second - y_.first) * (kHeight - kTop - kBottom);
  }
  void draw(std::string& svg, const std::string& x_label, const std::string& y_label) const {
    for (const double t : axis_ticks(y_)) {
      add_line(svg, kLeft, y(t), kWidth - kRight, y(t), "grid");
      add_text(svg, kLeft - 6, y(t) + 4, "tick end", fmt::format("{:.4g}", t));
    }
    for (const double t : log_x_ ? log_ticks_of(x_) : axis_ticks(x_)) {
      add_line(svg, x(t), kTop, x(t), kHeight - kBottom, "grid");
      add_text(svg, x(t), kHeight - kBottom + 15, "tick mid", fmt::format("{:.4g}", t));
    }
    svg += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}V{:.1f}H{:.1f}\"/>", kLeft, kTop,
                       kHeight - kBottom, kWidth - kRight);
    add_text(svg, (kLeft + kWidth - kRight) / 2, kHeight - 6, "label mid", x_label);
    svg += fmt::format("<text transform=\"translate(11 {:.1f}) rotate(-90)\" class=\"label mid\">{}</text>",
                       (kHeight - kBottom + kTop) / 2, escaped(y_label));
  }

 private:
  Range x_, y_;
  bool log_x_;
};

template <typename Charts, typename Visit>
Range range_of(const Charts& items, const Visit& visit) {
  Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const auto& item : items)
    visit(item, [&](double v) { range = {std::min(range.first, v), std::max(range.second, v)}; });
  return std::isfinite(range.first) ? range : Range{0, 1};
}

}  // namespace

std::string svg_of(const LineChart& chart) {
  const auto of_points = [&](auto member) {
    return range_of(chart.series, [&](const Series& s, const auto& take) {
      for (const auto& p : s.points) take(p.*member);
    });
  };
  const Axes axes(chart.x_range.value_or(of_points(&Range::first)),
                  chart.y_range.value_or(padded_score(of_points(&Range::second))), chart.log_x);
  std::string svg = begin_svg(Axes::kWidth, Axes::kHeight, chart.title, "lines");
  axes.draw(svg, chart.x_label, chart.y_label);
  if (chart.diagonal) add_line(svg, axes.x(0), axes.y(0), axes.x(1), axes.y(1), "diagonal");
  if (chart.marked_x)
    add_line(svg, axes.x(*chart.marked_x), Axes::kTop, axes.x(*chart.marked_x), Axes::kHeight - Axes::kBottom,
             "marked");
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& s = chart.series[i];
    std::string path;
    for (const auto& [x, y] : s.points)
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? "M" : "L", axes.x(x),
                     axes.y(y));
    svg += fmt::format("<g class=\"series c{}{}\"><path d=\"{}\"/>", i % kColors, s.dashed ? " dashed" : "",
                       path);
    if (s.points.size() <= 40)
      for (const auto& [x, y] : s.points)
        svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}: {} {}</title></circle>",
                           axes.x(x), axes.y(y), escaped(s.name), number(x), number(y));
    svg += "</g>";
  }
  return svg + "</svg>";
}

std::string svg_of(const BarChart& chart) {
  constexpr double kWidth = 380, kLeft = 132, kRight = 58, kLine = 17;
  double most = 0;
  for (const BarChart::Row& row : chart.rows) most = std::max(most, row.value);
  std::string svg =
      begin_svg(kWidth, 4 + kLine * static_cast<double>(chart.rows.size()), chart.title, "bars");
  double y = 2;
  for (const BarChart::Row& row : chart.rows) {
    const double width = most > 0 ? row.value / most * (kWidth - kLeft - kRight) : 0;
    add_text(svg, kLeft - 8, y + 12, "tick end", cut_to(row.name, 20));
    svg += fmt::format("<rect class=\"hit\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>",
                       kLeft, y + 2, std::max(width, 0.5), kLine - 5);
    add_text(svg, kLeft + width + 6, y + 12, "tick", row.text);
    y += kLine;
  }
  return svg + "</svg>";
}

std::string svg_of(const ScatterChart& chart) {
  const auto of_points = [&](auto member) {
    return padded(
        range_of(chart.points, [&](const ScatterChart::Point& p, const auto& take) { take(p.*member); }));
  };
  const Axes axes(of_points(&ScatterChart::Point::x), of_points(&ScatterChart::Point::y), false);
  std::string svg = begin_svg(Axes::kWidth, Axes::kHeight, chart.title, "scatter");
  axes.draw(svg, chart.x_label, chart.y_label);
  // Errors lie on top.
  for (const bool wrong : {false, true})
    for (std::size_t i = 0; i < chart.points.size(); ++i) {
      const ScatterChart::Point& p = chart.points[i];
      if (p.wrong != wrong) continue;
      svg += fmt::format(
          "<circle class=\"point c{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" "
          "data-point=\"{}\"><title>{}</title></circle>",
          p.color % kColors, wrong ? " wrong" : "", axes.x(p.x), axes.y(p.y), wrong ? "4" : "2.8", i,
          escaped(p.title));
    }
  return svg + "</svg>";
}

std::string svg_of(const ConfusionChart& chart) {
  const std::size_t k = chart.classes.size();
  constexpr double kLeft = 108, kTop = 20;
  const double cell = std::clamp(420.0 / static_cast<double>(k), 26.0, 56.0);
  const double side = cell * static_cast<double>(k), bottom = k > 6 ? 86 : 34;
  std::string svg = with_width(begin_svg(kLeft + side + 8, kTop + side + bottom, chart.title, "confusion"),
                               kLeft + side + 8);
  // What is in an image is nothing to screen readers, and the cells are buttons.
  const std::string image = "role=\"img\"";
  svg.replace(svg.find(image), image.size(), "role=\"group\"");
  add_text(svg, kLeft + side / 2, 13, "label mid", "predicted");
  const auto at = [&](std::size_t i) { return static_cast<double>(i) * cell; };
  for (std::size_t t = 0; t < k; ++t) {
    add_text(svg, kLeft - 6, kTop + at(t) + cell / 2 + 4, "name end", cut_to(chart.classes[t], 14));
    const std::string name = escaped(cut_to(chart.classes[t], 14));
    const double x = kLeft + at(t) + cell / 2, y = kTop + side + 16;
    svg += k > 6
               ? fmt::format(
                     "<text transform=\"translate({:.1f} {:.1f}) rotate(-55)\" class=\"name end\">{}</text>",
                     x + 4, y - 6, name)
               : fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"name mid\">{}</text>", x, y,
                             escaped(cut_to(chart.classes[t], 8)));
    std::size_t total = 0;
    for (std::size_t p = 0; p < k; ++p) total += chart.cells[t * k + p];
    for (std::size_t p = 0; p < k; ++p) {
      const std::size_t n = chart.cells[t * k + p];
      const double fraction = total == 0 ? 0 : static_cast<double>(n) / static_cast<double>(total);
      const std::string what =
          fmt::format("{} taken for {}: {} of {}", chart.classes[t], chart.classes[p], n, total);
      svg += fmt::format(
          "<g class=\"cell{}\"{}><title>{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\" class=\"{}\" fill-opacity=\"{:.3f}\"/>",
          fraction > 0.55 ? " full" : "",
          n == 0 ? std::string()
                 : fmt::format(" tabindex=\"0\" role=\"button\" aria-label=\"{}\" data-cell=\"{},{}\"",
                               escaped(what), t, p),
          escaped(what), kLeft + at(p) + 0.5, kTop + at(t) + 0.5, cell - 1, cell - 1, t == p ? "hit" : "miss",
          n == 0 ? 0.0 : 0.12 + 0.88 * fraction);
      if (n > 0) {
        const double cx = kLeft + at(p) + cell / 2, cy = kTop + at(t) + cell / 2 + 4;
        add_text(svg, cx, cy, "count mid", std::to_string(n));
        add_text(svg, cx, cy, "fraction mid", fmt::format("{:.0f}%", 100 * fraction));
      }
      svg += "</g>";
    }
  }
  svg += fmt::format("<text transform=\"translate(10 {:.1f}) rotate(-90)\" class=\"label mid\">true</text>",
                     kTop + side / 2);
  return svg + "</svg>";
}

}  // namespace graft::page
