#include "run/sweep_report.h"

#include <algorithm>

#include <fmt/format.h>
#include <graft/csv.h>
#include <graft/text.h>

#include <graft/printable.h>

#include "run/learning.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestCell = 40;

/// Keys that any combination varies, in the order in which they first come.
std::vector<std::string> varied_keys(const std::vector<SweepRow>& rows) {
  std::vector<std::string> keys;
  for (const SweepRow& row : rows)
    for (const auto& [key, value] : row.run->set)
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  return keys;
}

/// Those of them that are files.
std::vector<std::string> file_keys(const std::vector<SweepRow>& rows) {
  std::vector<std::string> keys;
  for (const SweepRow& row : rows)
    for (const SweepRow::File& file : row.files)
      if (std::find(keys.begin(), keys.end(), file.key) == keys.end()) keys.push_back(file.key);
  return keys;
}

const std::string* value_of(const SweepRow& row, const std::string& key) {
  for (const auto& [k, value] : row.run->set)
    if (k == key) return &value;
  return nullptr;
}

const SweepRow::File* file_of(const SweepRow& row, const std::string& key) {
  for (const SweepRow::File& file : row.files)
    if (file.key == key) return &file;
  return nullptr;
}

/// A file by its name; of what is long, the end.
std::string cell_of(const SweepRow& row, const std::string& key) {
  const std::string* value = value_of(row, key);
  if (value == nullptr) return "-";
  std::string text = file_of(row, key) != nullptr ? fs::path(*value).filename().string() : *value;
  if (text.size() > kLongestCell) text = ".." + text.substr(text.size() - kLongestCell + 2);
  return text.empty() ? "\"\"" : text;
}

/// The scores that any learner has on val, in the order of their declarations.
std::vector<FigureSpec> known_figures(const std::vector<SweepRow>& rows,
                                      const std::vector<FigureSpec>& specs) {
  std::vector<FigureSpec> known;
  for (const FigureSpec& spec : specs)
    if (std::any_of(rows.begin(), rows.end(), [&](const SweepRow& row) {
          return std::any_of(row.learners.begin(), row.learners.end(), [&](const SweepRow::Learner& l) {
            return l.val && l.val->find(spec.name) != nullptr;
          });
        }))
      known.push_back(spec);
  return known;
}

/// Of these, the ones that people see.
std::vector<FigureSpec> summary_of(std::vector<FigureSpec> specs, const std::optional<SweepBest>& best) {
  std::erase_if(specs, [&](const FigureSpec& spec) {
    return !spec.is_in_summary && !(best && best->metric == spec.name);
  });
  return specs;
}

std::string cell_of(const SplitFigures* figures, const FigureSpec& spec) {
  const double* v = figures == nullptr ? nullptr : figures->find(spec.name);
  return v == nullptr ? "-" : fmt::format("{:.4f}", *v);
}

Value to_value(const SplitFigures& f, const std::vector<FigureSpec>& specs) {
  Value v = Value::map();
  v["n"] = f.n;
  for (const FigureSpec& spec : specs)
    if (const double* value = f.find(spec.name)) v[spec.name] = *value;
  return v;
}

std::string in_words(const SplitFigures& f, const std::vector<FigureSpec>& shown) {
  std::string out;
  for (const FigureSpec& spec : shown)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", spec.title(), cell_of(&f, spec));
  return fmt::format("{} on {} rows", out, f.n);
}

}  // namespace

std::string sweep_table(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs,
                        const std::optional<SweepBest>& best, std::size_t columns) {
  const auto keys = varied_keys(rows), files = file_keys(rows);
  std::vector<std::string> head{"run"};
  head.insert(head.end(), keys.begin(), keys.end());
  const std::vector<FigureSpec> shown = summary_of(known_figures(rows, specs), best);
  head.insert(head.end(), {"learner", "val n"});
  for (const FigureSpec& spec : shown) head.push_back((&spec == &shown[0] ? "val " : "") + spec.title());
  head.insert(head.end(), {"seconds", "computed"});
  for (const std::string& key : files) head.push_back(files.size() == 1 ? "MB" : key + " MB");
  std::vector<std::vector<std::string>> lines{head};
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const SweepRow& row = rows[r];
    const auto add = [&](const std::string& learner, std::vector<std::string> cells, bool is_best) {
      std::vector<std::string> line{row.run->id + (is_best ? " *" : "")};
      for (const std::string& key : keys) line.push_back(cell_of(row, key));
      line.push_back(learner);
      line.insert(line.end(), cells.begin(), cells.end());
      for (const std::string& key : files) {
        const SweepRow::File* file = file_of(row, key);
        line.push_back(file == nullptr ? "-" : fmt::format("{:.1f}", static_cast<double>(file->bytes) / 1e6));
      }
      lines.push_back(std::move(line));
    };
    if (!row.error.empty()) add("failed", std::vector<std::string>(shown.size() + 3, "-"), false);
    for (std::size_t l = 0; l < row.learners.size(); ++l) {
      const SweepRow::Learner& learner = row.learners[l];
      const SplitFigures* val = learner.val ? &*learner.val : nullptr;
      std::vector<std::string> cells{val != nullptr ? std::to_string(val->n) : "-"};
      for (const FigureSpec& spec : shown) cells.push_back(cell_of(val, spec));
      cells.push_back(fmt::format("{:.2f}", row.stream_seconds + learner.seconds));
      cells.push_back(std::to_string(row.computed));
      add(learner.id, std::move(cells), best && best->row == r && best->learner == l);
    }
  }
  return text_table(lines, Align::Left, 2, columns);
}

