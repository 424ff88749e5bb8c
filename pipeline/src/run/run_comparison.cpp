#include "run/run_comparison.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <unordered_map>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "run/figures.h"
#include "run/whole_run.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// What a run's predictions say of a test input.
struct Verdict {
  std::string label;
  bool right = false;
};
using Verdicts = std::unordered_map<std::string, Verdict>;

/// The next record of a CSV file (RFC 4180), cut after its first fields.
bool next_record(std::istream& in, std::size_t most, std::vector<std::string>& fields) {
  fields.assign(1, {});
  bool quoted = false, any = false;
  for (int c = in.get(); c != EOF; c = in.get()) {
    any = true;
    if (quoted && c == '"') {
      if (in.peek() != '"') {
        quoted = false;
        continue;
      }
      in.get();
    } else if (!quoted && c == '"') {
      quoted = true;
      continue;
    } else if (!quoted && c == '\n') {
      return true;
    } else if (!quoted && c == ',') {
      fields.emplace_back();
      continue;
    } else if (!quoted && c == '\r') {
      continue;
    }
    if (fields.size() <= most) fields.back() += static_cast<char>(c);
  }
  return any;
}

/// Of predictions/<learner>.csv: key, split, label, predicted, then scores. Inputs without a label are left
/// out.
Verdicts verdicts_of(const fs::path& run, const std::string& learner) {
  const fs::path file = run / "predictions" / (learner + ".csv");
  std::ifstream in(file, std::ios::binary);
  std::vector<std::string> fields;
  constexpr std::size_t kFields = 4;
  if (!in || !next_record(in, kFields, fields) || fields.size() < kFields || fields[0] != "key" ||
      fields[1] != "split" || fields[2] != "label" || fields[3] != "predicted")
    throw Error(fmt::format("{} has no predictions: expected the columns key, split, label and predicted",
                            file.string()));
  Verdicts out;
  while (next_record(in, kFields, fields))
    if (fields.size() >= kFields && fields[1] == "test" && !fields[2].empty())
      out[fields[0]] = {fields[2], fields[2] == fields[3]};
  return out;
}

void pair_up(const LeftRun& first, const LeftRun& second, RunComparison::Other& other) {
  if (first.best.empty() || second.best.empty()) {
    other.not_paired = fmt::format("{} has no learner with scores on val",
                                   (first.best.empty() ? first : second).folder.string());
    return;
  }
  try {
    const Verdicts a = verdicts_of(first.folder, first.best), b = verdicts_of(second.folder, second.best);
    PairedResult paired{first.best, second.best};
    for (const auto& [key, verdict] : a) {
      const auto at = b.find(key);
      if (at == b.end() || at->second.label != verdict.label) continue;
      ++paired.inputs;
      if (verdict.right && at->second.right) ++paired.both_right;
      if (verdict.right && !at->second.right) ++paired.only_first;
      if (!verdict.right && at->second.right) ++paired.only_second;
    }
    if (paired.inputs == 0)
      other.not_paired = "no test input with the same name and label is in both";
    else
      other.paired = std::move(paired);
  } catch (const Error& e) {
    other.not_paired = e.what();
  }
}

/// The scores of the learners of a run that tables have.
void add_learners(const LeftRun& run, std::size_t position, const Registry& registry,
                  std::vector<RunComparison::LearnerScores>& out) {
  const Value results = read_json(run.folder / "results.json");
  const std::vector<FigureSpec> specs = figure_specs(read_run_config(run.folder), registry);
  for (const auto& [learner, parts] : map_at(results, {"learners"}))
    for (const char* split : {"test", "val"}) {
      const Value* part = parts.find(split);
      const auto figures = figures_from(part, specs);
      if (!figures) continue;
      RunComparison::LearnerScores scores{position, learner, {}};
      for (const FigureSpec& spec : specs) {
        const double* value = figures->find(spec.name);
        if (value == nullptr || !spec.is_in_summary) continue;
        scores.scores.push_back({split, spec.title(), *value, interval_from(*part, spec.name)});
      }
      if (scores.scores.empty()) continue;
      out.push_back(std::move(scores));
      break;
    }
}

}  // namespace

