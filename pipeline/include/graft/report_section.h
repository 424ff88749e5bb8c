#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <graft/export.h>

namespace graft {

/// A table of a section: every row has a cell per heading.
struct SectionTable {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
};

/// A drawing of a section. Values that are not finite are left out.
struct SectionFigure {
  struct Line {
    std::string name;
    std::vector<std::pair<double, double>> points;
  };
  std::string title;
  /// Lines over two axes, or bars from zero; one of them.
  std::vector<Line> lines = {};
  std::vector<std::pair<std::string, double>> bars = {};
  std::string x_label = {}, y_label = {};  ///< Of lines.
};

/// A part of report.html that a report gives as data (ReportOutput::sections): the page draws it in its own
/// style, and whatever is in a text stays text.
///
///     out.sections.push_back(graft::ReportSection("Worst classes")
///                                .text("Recall on test, the lowest first.")
///                                .table({{"class", "recall"}, {{"ants", "0.71"}, {"bees", "0.93"}}}));
struct ReportSection {
  using Part = std::variant<std::string, SectionTable, SectionFigure>;

  std::string title;
  std::vector<Part> parts = {};  ///< One below the other.

  explicit ReportSection(std::string heading) : title(std::move(heading)) {}
  ReportSection& text(std::string paragraph) { return parts.emplace_back(std::move(paragraph)), *this; }
  ReportSection& table(SectionTable t) { return parts.emplace_back(std::move(t)), *this; }
  ReportSection& figure(SectionFigure f) { return parts.emplace_back(std::move(f)), *this; }
};

/// A section and the stage that gave it.
struct GivenSection {
  std::string stage;
  ReportSection section;
};

/// What is wrong with a section, as in "gave " + fault; empty: nothing.
GRAFT_API std::string fault_of_section(const ReportSection& section);

}  // namespace graft
