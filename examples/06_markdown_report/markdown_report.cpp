#include <algorithm>
#include <cstdio>

#include <graft/plugin.h>

#include <metrics/score.h>

namespace {

using namespace graft;

struct Mistake {
  std::string key, predicted, truth;
  float score;
};

/// Names of files and classes may hold any character; in a cell, those that mean something are escaped.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '\\' || c == '`' || c == '<') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

std::string fixed(double value) {
  char out[32];
  std::snprintf(out, sizeof out, "%.4f", value);
  return out;
}

class MarkdownReport final : public Report {
 public:
  explicit MarkdownReport(const StageContext& context) : most_(context.params.get<std::size_t>("mistakes")) {}

  ReportOutput report(const ReportInput& input) override {
    std::string page = "# Results\n\n| learner | test inputs | accuracy | log loss |\n|---|---|---|---|\n";
    std::string details;
    ReportSection section("Most certain mistakes");
    SectionTable shown{{"learner", "input", "predicted", "truth", "score"}, {}};
    SectionFigure accuracy{.title = "Accuracy on test"};
    for (const Predictions& learner : input.predictions) {
      if (learner.multi_label)
        throw Error("'" + learner.learner + "': expected one label per input, got several");
      metrics::ScoreSum sum;
      std::vector<Mistake> mistakes;
      std::size_t labelled = 0;
      for (std::size_t i = 0; i < learner.test.keys.size(); ++i) {
        const auto& labels = learner.test.labels[i];
        if (labels.empty()) continue;
        ++labelled;
        const std::vector<float> scores(learner.test.scores.row(i),
                                        learner.test.scores.row(i) + learner.classes.size());
        sum.add(scores, labels, metrics::LabelMode::Single);
        const auto best =
            static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
        const auto truth = static_cast<std::size_t>(labels[0]);
        if (best != truth)
          mistakes.push_back(
              {learner.test.keys[i], learner.classes[best], learner.classes[truth], scores[best]});
      }
      page += "| " + cell(learner.learner) + " | " + std::to_string(labelled) + " | ";
      page += labelled == 0 ? "- | - |\n"
                            : fixed(sum.mean().accuracy) + " | " + fixed(sum.mean().log_loss) + " |\n";
      if (labelled > 0) accuracy.bars.emplace_back(learner.learner, sum.mean().accuracy);
      keep_worst(mistakes);
      for (const Mistake& m : mistakes)
        shown.rows.push_back(
            {learner.learner, m.key, m.predicted, m.truth, fixed(static_cast<double>(m.score))});
      details += mistakes_of(learner.learner, mistakes);
    }
    ReportOutput out;
    // The same for report.html: as data, which the page draws.
    if (!accuracy.bars.empty())
      out.sections.push_back(section.figure(std::move(accuracy)).table(std::move(shown)));
    out.files["report.md"] = page + details;
    return out;
  }

 private:
  void keep_worst(std::vector<Mistake>& mistakes) const {
    std::stable_sort(mistakes.begin(), mistakes.end(),
                     [](const Mistake& a, const Mistake& b) { return a.score > b.score; });
    if (mistakes.size() > most_)
      mistakes.erase(mistakes.begin() + static_cast<std::ptrdiff_t>(most_), mistakes.end());
  }

  static std::string mistakes_of(const std::string& learner, const std::vector<Mistake>& mistakes) {
    if (mistakes.empty()) return {};
    std::string out = "\n## Most certain mistakes of " + cell(learner) +
                      "\n\n| input | predicted | truth | score |\n|---|---|---|---|\n";
    for (const Mistake& m : mistakes)
      out += "| " + cell(m.key) + " | " + cell(m.predicted) + " | " + cell(m.truth) + " | " +
             fixed(static_cast<double>(m.score)) + " |\n";
    return out;
  }

  std::size_t most_;
};

}  // namespace

GRAFT_PLUGIN(markdown_report, "1.0.0", MarkdownReport,
             graft::PluginSchema::report("Writes a page in Markdown about the learners.")
                 .input(graft::PortType::Predictor, "The learners.", true)
                 .param(graft::integer("mistakes", 10)
                            .range(1, 10000)
                            .unit("inputs")
                            .doc("Mistakes listed per learner, the most certain ones.")))
