#include "text.h"

#include <fmt/format.h>
#include <graft/text.h>

#include <algorithm>
#include <cmath>
#include <map>

#include <metrics/score.h>

namespace graft {
namespace {

std::string shots_name(const std::optional<std::size_t>& shots) {
  return shots ? std::to_string(*shots) : "all";
}

std::string with_interval(const metrics::Interval& i) {
  return fmt::format("{:+.4f} ({:+.4f} to {:+.4f})", i.mean, i.low, i.high);
}

std::string with_deviation(const Spread& s) {
  if (std::isnan(s.mean)) return "-";
  if (std::isnan(s.deviation)) return fmt::format("{:.4f} +- -", s.mean);
  return fmt::format("{:.4f} +- {:.4f}", s.mean, s.deviation);
}

double mean_seconds(const std::vector<TrialFigures>& trials) {
  double sum = 0;
  for (const TrialFigures& t : trials) sum += t.seconds / static_cast<double>(trials.size());
  return sum;
}

/// "3 of 4" where trials have failed.
std::string count_of(std::size_t done, std::size_t wanted) {
  return done == wanted ? std::to_string(done) : fmt::format("{} of {}", done, wanted);
}

Value to_value(const Spread& s) {
  Value v = Value::map();
  v["mean"] = s.mean;
  v["deviation"] = s.deviation;
  return v;
}

Value to_value(const metrics::Interval& i) {
  Value v = Value::map();
  v["difference"] = i.mean;
  v["interval"] = Value::List{i.low, i.high};
  return v;
}

}  // namespace

Spread spread_of(const std::vector<TrialFigures>& trials, double Figures::*figure) {
  std::vector<double> values;
  for (const TrialFigures& t : trials) values.push_back(t.figures.*figure);
  return spread(values);
}

std::string to_text(const Comparison& c, std::size_t columns) {
  std::string out;
  const char* balanced = c.multi_label ? "mAP" : "balanced";
  const std::string sure = fmt::format("{:g} %", c.options.confidence * 100);
  if (!c.test.empty()) {
    std::vector<std::vector<std::string>> rows;
    rows.push_back({"", "n", "accuracy (" + sure + ")"});
    for (const auto& d : c.test) rows.push_back({d.learner, std::to_string(d.n), with_interval(d.accuracy)});
    out += fmt::format("\ndifferences from {} on test, paired\n{}", c.against,
                       text_table(std::move(rows), Align::Right, 0, columns));
  }
  if (!c.folds.empty()) {
    std::vector<std::vector<std::string>> rows;
    const std::size_t trials = c.options.repeats * c.options.folds;
    const bool failed = std::any_of(c.folds.begin(), c.folds.end(),
                                    [&](const CrossValidated& l) { return l.trials.size() < trials; });
    std::vector<std::string> head{"",         "accuracy", balanced,
                                  "log loss", "seconds",  "from " + c.against + " (" + sure + ")"};
    if (failed) head.insert(head.begin() + 1, "folds");
    rows.push_back(std::move(head));
    for (const CrossValidated& l : c.folds) {
      std::vector<std::string> line{l.learner,
                                    with_deviation(spread_of(l.trials, &Figures::accuracy)),
                                    with_deviation(spread_of(l.trials, &Figures::balanced)),
                                    with_deviation(spread_of(l.trials, &Figures::log_loss)),
                                    fmt::format("{:.2f}", mean_seconds(l.trials)),
                                    l.difference ? with_interval(*l.difference) : ""};
      if (failed) line.insert(line.begin() + 1, count_of(l.trials.size(), trials));
      rows.push_back(std::move(line));
    }
    out +=
        fmt::format("\ncross-validation, {} x {} folds of {} inputs\n{}", c.options.repeats, c.options.folds,
                    c.folds[0].dealt, text_table(std::move(rows), Align::Right, 0, columns));
  }
  if (!c.curves.empty()) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> head = {"inputs of each class"};
    for (const CurvePoint& p : c.curves[0].points) head.push_back(shots_name(p.shots));
    rows.push_back(head);
    for (const LearningCurve& l : c.curves) {
      std::vector<std::string> cells = {l.learner};
      for (const CurvePoint& p : l.points) {
        const double mean = spread_of(p.trials, &Figures::accuracy).mean;
        const std::size_t wanted = p.shots ? c.options.draws : 1;
        cells.push_back(std::isnan(mean) ? "-"
                        : p.trials.size() == wanted
                            ? fmt::format("{:.4f}", mean)
                            : fmt::format("{:.4f} ({})", mean, count_of(p.trials.size(), wanted)));
      }
      rows.push_back(std::move(cells));
    }
    out += fmt::format("\naccuracy on test, mean of {} draws\n{}", c.options.draws,
                       text_table(std::move(rows), Align::Right, 0, columns));
  }
  return out;
}