std::string sweep_csv(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs) {
  const std::vector<FigureSpec> known = known_figures(rows, specs);
  const auto keys = varied_keys(rows), files = file_keys(rows);
  std::string out = "run";
  for (const std::string& key : keys) out += "," + csv_field(key);
  out += ",learner,status,val_n";
  for (const FigureSpec& spec : known) out += ",val_" + spec.name;
  out += ",seconds,computed,reused";
  for (const std::string& key : files) out += "," + csv_field(key + ".bytes");
  out += ",error\n";
  for (const SweepRow& row : rows) {
    const char* status = !row.error.empty() ? "failed" : row.exit_code != 0 ? "rejects" : "ok";
    const auto add = [&](const SweepRow::Learner& learner) {
      out += row.run->id;
      for (const std::string& key : keys) {
        const std::string* value = value_of(row, key);
        out += "," + (value == nullptr ? "" : csv_field(*value));
      }
      out += fmt::format(",{},{},{},", learner.id, status, learner.val ? std::to_string(learner.val->n) : "");
      for (const FigureSpec& spec : known) {
        const double* v = learner.val ? learner.val->find(spec.name) : nullptr;
        out += (v == nullptr ? "" : fmt::format("{}", *v)) + ",";
      }
      out += row.error.empty()
                 ? fmt::format("{:.3f},{},{}", row.stream_seconds + learner.seconds, row.computed, row.reused)
                 : ",,";
      for (const std::string& key : files) {
        const SweepRow::File* file = file_of(row, key);
        out += "," + (file == nullptr ? "" : std::to_string(file->bytes));
      }
      out += "," + csv_field(row.error) + "\n";
    };
    if (!row.error.empty()) add({});
    for (const SweepRow::Learner& learner : row.learners) add(learner);
  }
  return out;
}

Value sweep_json(const std::string& name, const std::vector<FigureSpec>& specs,
                 const std::vector<SweepRow>& rows, const std::optional<SweepBest>& best) {
  const auto set_of = [](const SweepRow& row) {
    Value set = Value::map();
    for (const auto& [key, value] : row.run->set) set[key] = value;
    return set;
  };
  Value out = Value::Map{
      {"name", name}, {"metric", best ? Value(best->metric) : Value()}, {"combinations", Value::list()}};
  for (const SweepRow& row : rows) {
    Value c = Value::Map{{"run", row.run->id},
                         {"set", set_of(row)},
                         {"status", !row.error.empty()   ? "failed"
                                    : row.exit_code != 0 ? "rejects"
                                                         : "ok"}};
    if (!row.error.empty()) c["error"] = row.error;
    c["learners"] = Value::map();
    for (const SweepRow::Learner& learner : row.learners) {
      Value& l = c["learners"][learner.id] = Value::map();
      if (learner.val) l["val"] = to_value(*learner.val, specs);
      l["seconds"] = learner.seconds;
    }
    if (row.error.empty()) {
      c["stream_seconds"] = row.stream_seconds;
      c["computed"] = row.computed;
      c["reused"] = row.reused;
    }
    for (const SweepRow::File& file : row.files) c["files"][file.key] = file.bytes;
    out["combinations"].push(std::move(c));
  }
  if (!best) return out;
  const SweepRow& row = rows[best->row];
  Value& b = out["best"] = Value::map();
  b["run"] = row.run->id;
  b["learner"] = row.learners[best->learner].id;
  b["set"] = set_of(row);
  b["val"] = to_value(*row.learners[best->learner].val, specs);
  if (best->test) b["test"] = to_value(*best->test, specs);
  return out;
}

std::string best_in_words(const std::vector<SweepRow>& rows, const std::vector<FigureSpec>& specs,
                          const SweepBest& best, const fs::path& config) {
  const SweepRow& row = rows[best.row];
  const SplitFigures& val = *row.learners[best.learner].val;
  std::vector<FigureSpec> shown = summary_of(specs, best);
  std::erase_if(shown, [&](const FigureSpec& spec) { return val.find(spec.name) == nullptr; });
  std::string name = best.metric;
  std::replace(name.begin(), name.end(), '_', ' ');
  std::string out =
      fmt::format("best by {} on val: {} of run {}", name, row.learners[best.learner].id, row.run->id);
  for (const auto& [key, value] : row.run->set) out += fmt::format(", {}={}", key, value);
  out += fmt::format("\nval      {}\n", in_words(val, shown));
  if (best.test) out += fmt::format("test     {}\n", in_words(*best.test, shown));
  return out + fmt::format("config   {}\n", printable(config.string()));
}

}  // namespace graft
