#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <graft/learner.h>

#include "config/plan.h"

namespace graft {

/// What the reports of a run have given, checked: each speaks of its own learners, and its files stay in its
/// folder. Files are written as they come; pages wait until it is known how the run ends.
class GivenReports {
 public:
  /// `run`: the folder of the run.
  GivenReports(std::filesystem::path run, std::function<void(const std::string&)> warn);

  /// Throws Error, "gave ...".
  void keep(const StagePlan& stage, const std::vector<Predictions>& predictions, ReportOutput output);
  /// Of a run that has failed, whose page is made again: the page and the files alone.
  void keep_page(const StagePlan& stage, ReportOutput output);

  /// The page of the first stage that gave one becomes report.html, those of others
  /// reports/STAGE/report.html.
  void write_pages() const;
  /// Pages of a success that was none: those that were written go, too.
  void drop_pages() noexcept;
  /// Their places within the folder of the run, that of report.html first.
  std::vector<std::filesystem::path> pages() const;

  /// Scores and facts, for results.json.
  void add_to(Value& results) const;
  const std::vector<Figure>& figures() const { return figures_; }
  const std::vector<GivenSection>& sections() const { return sections_; }
  /// For the terminal.
  const std::string& text() const { return text_; }

 private:
  void keep_files(const StagePlan& stage, ReportOutput& output);

  const std::filesystem::path run_;
  const std::function<void(const std::string&)> warn_;
  Value reported_ = Value::map();
  std::vector<Figure> figures_;
  std::vector<GivenSection> sections_;
  std::vector<std::pair<std::string, std::string>> pages_;  // by stage
  std::string text_;
};

}  // namespace graft