Value to_value(const Comparison& c) {
  const char* balanced = c.multi_label ? "mean_average_precision" : "balanced_accuracy";
  Value v = Value::map();
  v["against"] = c.against;
  v["confidence"] = c.options.confidence;
  for (const auto& d : c.test) {
    Value of = to_value(d.accuracy);
    of["n"] = static_cast<std::int64_t>(d.n);
    v["test"][d.learner] = std::move(of);
  }
  if (!c.folds.empty()) {
    Value& cv = v["cross_validation"];
    cv["folds"] = static_cast<std::int64_t>(c.options.folds);
    cv["repeats"] = static_cast<std::int64_t>(c.options.repeats);
    cv["inputs"] = static_cast<std::int64_t>(c.folds[0].dealt);
    for (const CrossValidated& l : c.folds) {
      Value& of = cv["learners"][l.learner];
      of["trials"] = static_cast<std::int64_t>(l.trials.size());
      of["accuracy"] = to_value(spread_of(l.trials, &Figures::accuracy));
      of[balanced] = to_value(spread_of(l.trials, &Figures::balanced));
      of["log_loss"] = to_value(spread_of(l.trials, &Figures::log_loss));
      if (l.difference) of["accuracy_against"] = to_value(*l.difference);
    }
    // NaN is worse than anything: a learner that failed in every trial is not the best. Fewer folds may be
    // easier ones.
    const auto score = [](const CrossValidated& l) -> metrics::Score {
      if (l.trials.empty()) return {-1, 0};
      return {spread_of(l.trials, &Figures::accuracy).mean, spread_of(l.trials, &Figures::log_loss).mean};
    };
    const auto best = std::max_element(c.folds.begin(), c.folds.end(), [&](const auto& a, const auto& b) {
      if (a.trials.size() != b.trials.size()) return a.trials.size() < b.trials.size();
      return metrics::better(score(b), score(a), metrics::Criterion::Accuracy);
    });
    cv["best"] = best->learner;
  }
  if (!c.curves.empty()) {
    v["shots"]["draws"] = static_cast<std::int64_t>(c.options.draws);
    for (const LearningCurve& l : c.curves) {
      Value points = Value::list();
      for (const CurvePoint& p : l.points) {
        Value point = Value::map();
        point["shots"] = p.shots ? Value(static_cast<std::int64_t>(*p.shots)) : Value("all");
        point["trials"] = static_cast<std::int64_t>(p.trials.size());
        point["accuracy"] = to_value(spread_of(p.trials, &Figures::accuracy));
        point[balanced] = to_value(spread_of(p.trials, &Figures::balanced));
        point["log_loss"] = to_value(spread_of(p.trials, &Figures::log_loss));
        points.push(std::move(point));
      }
      v["shots"]["learners"][l.learner] = std::move(points);
    }
  }
  return v;
}

std::map<std::string, std::string> to_files(const Comparison& c) {
  std::map<std::string, std::string> files;
  const std::string balanced = c.multi_label ? "mean_average_precision" : "balanced_accuracy";
  const auto figures = [](const TrialFigures& t) {
    return fmt::format("{},{},{},{},{},{}\n", t.train, t.val, t.figures.n, t.figures.accuracy,
                       t.figures.balanced, t.figures.log_loss);
  };
  const std::string columns = "train,val,scored,accuracy," + balanced + ",log_loss\n";
  if (!c.folds.empty()) {
    std::string& out = files["folds.csv"] = "learner,repeat,fold," + columns;
    for (const CrossValidated& l : c.folds)
      for (const TrialFigures& t : l.trials)
        out += fmt::format("{},{},{},{}", l.learner, t.repeat + 1, t.fold + 1, figures(t));
  }
  if (!c.curves.empty()) {
    std::string& out = files["shots.csv"] = "learner,shots,draw," + columns;
    for (const LearningCurve& l : c.curves)
      for (const CurvePoint& p : l.points)
        for (const TrialFigures& t : p.trials)
          out += fmt::format("{},{},{},{}", l.learner, shots_name(p.shots), t.repeat + 1, figures(t));
  }
  const auto difference = [&](const char* on, const std::string& learner, std::size_t n,
                              const metrics::Interval& i) {
    std::string& out = files["differences.csv"];
    if (out.empty()) out = "on,learner,against,n,accuracy_difference,low,high\n";
    out += fmt::format("{},{},{},{},{},{},{}\n", on, learner, c.against, n, i.mean, i.low, i.high);
  };
  for (const auto& d : c.test) difference("test", d.learner, d.n, d.accuracy);
  for (const CrossValidated& l : c.folds)
    if (l.difference) difference("folds", l.learner, l.correct.size(), *l.difference);
  return files;
}

}  // namespace graft
