// graft report RUN RUN --html: RunComparison to HTML.

#include <algorithm>

#include <fmt/format.h>

#include <graft/chart.h>
#include <graft/markup.h>
#include <graft/text.h>

#include "run/run_comparison.h"

namespace graft {
namespace {

constexpr const char* kComparisonStyle = R"(:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de; --accent: #0550ae; --dot: #0072b2; --strong: #a8326e;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e6eaef; --soft: #a3adb8; --rule: #38414b; --accent: #79b8ff; --dot: #58aee6; --strong: #ec85b8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 0 1rem 2rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.8rem; } h2 { margin-top: 2.2rem; padding-top: .6rem; border-top: 1px solid var(--rule); font-size: 1.3rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
.lead { font-size: 1.1rem; overflow-wrap: anywhere; } .soft { color: var(--soft); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 500; } thead th { color: var(--soft); } .n { text-align: right; white-space: nowrap; }
.interval { display: block; font-size: .8rem; color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem 2rem; }
figure { margin: 0; max-width: 34rem; } figcaption { color: var(--soft); }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg .tick { fill: var(--soft); font-size: 11px; } svg .end { text-anchor: end; } svg .mid { text-anchor: middle; }
svg .label { fill: var(--soft); } svg .grid { stroke: var(--rule); stroke-width: .6; } svg .name.strong { font-weight: 700; }
svg .bar { stroke: var(--dot); stroke-width: 2; } svg .dot { fill: var(--dot); } svg .dot.strong { fill: var(--strong); }
)";

std::string run_name(const RunComparison& c, std::size_t run) {
  return name_in_text(c.runs[run].folder.string());
}

/// A score of every learner that has it, with its interval.
std::string figure_of(const RunComparison& c, const std::string& heading) {
  IntervalChart chart;
  chart.title = heading;
  std::string split;
  for (const RunComparison::LearnerScores& learner : c.learners)
    for (const LeftRun::Score& score : learner.scores) {
      if (score.heading != heading) continue;
      if (chart.rows.empty()) split = score.split;
      chart.rows.push_back({fmt::format("{}: {}", learner.run + 1, learner.learner), score.value,
                            score.interval, fmt::format("{:.4f}", score.value),
                            c.runs[learner.run].best == learner.learner});
    }
  chart.x_label = "95 % intervals";
  return fmt::format("<figure>{}<figcaption>{} on {}</figcaption></figure>", svg_of(chart), escaped(heading),
                     escaped(split));
}

std::string table_of(const char* first, const char* second,
                     const std::vector<RunDifference::Entry>& entries) {
  if (entries.empty()) return "<p class=\"soft\">The same.</p>";
  std::string out = fmt::format(
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th><th scope=\"col\">{}</th><th "
      "scope=\"col\">{}</th></tr></thead><tbody>",
      first, second);
  for (const RunDifference::Entry& e : entries)
    out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>", escaped(e.name),
                       name_in_text(shortened(e.first)), name_in_text(shortened(e.second)));
  return out + "</tbody></table></div>";
}

std::string runs_of(const RunComparison& c) {
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th><th scope=\"col\">run</th><th "
      "scope=\"col\">finished</th><th scope=\"col\">data</th><th scope=\"col\" class=\"n\">inputs</th><th "
      "scope=\"col\" "
      "class=\"n\">rejected</th><th scope=\"col\">best on val</th><th scope=\"col\" class=\"n\">its "
      "score</th><th scope=\"col\" class=\"n\">seconds</th></tr></thead><tbody>";
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    const LeftRun& run = c.runs[i];
    std::string score = "-";
    if (run.score) {
      score = fmt::format("{} {} {:.4f}", run.score->split, escaped(run.score->heading), run.score->value);
      if (run.score->interval)
        score += fmt::format("<span class=\"interval\">{:.4f} to {:.4f}</span>", run.score->interval->first,
                             run.score->interval->second);
    }
    out += fmt::format(
        "<tr><td>{}</td><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
        i + 1, run_name(c, i), escaped(run.finished), name_in_text(run.data), run.inputs, run.rejected,
        run.best.empty() ? "-" : name_in_text(run.best), score,
        run.seconds ? fmt::format("{:.1f}", *run.seconds) : "-");
  }
  return out + "</tbody></table></div>";
}

std::string paired_of(const RunComparison::Other& other) {
  if (!other.paired) return "<p>Not paired: " + escaped(other.not_paired) + ".</p>";
  const PairedResult& p = *other.paired;
  return fmt::format(
      "<p class=\"lead\">{}</p><div class=\"scroll\"><table><thead><tr><th scope=\"col\">test inputs</th><th "
      "scope=\"col\" class=\"n\">second right</th><th scope=\"col\" class=\"n\">second "
      "wrong</th></tr></thead><tbody><tr><th scope=\"row\">first right</th><td class=\"n\">{}</td><td "
      "class=\"n\">{}</td></tr><tr><th scope=\"row\">first wrong</th><td class=\"n\">{}</td><td "
      "class=\"n\">{}</td></tr></tbody></table></div>",
      escaped(in_words(p)), p.both_right, p.only_first, p.only_second,
      p.inputs - p.both_right - p.only_first - p.only_second);
}

}  // namespace

std::string to_html(const RunComparison& c) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "
      "'none'\"><title>Comparison of {} runs - "
      "Graft</title><style>{}</style></head>\n<body><header><h1>Comparison of "
      "{} runs</h1></header>\n<main>{}",
      c.runs.size(), kComparisonStyle, c.runs.size(), runs_of(c));
  std::vector<std::string> headings;
  for (const RunComparison::LearnerScores& learner : c.learners)
    for (const LeftRun::Score& score : learner.scores)
      if (std::find(headings.begin(), headings.end(), score.heading) == headings.end())
        headings.push_back(score.heading);
  if (!headings.empty()) {
    out +=
        "<h2>Learners</h2><p>The number before a learner is that of its run. Of each run, the learner that "
        "val chooses has another colour.</p><div class=\"figures\">";
    for (const std::string& heading : headings) out += figure_of(c, heading);
    out += "</div>";
  }
  for (std::size_t i = 0; i < c.others.size(); ++i) {
    const RunComparison::Other& other = c.others[i];
    out += fmt::format("<section><h2>{} against {}</h2>{}", run_name(c, i + 1), run_name(c, 0),
                       paired_of(other));
    for (const auto& [title, entries] : {std::pair("Config", &other.difference.config),
                                         std::pair("Data and plugins", &other.difference.data),
                                         std::pair("Scores", &other.difference.scores)})
      out += fmt::format("<h3>{}</h3>{}", title, table_of("first", "second", *entries));
    out += "</section>";
  }
  return out + "</main></body></html>\n";
}

}  // namespace graft
