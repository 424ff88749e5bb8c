#include "sections.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/text.h>

#include "chart.h"
#include "markup.h"

namespace graft::page {
namespace {

/// Of a table that a report has given; more of it is in the files of that report.
constexpr std::size_t kGivenRows = 500;

std::string legend_of(const Drawing& d) {
  if (d.legend.size() < 2) return {};
  std::string out = " <span class=\"legend\">";
  for (std::size_t i = 0; i < d.legend.size(); ++i)
    out += fmt::format("<span class=\"key c{}\">{}</span> ", i % kColors, name_in_text(d.legend[i]));
  return out + "</span>";
}

std::string given_table(const SectionTable& table) {
  std::string out = "<div class=\"scroll tall\"><table class=\"sortable\"><thead><tr>";
  // Columns of words are flush left.
  std::vector<const char*> align;
  for (std::size_t c = 0; c < table.headings.size(); ++c) {
    const bool numbers =
        !table.rows.empty() && std::all_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
          return row[c].empty() || row[c].find_first_not_of("0123456789+-.,e% ") == std::string::npos;
        });
    align.push_back(numbers ? "" : " class=\"t\"");
    out += fmt::format("<th scope=\"col\"{}>{}</th>", align[c], name_in_text(shortened(table.headings[c])));
  }
  out += "</tr></thead><tbody>";
  for (std::size_t r = 0; r < std::min(table.rows.size(), kGivenRows); ++r) {
    out += "<tr>";
    for (std::size_t c = 0; c < table.headings.size(); ++c)
      out += fmt::format("<td{}>{}</td>", align[c], name_in_text(shortened(table.rows[r][c])));
    out += "</tr>";
  }
  out += "</tbody></table></div>";
  if (table.rows.size() > kGivenRows)
    out +=
        fmt::format("<p class=\"hint\">The first {} of {} rows.</p>", kGivenRows, count(table.rows.size()));
  return out;
}

}  // namespace

std::string figures_of(const std::vector<Drawing>& drawings) {
  std::string out = "<div class=\"figures\">";
  for (const Drawing& d : drawings)
    out += fmt::format("<figure>{}<figcaption>{}{}</figcaption></figure>", d.svg, escaped(d.title),
                       legend_of(d));
  return out + "</div>";
}

std::string section_html(const GivenSection& given, std::size_t number) {
  const std::vector<Drawing> drawn = section_figures(given, number);
  std::size_t figure = 0;
  std::string out;
  for (const ReportSection::Part& part : given.section.parts) {
    if (const auto* text = std::get_if<std::string>(&part))
      out += "<p>" + escaped(*text) + "</p>";
    else if (const auto* table = std::get_if<SectionTable>(&part))
      out += given_table(*table);
    else if (const Drawing& d = drawn[figure++]; !d.svg.empty())
      out += figures_of({d});
    else
      out += "<p class=\"hint\">" + escaped(d.title) + ": there is nothing to draw.</p>";
  }
  return out.empty() ? "<p class=\"hint\">There is nothing in it.</p>" : out;
}

}  // namespace graft::page
