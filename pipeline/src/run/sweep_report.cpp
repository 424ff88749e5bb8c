#include "run/sweep_report.h"

#include <algorithm>

#include <fmt/format.h>
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

std::string share(const std::optional<double>& v) {
  return v ? fmt::format("{:.4f}", *v) : "-";
}

Value to_value(const SweepFigures& f) {
  Value v = Value::map();
  v["n"] = f.n;
  if (f.accuracy) v["accuracy"] = *f.accuracy;
  if (f.balanced_accuracy) v["balanced_accuracy"] = *f.balanced_accuracy;
  if (f.log_loss) v["log_loss"] = *f.log_loss;
  return v;
}

std::string in_words(const SweepFigures& f) {
  return fmt::format("accuracy {}, balanced {}, log loss {} on {} rows", share(f.accuracy),
                     share(f.balanced_accuracy), share(f.log_loss), f.n);
}

}  // namespace

std::string sweep_table(const std::vector<SweepRow>& rows, const std::optional<SweepBest>& best) {
  const auto keys = varied_keys(rows), files = file_keys(rows);
  std::vector<std::string> head{"run"};
  head.insert(head.end(), keys.begin(), keys.end());
  head.insert(head.end(),
              {"learner", "val n", "val accuracy", "balanced", "log loss", "seconds", "computed"});
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
    if (!row.error.empty()) add("failed", std::vector<std::string>(6, "-"), false);
    for (std::size_t l = 0; l < row.learners.size(); ++l) {
      const SweepRow::Learner& learner = row.learners[l];
      const SweepFigures val = learner.val.value_or(SweepFigures());
      add(learner.id,
          {learner.val ? std::to_string(val.n) : "-", share(val.accuracy), share(val.balanced_accuracy),
           share(val.log_loss), fmt::format("{:.2f}", row.stream_seconds + learner.seconds),
           std::to_string(row.computed)},
          best && best->row == r && best->learner == l);
    }
  }
  return text_table(lines, Align::Left, 2);
}

std::string sweep_csv(const std::vector<SweepRow>& rows) {
  const auto keys = varied_keys(rows), files = file_keys(rows);
  std::string out = "run";
  for (const std::string& key : keys) out += "," + csv_field(key);
  out += ",learner,status,val_n,val_accuracy,val_balanced_accuracy,val_log_loss,seconds,computed,reused";
  for (const std::string& key : files) out += "," + csv_field(key + ".bytes");
  out += ",error\n";
  const auto number = [](const std::optional<double>& v) { return v ? fmt::format("{}", *v) : ""; };
  for (const SweepRow& row : rows) {
    const char* status = !row.error.empty() ? "failed" : row.exit_code != 0 ? "rejects" : "ok";
    const auto add = [&](const SweepRow::Learner& learner) {
      out += row.run->id;
      for (const std::string& key : keys) {
        const std::string* value = value_of(row, key);
        out += "," + (value == nullptr ? "" : csv_field(*value));
      }
      const SweepFigures val = learner.val.value_or(SweepFigures());
      out += fmt::format(",{},{},{},{},{},{},", learner.id, status, learner.val ? std::to_string(val.n) : "",
                         number(val.accuracy), number(val.balanced_accuracy), number(val.log_loss));
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

Value sweep_json(const std::string& name, const std::string& metric, const std::vector<SweepRow>& rows,
                 const std::optional<SweepBest>& best) {
  const auto set_of = [](const SweepRow& row) {
    Value set = Value::map();
    for (const auto& [key, value] : row.run->set) set[key] = value;
    return set;
  };
  Value out = Value::map();
  out["name"] = name;
  out["metric"] = metric;
  out["combinations"] = Value::list();
  for (const SweepRow& row : rows) {
    Value c = Value::map();
    c["run"] = row.run->id;
    c["set"] = set_of(row);
    c["status"] = !row.error.empty() ? "failed" : row.exit_code != 0 ? "rejects" : "ok";
    if (!row.error.empty()) c["error"] = row.error;
    c["learners"] = Value::map();
    for (const SweepRow::Learner& learner : row.learners) {
      Value& l = c["learners"][learner.id] = Value::map();
      if (learner.val) l["val"] = to_value(*learner.val);
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
  b["val"] = to_value(*row.learners[best->learner].val);
  if (best->test) b["test"] = to_value(*best->test);
  return out;
}

std::string best_in_words(const std::vector<SweepRow>& rows, const SweepBest& best, const std::string& metric,
                          const fs::path& config) {
  const SweepRow& row = rows[best.row];
  std::string name = metric;
  std::replace(name.begin(), name.end(), '_', ' ');
  std::string out =
      fmt::format("best by {} on val: {} of run {}", name, row.learners[best.learner].id, row.run->id);
  for (const auto& [key, value] : row.run->set) out += fmt::format(", {}={}", key, value);
  out += fmt::format("\nval      {}\n", in_words(*row.learners[best.learner].val));
  if (best.test) out += fmt::format("test     {}\n", in_words(*best.test));
  return out + fmt::format("config   {}\n", printable(config.string()));
}

}  // namespace graft
