#include <graft/report_section.h>

#include <fmt/format.h>

#include <graft/text.h>

namespace graft {

std::string fault_of_section(const ReportSection& section) {
  if (section.title.empty()) return "a section of the page without a title";
  const std::string what = fmt::format("the section '{}'", shortened(section.title));
  for (const ReportSection::Part& part : section.parts) {
    if (const auto* table = std::get_if<SectionTable>(&part)) {
      if (table->headings.empty()) return what + " with a table without headings";
      for (std::size_t r = 0; r < table->rows.size(); ++r)
        if (table->rows[r].size() != table->headings.size())
          return fmt::format("{} with a table whose row {} has {}, expected one per heading: {}", what, r,
                             plural(table->rows[r].size(), "cell"), table->headings.size());
    }
    if (const auto* figure = std::get_if<SectionFigure>(&part))
      if (figure->lines.empty() == figure->bars.empty())
        return fmt::format("{} with a figure of {}: expected one of them", what,
                           figure->lines.empty() ? "neither lines nor bars" : "lines and bars");
  }
  return {};
}

}  // namespace graft
