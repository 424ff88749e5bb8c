#include "run/learning.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include <graft/error.h>

#include "run/bundle_file.h"
#include "store/files.h"

namespace graft {
namespace {

using Key = std::pair<std::uint32_t, std::uint32_t>;  // input, view

/// The rows of one split (or two) of every table, cut down to those that all tables have.
std::vector<std::unique_ptr<TableRows>> aligned(const std::vector<Learning::Table>& tables,
                                                const std::function<bool(Split)>& wanted) {
  std::vector<Key> common;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    std::vector<Key> keys;
    for (const TableRow& row : tables[t].table->rows)
      if (wanted(tables[t].listing->inputs[row.input].split)) keys.emplace_back(row.input, row.view);
    if (t == 0) {
      common = std::move(keys);
    } else {
      std::vector<Key> both;
      std::set_intersection(common.begin(), common.end(), keys.begin(), keys.end(), std::back_inserter(both));
      common = std::move(both);
    }
  }
  std::vector<std::unique_ptr<TableRows>> out;
  for (const Learning::Table& t : tables) {
    std::vector<TableRow> rows;
    rows.reserve(common.size());
    auto next = common.begin();
    for (const TableRow& row : t.table->rows) {
      if (next == common.end()) break;
      if (Key(row.input, row.view) != *next) continue;
      rows.push_back(row);
      ++next;
    }
    out.push_back(std::make_unique<TableRows>(*t.table->store, *t.listing, std::move(rows)));
  }
  return out;
}

std::vector<const RowSet*> pointers(const std::vector<std::unique_ptr<TableRows>>& rows) {
  std::vector<const RowSet*> out;
  for (const auto& r : rows) out.push_back(r.get());
  return out;
}

void check_scores(const Scores& scores, std::size_t rows, std::size_t classes, const char* what) {
  if (rows == 0 && scores.rows == 0) return;  // nothing to score, whatever the width
  if (scores.rows != rows || scores.classes != classes || scores.values.size() != rows * classes)
    throw Error(fmt::format("gave {} x {} scores for {}, expected {} x {}", scores.rows, scores.classes, what,
                            rows, classes));
}

}  // namespace

Predictions::Part average_views(const TableRows& rows, const Scores& scores) {
  Predictions::Part part;
  part.scores.classes = scores.classes;
  for (std::size_t r = 0; r < rows.rows();) {
    const std::uint32_t input = rows.input_index(r);
    std::vector<double> sum(scores.classes, 0.0);
    std::size_t n = 0;
    for (; r + n < rows.rows() && rows.input_index(r + n) == input; ++n)
      for (std::size_t c = 0; c < scores.classes; ++c) sum[c] += static_cast<double>(scores.row(r + n)[c]);
    part.keys.emplace_back(rows.key(r));
    const auto labels = rows.labels(r);
    part.labels.emplace_back(labels.begin(), labels.end());
    for (const double s : sum) part.scores.values.push_back(static_cast<float>(s / static_cast<double>(n)));
    ++part.scores.rows;
    r += n;
  }
  return part;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos &&
      (text.empty() || std::string_view("=+-@\t").find(text[0]) == std::string_view::npos))
    return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string predictions_csv(const Predictions& predictions) {
  std::string out = "key,split,label,predicted";
  for (const std::string& name : predictions.classes) out += "," + csv_field(name);
  out += "\n";
  const auto append = [&](const Predictions::Part& part, const char* split) {
    for (std::size_t r = 0; r < part.keys.size(); ++r) {
      const float* scores = part.scores.row(r);
      const auto best =
          static_cast<std::size_t>(std::max_element(scores, scores + part.scores.classes) - scores);
      std::string labels;
      for (const std::int32_t label : part.labels[r])
        labels += (labels.empty() ? "" : ";") + predictions.classes[static_cast<std::size_t>(label)];
      out += fmt::format("{},{},{},{}", csv_field(part.keys[r]), split, csv_field(labels),
                         csv_field(predictions.classes[best]));
      for (std::size_t c = 0; c < part.scores.classes; ++c) out += fmt::format(",{:.9g}", scores[c]);
      out += "\n";
    }
  };
  append(predictions.val, "val");
  append(predictions.test, "test");
  return out;
}

