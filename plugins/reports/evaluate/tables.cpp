#include "tables.h"

#include <fmt/format.h>

#include <optional>

#include <graft/csv.h>

namespace graft {
namespace {

/// Of more classes, results.json has the cells that have rows: the whole matrix is quadratic in the classes.
constexpr std::size_t kWholeConfusion = 100;

Value number(std::size_t n) {
  return Value(static_cast<std::int64_t>(n));
}

void add_confusion(const std::vector<metrics::ConfusionCell>& cells, std::size_t classes, Value& to) {
  if (classes > kWholeConfusion) {
    Value& pairs = to["confusion_pairs"] = Value::list();
    for (const metrics::ConfusionCell& cell : cells)
      pairs.push(Value::List{number(cell.truth), number(cell.predicted), number(cell.rows)});
    return;
  }
  const std::vector<std::size_t> whole = metrics::dense(cells, classes);
  Value& confusion = to["confusion"] = Value::list();
  for (std::size_t truth = 0; truth < classes; ++truth) {
    Value row = Value::list();
    for (std::size_t p = 0; p < classes; ++p) row.push(number(whole[truth * classes + p]));
    confusion.push(std::move(row));
  }
}

/// What a class or a bin has; nothing where there is nothing to measure it on.
struct Ranked {
  std::optional<double> average_precision, roc_auc;
  Ranked(const PartReport& part, std::size_t c) {
    if (part.per_class[c].support > 0) average_precision = part.rankings[c].average_precision;
    if (part.rankings[c].has_both) roc_auc = part.rankings[c].roc_auc;
  }
};
struct Bin {
  std::optional<double> confidence, accuracy;
  explicit Bin(const metrics::CalibrationBin& bin) {
    if (bin.rows == 0) return;
    confidence = bin.confidence / static_cast<double>(bin.rows);
    accuracy = static_cast<double>(bin.correct) / static_cast<double>(bin.rows);
  }
};

Value or_null(const std::optional<double>& v) {
  return v ? Value(*v) : Value();
}
std::string or_empty(const std::optional<double>& v) {
  return v ? fmt::format("{}", *v) : std::string();
}

void add_part(const LearnerReport& l, const PartReport& part, const char* split,
              std::map<std::string, std::string>& files) {
  const std::string begin = csv_field(l.learner) + "," + split;
  const auto line = [&](const char* file, const char* head, const std::string& rest) {
    std::string& out = files[file];
    if (out.empty()) out = fmt::format("learner,split,{}\n", head);
    out += begin + "," + rest + "\n";
  };
  for (const Figure& f : part.figures)
    line("scores.csv", "score,n,value,low,high,undefined",
         fmt::format("{},{},{},{},{},{}", f.name, f.n, or_empty(f.value),
                     f.interval ? fmt::format("{}", f.interval->first) : "",
                     f.interval ? fmt::format("{}", f.interval->second) : "", csv_field(f.undefined)));
  for (std::size_t c = 0; c < part.per_class.size(); ++c) {
    const metrics::ClassCounts& of = part.per_class[c];
    const Ranked ranked(part, c);
    line("classes.csv", "class,support,predicted,precision,recall,f1,average_precision,roc_auc",
         fmt::format("{},{},{},{},{},{},{},{}", csv_field(l.classes[c]), of.support, of.predicted,
                     of.precision(), of.recall(), of.f1(), or_empty(ranked.average_precision),
                     or_empty(ranked.roc_auc)));
  }
  for (const metrics::ConfusionCell& cell : part.confusion)
    line("confusion.csv", "true,predicted,rows",
         fmt::format("{},{},{}", csv_field(l.classes[cell.truth]), csv_field(l.classes[cell.predicted]),
                     cell.rows));
  const auto bins = static_cast<double>(part.calibration.size());
  for (std::size_t b = 0; b < part.calibration.size(); ++b) {
    const Bin bin(part.calibration[b]);
    line("calibration.csv", "bin_low,bin_high,rows,confidence,accuracy",
         fmt::format("{:.4f},{:.4f},{},{},{}", static_cast<double>(b) / bins,
                     static_cast<double>(b + 1) / bins, part.calibration[b].rows, or_empty(bin.confidence),
                     or_empty(bin.accuracy)));
  }
}

}  // namespace

Value details_of(const PartReport& part, const std::vector<std::string>& classes, metrics::LabelMode mode) {
  Value out = Value::map();
  if (mode == metrics::LabelMode::Single) add_confusion(part.confusion, classes.size(), out);
  Value& per_class = out["per_class"] = Value::list();
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const metrics::ClassCounts& of = part.per_class[c];
    const Ranked ranked(part, c);
    Value k = Value::map();
    k["class"] = classes[c];
    k["support"] = number(of.support);
    k["predicted"] = number(of.predicted);
    k["precision"] = of.precision();
    k["recall"] = of.recall();
    k["f1"] = of.f1();
    k["average_precision"] = or_null(ranked.average_precision);
    k["roc_auc"] = or_null(ranked.roc_auc);
    per_class.push(std::move(k));
  }
  if (part.calibration.empty()) return out;
  Value& calibration = out["calibration"] = Value::list();
  for (const metrics::CalibrationBin& of : part.calibration) {
    const Bin bin(of);
    Value v = Value::map();
    v["rows"] = number(of.rows);
    v["confidence"] = or_null(bin.confidence);
    v["accuracy"] = or_null(bin.accuracy);
    calibration.push(std::move(v));
  }
  return out;
}

Value to_value(const std::vector<PairedReport>& paired) {
  if (paired.empty()) return {};
  Value out = Value::map();
  for (const PairedReport& p : paired) {
    Value& of = out["paired"][p.best][p.other] = Value::map();
    of["n"] = number(p.difference.n);
    of["difference"] = p.difference.accuracy.mean;
    of["interval"] = Value::List{p.difference.accuracy.low, p.difference.accuracy.high};
  }
  return out;
}

std::map<std::string, std::string> csv_files(const std::vector<LearnerReport>& all,
                                             const std::vector<PairedReport>& paired) {
  std::map<std::string, std::string> files;
  for (const LearnerReport& l : all) {
    if (l.val) add_part(l, *l.val, "val", files);
    if (l.test) add_part(l, *l.test, "test", files);
  }
  if (paired.empty()) return files;
  std::string& out = files["paired.csv"] = "learner,against,n,accuracy_difference,low,high\n";
  for (const PairedReport& p : paired)
    out += fmt::format("{},{},{},{},{},{}\n", csv_field(p.best), csv_field(p.other), p.difference.n,
                       p.difference.accuracy.mean, p.difference.accuracy.low, p.difference.accuracy.high);
  return files;
}

}  // namespace graft
