#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>

namespace graft {

/// A dot with its interval per line, over an axis of scores.
struct IntervalChart {
  struct Row {
    std::string name;
    double value = 0;
    std::optional<std::pair<double, double>> interval;
    std::string text;  ///< The value, for people.
    bool marked = false;
  };
  std::string title;  ///< For people who cannot see it.
  std::string x_label;
  std::vector<Row> rows;
};

/// The chart as an SVG element. Its parts have classes (grid, bar, dot, name, tick, label) and no colours,
/// which are the page's to give. Texts are escaped. Any thread.
GRAFT_API std::string svg_of(const IntervalChart& chart);

/// Parts of charts, for plugins that draw others. Any thread.
namespace chart {

using Range = std::pair<double, double>;

/// Round numbers: steps of 1, 2 or 5 times a power of ten, about five of them. Empty for a range without
/// width or with a bound that is not finite.
GRAFT_API std::vector<double> axis_ticks(Range range);
/// With some room at both ends.
GRAFT_API Range padded(Range range);
/// Of scores and losses: an axis of fractions ends at 1, and none begins below 0 where no value does.
GRAFT_API Range padded_score(Range range);
/// The start tag of an SVG element of the classes "chart" and `kind`; `title` is its name for screen readers.
GRAFT_API std::string begin_svg(double width, double height, const std::string& title, const char* kind);
/// Appends a text at (x, y), escaped. `classes`: its CSS classes, as in "tick mid".
GRAFT_API void add_text(std::string& svg, double x, double y, const char* classes, const std::string& text);
GRAFT_API void add_line(std::string& svg, double x1, double y1, double x2, double y2, const char* classes);

}  // namespace chart
}  // namespace graft
