#include "text_report.h"

#include <fmt/format.h>
#include <graft/text.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string_view>

#include <graft/printable.h>

#include <metrics/figures.h>

namespace graft {
namespace {

using metrics::LabelMode;
using Part = std::optional<PartReport> LearnerReport::*;
using Table = std::vector<std::vector<std::string>>;

constexpr std::size_t kWorst = 5;  // classes, and pairs of them

/// Of one learner, in the order of the columns. Accuracy has its interval after it.
std::vector<std::string> columns_of(LabelMode mode) {
  if (mode == LabelMode::Multi)
    return {"mean_average_precision", "macro_f1", "micro_f1", "accuracy", "hamming_loss", "log_loss"};
  return {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"};
}

std::string heading_of(const std::string& name) {
  return metrics::metric(name).spec.title();
}

/// A name of the data, shortened.
std::string short_name(const std::string& name) {
  constexpr std::size_t kLongest = 24;
  std::string out = printable(name);
  if (out.size() <= kLongest) return out;
  std::size_t cut = kLongest - 2;
  while (cut > 0 && (out[cut] & 0xC0) == 0x80) --cut;  // not inside a UTF-8 character
  return out.substr(0, cut) + "..";
}

std::string cell_of(const std::optional<PartReport>& part, const std::string& name) {
  const auto value = part ? part->value(name) : std::nullopt;
  return value ? fmt::format("{:.4f}", *value) : "-";
}

std::string summary_table(const std::vector<LearnerReport>& all, LabelMode mode, Part part, const char* name,
                          bool with_val, std::size_t terminal) {
  const bool one_label = mode == LabelMode::Single;
  const std::vector<std::string> columns = columns_of(mode);
  std::vector<std::string> head = {name, "n"};
  for (const std::string& column : columns) {
    head.push_back(heading_of(column));
    if (one_label && column == "accuracy") head.emplace_back("95 % interval");
  }
  if (with_val && one_label) head.emplace_back("val n");
  if (with_val) head.push_back("val " + heading_of(columns[0]));
  Table rows{std::move(head)};
  for (const LearnerReport& l : all) {
    if (l.mode != mode) continue;
    const std::optional<PartReport>& own = l.*part;
    std::vector<std::string> cells = {l.learner, own ? std::to_string(own->n()) : "-"};
    for (const std::string& column : columns) {
      cells.push_back(cell_of(own, column));
      if (!one_label || column != "accuracy") continue;
      const auto accuracy = own ? own->value(column) : std::nullopt;
      const auto interval =
          accuracy ? std::optional(metrics::wilson_interval(*accuracy, own->n())) : std::nullopt;
      cells.push_back(interval ? fmt::format("{:.3f}-{:.3f}", interval->first, interval->second) : "-");
    }
    if (with_val && one_label) cells.push_back(l.val ? std::to_string(l.val->n()) : "-");
    if (with_val) cells.push_back(cell_of(l.val, columns[0]));
    rows.push_back(std::move(cells));
  }
  return text_table(std::move(rows), Align::Right, 0, terminal);
}

std::string confusion_table(const LearnerReport& l, const PartReport& part, const char* name,
                            std::size_t terminal) {
  const std::size_t k = l.classes.size();
  const std::vector<std::size_t> confusion = metrics::dense(part.confusion, k);
  std::vector<std::string> head = {"true \\ predicted"};
  for (const std::string& c : l.classes) head.push_back(short_name(c));
  head.emplace_back("recall");
  Table rows{std::move(head)};
  for (std::size_t t = 0; t < k; ++t) {
    std::vector<std::string> cells = {short_name(l.classes[t])};
    for (std::size_t p = 0; p < k; ++p) cells.push_back(fmt::format("{}", confusion[t * k + p]));
    const metrics::ClassCounts& of = part.per_class[t];
    cells.push_back(of.support > 0 ? fmt::format("{:.3f}", of.recall()) : "-");
    rows.push_back(std::move(cells));
  }
  return fmt::format("\n{} on {}\n{}", l.learner, name,
                     text_table(std::move(rows), Align::Right, 0, terminal));
}

std::string worst_classes(const LearnerReport& l, const PartReport& part, const char* name,
                          std::size_t terminal) {
  std::vector<std::size_t> classes;
  for (std::size_t c = 0; c < part.per_class.size(); ++c)
    if (part.per_class[c].support > 0 && part.per_class[c].f1() < 1) classes.push_back(c);
  std::stable_sort(classes.begin(), classes.end(), [&](std::size_t a, std::size_t b) {
    return part.per_class[a].f1() < part.per_class[b].f1();
  });
  classes.resize(std::min(classes.size(), kWorst));
  if (classes.empty()) return {};
  Table rows{{"", "n", "recall", "precision", "F1"}};
  for (const std::size_t c : classes) {
    const metrics::ClassCounts& of = part.per_class[c];
    rows.push_back({short_name(l.classes[c]), std::to_string(of.support), fmt::format("{:.3f}", of.recall()),
                    fmt::format("{:.3f}", of.precision()), fmt::format("{:.3f}", of.f1())});
  }
  return fmt::format("\n{} on {}: the worst of {} classes\n{}", l.learner, name, l.classes.size(),
                     text_table(std::move(rows), Align::Right, 0, terminal));
}

std::string confused_pairs(const LearnerReport& l, const PartReport& part, const char* name,
                           std::size_t terminal) {
  std::vector<metrics::ConfusionCell> cells = part.confusion;
  std::erase_if(cells, [](const metrics::ConfusionCell& c) { return c.truth == c.predicted; });
  std::stable_sort(cells.begin(), cells.end(), [](const auto& a, const auto& b) { return a.rows > b.rows; });
  cells.resize(std::min(cells.size(), kWorst));
  if (cells.empty()) return {};
  Table rows{{"true", "predicted", "rows", "of the class"}};
  for (const metrics::ConfusionCell& cell : cells)
    rows.push_back({short_name(l.classes[cell.truth]), short_name(l.classes[cell.predicted]),
                    std::to_string(cell.rows),
                    fmt::format("{:.1f} %", 100.0 * static_cast<double>(cell.rows) /
                                                static_cast<double>(part.per_class[cell.truth].support))});
  return fmt::format("\n{} on {}: what it confuses most often\n{}", l.learner, name,
                     text_table(std::move(rows), Align::Right, 0, terminal));
}

std::string report_on(const std::vector<LearnerReport>& all, LabelMode mode, std::size_t confusion_up_to,
                      std::size_t terminal) {
  const auto any = [&](Part part) {
    return std::any_of(all.begin(), all.end(),
                       [&](const LearnerReport& l) { return l.mode == mode && (l.*part).has_value(); });
  };
  const bool test = any(&LearnerReport::test), val = any(&LearnerReport::val);
  if (!test && !val) return "no labelled val or test rows: nothing to evaluate\n";
  std::string out =
      test ? summary_table(all, mode, &LearnerReport::test, "test", val || mode == LabelMode::Multi, terminal)
           : summary_table(all, mode, &LearnerReport::val, "val", false, terminal);
  const auto shown = [](const LearnerReport& l) -> std::pair<const PartReport*, const char*> {
    if (l.test) return {&*l.test, "test"};
    return {l.val ? &*l.val : nullptr, "val"};
  };
  bool many_classes = false;
  for (const LearnerReport& l : all) {
    if (l.mode != mode) continue;
    const auto [part, name] = shown(l);
    if (l.classes.size() > confusion_up_to)
      many_classes = true;
    else if (part != nullptr && mode == LabelMode::Single && !part->per_class.empty())
      out += confusion_table(l, *part, name, terminal);
  }
  if (!many_classes || confusion_up_to == 0) return out;
  const LearnerReport& best = *best_of(all, mode);
  if (const auto [part, name] = shown(best); part != nullptr)
    out += worst_classes(best, *part, name, terminal) + confused_pairs(best, *part, name, terminal);
  return out;
}

}  // namespace

std::optional<double> PartReport::value(const std::string& name) const {
  for (const Figure& figure : figures)
    if (figure.name == name) return figure.value;
  return {};
}

const LearnerReport* best_of(const std::vector<LearnerReport>& all, LabelMode mode) {
  const LearnerReport* best = nullptr;
  const auto score = [&](const LearnerReport& l) {
    const auto of = [&](const char* name, double without) {
      return l.val ? l.val->value(name).value_or(without) : without;
    };
    return metrics::Score{of(mode == LabelMode::Multi ? "mean_average_precision" : "accuracy", 0),
                          of("log_loss", std::numeric_limits<double>::infinity())};
  };
  for (const LearnerReport& l : all) {
    if (l.mode != mode) continue;
    if (best == nullptr ||
        (l.val && (!best->val || metrics::better(score(l), score(*best), metrics::Criterion::Accuracy))))
      best = &l;
  }
  return best;
}

std::string text_report(const std::vector<LearnerReport>& all, std::size_t confusion_up_to,
                        std::size_t terminal) {
  std::string out;
  for (const LabelMode mode : {LabelMode::Single, LabelMode::Multi})
    if (std::any_of(all.begin(), all.end(), [&](const LearnerReport& l) { return l.mode == mode; }))
      out += report_on(all, mode, confusion_up_to, terminal);
  return out;
}

}  // namespace graft