double PairedResult::difference() const {
  return (static_cast<double>(only_second) - static_cast<double>(only_first)) / static_cast<double>(inputs);
}

std::pair<double, double> PairedResult::interval() const {
  const double n = static_cast<double>(inputs) + 2, b = static_cast<double>(only_first) + 0.5,
               c = static_cast<double>(only_second) + 0.5;
  const double middle = (c - b) / n, width = 1.959964 * std::sqrt(b + c - (c - b) * (c - b) / n) / n;
  return {std::max(-1.0, middle - width), std::min(1.0, middle + width)};
}

double PairedResult::p_value() const {
  // Of n inputs on which they differ, at most k are one's: twice the tail of the binomial distribution of
  // 1/2.
  const std::uint64_t n = only_first + only_second, k = std::min(only_first, only_second);
  double tail = 0;
  for (std::uint64_t i = 0; i <= k; ++i)
    tail += std::exp(std::lgamma(static_cast<double>(n) + 1) - std::lgamma(static_cast<double>(i) + 1) -
                     std::lgamma(static_cast<double>(n - i) + 1) - static_cast<double>(n) * std::log(2.0));
  return std::min(1.0, 2 * tail);
}

std::string in_words(const PairedResult& paired) {
  const auto [low, high] = paired.interval();
  return fmt::format(
      "On {} that both have scored, {} of the second run is right on {} that {} of the first gets wrong, and "
      "wrong on {} that it gets right: accuracy differs by {:+.4f} (95 %: {:+.4f} to {:+.4f}, p = {:.2g}), "
      "{}.",
      plural(paired.inputs, "test input"), paired.second, paired.only_second, paired.first, paired.only_first,
      paired.difference(), low, high, paired.p_value(),
      paired.p_value() < 0.05 ? "a difference that other inputs would probably show, too"
                              : "and other inputs could turn that around");
}

RunComparison compare_runs(const std::vector<fs::path>& folders, const Registry& registry) {
  return read_whole_runs(folders, [&] {
    RunComparison out;
    for (const fs::path& folder : folders) {
      out.runs.push_back(left_run(folder, registry));
      add_learners(out.runs.back(), out.runs.size() - 1, registry, out.learners);
    }
    for (std::size_t i = 1; i < folders.size(); ++i) {
      RunComparison::Other& other = out.others.emplace_back();
      other.difference = difference_of(folders[0], folders[i], registry);
      pair_up(out.runs[0], out.runs[i], other);
    }
    return out;
  });
}

Value to_value(const RunComparison& comparison) {
  Value out = Value::Map{{"runs", to_value(comparison.runs)}, {"others", Value::list()}};
  for (std::size_t i = 0; i < comparison.others.size(); ++i) {
    const RunComparison::Other& other = comparison.others[i];
    Value v = Value::Map{{"first", comparison.runs[0].folder.string()},
                         {"second", comparison.runs[i + 1].folder.string()},
                         {"difference", to_value(other.difference)}};
    if (other.paired) {
      Value& paired = v["paired"] = Value::map();
      paired["first"] = other.paired->first;
      paired["second"] = other.paired->second;
      paired["inputs"] = Value(other.paired->inputs);
      paired["both_right"] = Value(other.paired->both_right);
      paired["only_first"] = Value(other.paired->only_first);
      paired["only_second"] = Value(other.paired->only_second);
      paired["difference"] = other.paired->difference();
      const auto [low, high] = other.paired->interval();
      paired["interval"] = Value::List{low, high};
      paired["p"] = other.paired->p_value();
    } else {
      v["not_paired"] = other.not_paired;
    }
    out["others"].push(std::move(v));
  }
  return out;
}

std::string to_text(const RunComparison& comparison, std::size_t columns) {
  std::string out = to_text(comparison.runs, columns);
  for (std::size_t i = 0; i < comparison.others.size(); ++i) {
    const RunComparison::Other& other = comparison.others[i];
    out += fmt::format("\n{} -> {}\n{}\n\n{}", comparison.runs[0].folder.string(),
                       comparison.runs[i + 1].folder.string(),
                       other.paired ? in_words(*other.paired) : "Not paired: " + other.not_paired + ".",
                       to_text(other.difference));
  }
  return out;
}

}  // namespace graft
