#include <graft/chart.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <graft/markup.h>

namespace graft {
namespace chart {

std::string begin_svg(double width, double height, const std::string& title, const char* kind) {
  return fmt::format(
      "<svg class=\"chart {}\" viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\" "
      "xmlns=\"http://www.w3.org/2000/svg\">",
      kind, width, height, escaped(title));
}

void add_text(std::string& svg, double x, double y, const char* classes, const std::string& text) {
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>", x, y, classes, escaped(text));
}

void add_line(std::string& svg, double x1, double y1, double x2, double y2, const char* classes) {
  svg += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>", x1, y1,
                     x2, y2, classes);
}

std::vector<double> axis_ticks(Range range) {
  const double raw = (range.second - range.first) / 5;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  const double step = power * (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1);
  if (!(step > 0) || !std::isfinite(step)) return {};
  constexpr int kMost = 12;  // a step may be too small to change a large number
  const double first = std::ceil(range.first / step);
  std::vector<double> out;
  for (int i = 0; i < kMost; ++i) {
    const double t = (first + i) * step;
    if (t > range.second + step * 1e-6) break;
    out.push_back(std::abs(t) < step * 1e-6 ? 0 : t);
  }
  return out;
}

Range padded(Range range) {
  if (!(range.second > range.first)) return {range.first - 0.5, range.first + 0.5};
  const double pad = (range.second - range.first) * 0.04;
  return {range.first - pad, range.second + pad};
}

Range padded_score(Range range) {
  Range out = padded(range);
  if (range.first >= 0) out.first = std::max(out.first, 0.0);
  if (range.second <= 1) out.second = std::min(out.second, 1.0);
  return out;
}

}  // namespace chart

std::string svg_of(const IntervalChart& chart) {
  using namespace graft::chart;
  constexpr double kWidth = 380, kLeft = 124, kRight = 56, kLine = 24, kTop = 6, kBottom = 38;
  const double height = kTop + kBottom + kLine * static_cast<double>(chart.rows.size());
  Range range = chart.rows.empty() ? Range(0, 1) : Range(chart.rows[0].value, chart.rows[0].value);
  for (const IntervalChart::Row& row : chart.rows) {
    const auto [low, high] = row.interval.value_or(Range(row.value, row.value));
    range = {std::min({range.first, low, row.value}), std::max({range.second, high, row.value})};
  }
  range = padded_score(range);
  const auto x = [&](double v) {
    return kLeft + (v - range.first) / (range.second - range.first) * (kWidth - kLeft - kRight);
  };
  std::string svg = begin_svg(kWidth, height, chart.title, "intervals");
  for (const double t : axis_ticks(range)) {
    add_line(svg, x(t), kTop, x(t), height - kBottom, "grid");
    add_text(svg, x(t), height - kBottom + 14, "tick mid", fmt::format("{:.4g}", t));
  }
  double y = kTop + kLine / 2;
  for (const IntervalChart::Row& row : chart.rows) {
    add_text(svg, kLeft - 8, y + 4, row.marked ? "name end strong" : "name end", cut_to(row.name, 18));
    if (row.interval) add_line(svg, x(row.interval->first), y, x(row.interval->second), y, "bar");
    svg += fmt::format("<circle class=\"dot{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\"/>",
                       row.marked ? " strong" : "", x(row.value), y);
    add_text(svg, kWidth - kRight + 8, y + 4, "tick", row.text);
    y += kLine;
  }
  add_text(svg, (kLeft + kWidth - kRight) / 2, height - 6, "label mid", chart.x_label);
  return svg + "</svg>";
}

}  // namespace graft
