#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace graft::page {

/// \file
/// Drawings as SVG elements. They have classes and no colours: style.css gives those, in the page and in the
/// files of a run alike. Texts are escaped here.

/// Classes that have a colour of their own, "c0" to "c9".
inline constexpr std::size_t kColors = 10;

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool dashed = false;
};

/// Lines over two axes.
struct LineChart {
  std::string title;  ///< For people who cannot see it.
  std::string x_label, y_label;
  std::vector<Series> series;
  bool log_x = false;                                         ///< Every x is above 0.
  std::optional<std::pair<double, double>> x_range, y_range;  ///< Default: what the points need.
  bool diagonal = false;                                      ///< Where y = x.
  std::optional<double> marked_x;                             ///< What was chosen.
};
std::string svg_of(const LineChart& chart);

/// A bar from zero per line.
struct BarChart {
  struct Row {
    std::string name;
    double value = 0;
    std::string text;  ///< After the bar.
  };
  std::string title;
  std::vector<Row> rows;
};
std::string svg_of(const BarChart& chart);

/// Points of the classes; the positions of points are what a click on them gives (data-point).
struct ScatterChart {
  struct Point {
    double x = 0, y = 0;
    std::size_t color = 0;  ///< Class, modulo kColors.
    bool wrong = false;
    std::string title;
  };
  std::string title, x_label, y_label;
  std::vector<Point> points;
};
std::string svg_of(const ScatterChart& chart);

/// Cells of true x predicted class, with their number and the fraction of their row. A cell has data-cell
/// "TRUE,PREDICTED".
struct ConfusionChart {
  std::string title;
  std::vector<std::string> classes;
  std::vector<std::size_t> cells;  ///< Row-major.
};
std::string svg_of(const ConfusionChart& chart);

}  // namespace graft::page
