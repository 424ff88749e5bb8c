#include "run/given_reports.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "base/files.h"
#include "graph/check_output.h"
#include "run/figures.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPage = "report.html";

}  // namespace

GivenReports::GivenReports(fs::path run, std::function<void(const std::string&)> warn)
    : run_(std::move(run)), warn_(std::move(warn)) {}

void GivenReports::keep(const StagePlan& stage, const std::vector<Predictions>& predictions,
                        ReportOutput output) {
  std::vector<std::string> own;
  for (const Predictions& p : predictions) own.push_back(p.learner);
  if (const std::string fault = fault_of_figures(output.figures, stage.schema, own); !fault.empty())
    throw Error("gave " + fault);
  add_figures(output.figures, reported_["learners"]);
  figures_.insert(figures_.end(), output.figures.begin(), output.figures.end());
  if (!output.learners.is_map()) throw Error("gave `learners` that are not a map");
  for (auto& [learner, parts] : output.learners.as_map()) {
    if (std::find(own.begin(), own.end(), learner) == own.end())
      throw Error(fmt::format("gave metrics of '{}', which is none of its learners", learner));
    if (!parts.is_map()) throw Error(fmt::format("gave metrics of '{}' that are not a map", learner));
    for (auto& [part, values] : parts.as_map()) {
      Value& known = reported_["learners"][learner][part];
      if (!known.is_map() || !values.is_map())
        known = std::move(values);
      else
        for (auto& [name, value] : values.as_map()) known[name] = std::move(value);
    }
  }
  for (ReportSection& section : output.sections) {
    if (const std::string fault = fault_of_section(section); !fault.empty()) throw Error("gave " + fault);
    if (!pages_.empty())
      warn_(
          fmt::format("{}: the section '{}' is not in report.html, which was made before it: put the stage "
                      "before '{}'",
                      stage.id, shortened(section.title), pages_[0].first));
    sections_.push_back({stage.id, std::move(section)});
  }
  if (!output.facts.is_null()) reported_["reports"][stage.id] = std::move(output.facts);
  keep_files(stage, output);
  text_ += output.text;
}

void GivenReports::keep_page(const StagePlan& stage, ReportOutput output) {
  keep_files(stage, output);
}

void GivenReports::keep_files(const StagePlan& stage, ReportOutput& output) {
  for (const auto& [name, content] : output.files) {
    if (const std::string fault = fault_of_file_name(name); !fault.empty()) throw Error("gave " + fault);
    if (!output.page.empty() && name == kPage)
      throw Error(fmt::format("gave a page and a file '{}', which is the name of pages", name));
    make_folders(run_ / "reports" / stage.id);
    write_file_atomically(run_ / "reports" / stage.id / name, content);
  }
  if (!output.page.empty()) pages_.emplace_back(stage.id, std::move(output.page));
}

std::vector<fs::path> GivenReports::pages() const {
  std::vector<fs::path> places;
  for (const auto& [stage, page] : pages_)
    places.push_back(places.empty() ? fs::path(kPage) : fs::path("reports") / stage / kPage);
  return places;
}

void GivenReports::write_pages() const {
  const std::vector<fs::path> places = pages();
  for (std::size_t i = 0; i < places.size(); ++i) {
    make_folders((run_ / places[i]).parent_path());
    write_file_atomically(run_ / places[i], pages_[i].second);
  }
}

void GivenReports::drop_pages() noexcept try {
  std::error_code ignored;
  for (const fs::path& place : pages()) fs::remove(run_ / place, ignored);
  pages_.clear();
} catch (const std::exception&) {  // no memory for their names
}

void GivenReports::add_to(Value& results) const {
  for (const auto& [name, values] : reported_.as_map()) results[name] = values;
}

}  // namespace graft
