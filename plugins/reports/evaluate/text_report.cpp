#include "text_report.h"

#include <fmt/format.h>
#include <graft/text.h>

#include <algorithm>
#include <string_view>

#include <graft/printable.h>

namespace graft {
namespace {

/// A name of the data, shortened.
std::string short_name(const std::string& name) {
  constexpr std::size_t kLongest = 24;
  std::string out = printable(name);
  if (out.size() <= kLongest) return out;
  std::size_t cut = kLongest - 2;
  while (cut > 0 && (out[cut] & 0xC0) == 0x80) --cut;  // not inside a UTF-8 character
  return out.substr(0, cut) + "..";
}

std::string share(double v) {
  return fmt::format("{:.4f}", v);
}

std::string summary_table(const std::vector<LearnerMetrics>& all,
                          std::optional<metrics::Metrics> LearnerMetrics::*part, const char* name,
                          bool with_val) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> head = {name,       "n",        "accuracy", "95 % interval",
                                   "balanced", "macro F1", "log loss", "ECE"};
  if (with_val) head.insert(head.end(), {"val n", "val accuracy"});
  rows.push_back(head);
  for (const LearnerMetrics& l : all) {
    std::vector<std::string> cells = {l.learner};
    if (const auto& m = l.*part) {
      const auto [low, high] = metrics::wilson_interval(m->accuracy, m->n);
      cells.insert(cells.end(),
                   {fmt::format("{}", m->n), share(m->accuracy), fmt::format("{:.3f}-{:.3f}", low, high),
                    share(m->balanced_accuracy), share(m->macro_f1), share(m->log_loss), share(m->ece)});
    } else {
      cells.resize(head.size() - (with_val ? 2 : 0), "-");
    }
    if (with_val) {
      cells.push_back(l.val ? fmt::format("{}", l.val->n) : "-");
      cells.push_back(l.val ? share(l.val->accuracy) : "-");
    }
    rows.push_back(std::move(cells));
  }
  return text_table(std::move(rows), Align::Right);
}

std::string confusion_table(const LearnerMetrics& l, const metrics::Metrics& m, const char* part) {
  std::vector<std::vector<std::string>> rows;
  const std::size_t k = l.classes.size();
  const std::vector<std::size_t> confusion = metrics::dense_confusion(m);
  std::vector<std::string> head = {"true \\ predicted"};
  for (const std::string& c : l.classes) head.push_back(short_name(c));
  head.push_back("recall");
  rows.push_back(std::move(head));
  for (std::size_t t = 0; t < k; ++t) {
    std::vector<std::string> cells = {short_name(l.classes[t])};
    for (std::size_t p = 0; p < k; ++p) cells.push_back(fmt::format("{}", confusion[t * k + p]));
    cells.push_back(m.per_class[t].support > 0 ? fmt::format("{:.3f}", m.per_class[t].recall) : "-");
    rows.push_back(std::move(cells));
  }
  return fmt::format("\n{} on {}\n{}", l.learner, part, text_table(std::move(rows), Align::Right));
}

/// "test" where any learner has labelled test rows, else "val", else nothing.
template <typename Learner>
const char* shown_part(const std::vector<Learner>& all) {
  const auto any = [&](auto part) {
    return std::any_of(all.begin(), all.end(), [part](const Learner& l) { return (l.*part).has_value(); });
  };
  return any(&Learner::test) ? "test" : any(&Learner::val) ? "val" : nullptr;
}

constexpr const char* kNothing = "no labelled val or test rows: nothing to evaluate\n";

}  // namespace

std::string text_report(const std::vector<LearnerMetrics>& all, std::size_t confusion_up_to) {
  const char* part = shown_part(all);
  if (part == nullptr) return kNothing;
  const bool has_val =
      std::any_of(all.begin(), all.end(), [](const LearnerMetrics& l) { return l.val.has_value(); });
  std::string out = part == std::string_view("test")
                        ? summary_table(all, &LearnerMetrics::test, part, has_val)
                        : summary_table(all, &LearnerMetrics::val, part, false);
  for (const LearnerMetrics& l : all) {
    if (l.classes.size() > confusion_up_to) continue;
    if (l.test) {
      out += confusion_table(l, *l.test, "test");
    } else if (l.val) {
      out += confusion_table(l, *l.val, "val");
    }
  }
  return out;
}

std::string text_report(const std::vector<MultiLabelLearner>& all) {
  const char* part = shown_part(all);
  if (part == nullptr) return kNothing;
  const bool test = part == std::string_view("test");
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> head = {part,       "n",        "mAP",     "macro F1",
                                   "micro F1", "accuracy", "Hamming", "log loss"};
  if (test) head.push_back("val mAP");
  rows.push_back(head);
  for (const MultiLabelLearner& l : all) {
    std::vector<std::string> cells = {l.learner};
    if (const auto& m = test ? l.test : l.val) {
      cells.insert(cells.end(),
                   {fmt::format("{}", m->n), share(m->mean_average_precision), share(m->macro_f1),
                    share(m->micro_f1), share(m->accuracy), share(m->hamming_loss), share(m->log_loss)});
    } else {
      cells.resize(8, "-");
    }
    if (test) cells.push_back(l.val ? share(l.val->mean_average_precision) : "-");
    rows.push_back(std::move(cells));
  }
  return text_table(std::move(rows), Align::Right);
}

}  // namespace graft