Learning::Learning(const Plan& plan, StageFactory& factory, Workers& workers,
                   std::map<std::size_t, Table> tables, std::filesystem::path out,
                   const std::atomic<bool>& interrupted)
    : plan_(plan),
      factory_(factory),
      workers_(workers),
      tables_(std::move(tables)),
      out_(std::move(out)),
      interrupted_(interrupted) {}

std::vector<LearnerOutcome> Learning::run(const std::function<void(const std::string&)>& started) {
  std::vector<LearnerOutcome> outcomes;
  for (std::size_t i = 0; i < plan_.stages.size() && !interrupted_; ++i) {
    if (plan_.stages[i].schema.kind != StageKind::Learner) continue;
    started(plan_.stages[i].id);
    try {
      outcomes.push_back(fit(i));
    } catch (const std::exception& e) {
      if (interrupted_) break;
      throw Error(fmt::format("{}: {}", plan_.stages[i].label(), e.what()));
    }
  }
  return outcomes;
}

LearnerOutcome Learning::fit(std::size_t stage) {
  const StagePlan& plan = plan_.stages[stage];
  std::vector<Table> tables;
  for (const StagePlan::Input& input : plan.inputs) tables.push_back(tables_.at(input.stage));
  const auto handled = [&](Split s) { return plan.handles(s); };
  const auto train = aligned(tables, [&](Split s) { return s == Split::Train && handled(s); });
  const auto val = aligned(tables, [&](Split s) { return s == Split::Val && handled(s); });
  const auto train_val = aligned(tables, [&](Split s) { return s != Split::Test && handled(s); });
  if (train[0]->rows() == 0)
    throw Error("there are no train rows: every input was rejected, or the source puts none into train");

  const std::filesystem::path work = out_ / "work" / plan.id;
  make_folders(work);
  LearnerInput input{{}, tables[0].listing->classes, workers_, work.string(), interrupted_};
  for (std::size_t t = 0; t < tables.size(); ++t)
    input.tables.push_back(
        {plan_.stages[plan.inputs[t].stage].id, train[t].get(), val[t].get(), train_val[t].get()});

  auto& learner = factory_.get_as<Learner>(stage);
  LearnerOutcome outcome;
  outcome.stage = stage;
  const auto start = std::chrono::steady_clock::now();
  learner.enter_worker();
  LearnerResult result = learner.fit(input);
  if (!result.predictor) throw Error("the learner gave no predictor");
  const std::size_t classes = input.classes.size();
  check_scores(result.val, val[0]->rows(), classes, "val");

  Predictions& p = outcome.predictions;
  p.learner = plan.id;
  p.classes = input.classes;
  p.summary = std::move(result.summary);
  p.val = average_views(*val[0], result.val);
  // The one look at test: after every choice has been made.
  const auto test = aligned(tables, [](Split s) { return s == Split::Test; });
  if (test[0]->rows() > 0) {
    const Scores scores = result.predictor->predict(pointers(test), workers_);
    check_scores(scores, test[0]->rows(), classes, "test");
    p.test = average_views(*test[0], scores);
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  Bundle bundle;
  result.predictor->save(bundle);
  bundle.facts["graft_bundle"] = 1;
  bundle.facts["plugin"] = plan.schema.name;
  bundle.facts["plugin_version"] = plan.schema.version;
  bundle.facts["classes"] = Value::list();
  for (const std::string& name : input.classes) bundle.facts["classes"].push(name);
  bundle.facts["tables"] = Value::list();
  for (const Table& t : tables) bundle.facts["tables"].push(t.table->store->fingerprint().description);
  save_bundle(out_ / "models" / plan.id, bundle);
  make_folders(out_ / "predictions");
  write_file_atomically(out_ / "predictions" / (plan.id + ".csv"), predictions_csv(p));
  std::error_code ignored;
  std::filesystem::remove(work, ignored);  // goes when the learner left nothing in it
  std::filesystem::remove(out_ / "work", ignored);
  return outcome;
}

}  // namespace graft
