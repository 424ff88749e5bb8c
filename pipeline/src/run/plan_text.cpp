// graft plan: what a run would do, before it does it.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <graft/text.h>

#include <graft/error.h>
#include <graft/printable.h>

#include "base/files.h"
#include "config/inspection.h"
#include "run/runner.h"
#include "run/sample.h"
#include "run/stream_run.h"
#include "run/table_changes.h"
#include "store/input_list.h"
#include "store/table_use.h"

namespace graft {
namespace {

/// "3 changed since they were read (a.jpg, b.jpg, ...)".
void add_kind(const StreamRun::Survey::Kind& kind, const char* what, std::vector<std::string>& out) {
  if (kind.count == 0) return;
  std::string examples;
  for (const std::string& e : kind.examples) examples += (examples.empty() ? "" : ", ") + printable(e);
  out.push_back(fmt::format("{} {} ({}{})", kind.count, what, examples,
                            kind.count > kind.examples.size() ? ", ..." : ""));
}

std::string describe_reuse(const std::string& id, const StreamRun::Survey& s, std::uint64_t rows) {
  std::string out = fmt::format("  {}: {} of {} reused", id, s.stored, rows);
  std::vector<std::string> kinds;
  add_kind(s.changed, "changed since they were read", kinds);
  add_kind(s.unseen, "not read before", kinds);
  add_kind(s.other, "read before, but not in this table", kinds);
  add_kind(s.fresh, "not computed before", kinds);
  if (!kinds.empty()) out += fmt::format("; to compute: {}", fmt::join(kinds, ", "));
  if (s.duplicates > 0)
    out += fmt::format("; {} share a row with an input of the same content", s.duplicates);
  return out + "\n";
}

/// Inputs, not rows, that a run would compute for a table.
std::uint64_t inputs_to_compute(const StreamRun::Survey& s) {
  return s.changed.count + s.unseen.count + s.other.count + s.fresh.count;
}

std::string about(double seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 90) return fmt::format("about {:.0f} s", seconds);
  if (seconds < 90 * 60) return fmt::format("about {:.0f} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("about {:.0f} h", seconds / 3600);
  return fmt::format("about {:.0f} days", seconds / 86400);
}

/// Rows that complete runs of a name have had for a table, by the lists that they left.
class ComputedRows {
 public:
  ComputedRows(const Plan& plan, const RunOptions& options) : plan_(plan), options_(options) {}

  TableUser user(const RunTable& table) const {
    return {plan_.name, plan_.stages[table.stage].id,
            options_.out.empty() ? std::filesystem::path("runs") / plan_.name : options_.out};
  }
  bool operator()(const RunTable& table, const Digest& row) {
    const auto [known, fresh] = rows_.try_emplace(table.stage);
    if (fresh) {
      const TableUser of = user(table);
      for (const TableUse& use : read_uses(table.store->folder()))
        if (use.run == of.run && use.stage == of.stage) add(table.store->folder(), use, known->second);
      if (const auto earlier = earlier_table(options_.store, table.store->fingerprint(), of))
        add(earlier->table, earlier->use, known->second);
    }
    return known->second.contains(row);
  }

 private:
  static void add(const std::filesystem::path& table, const TableUse& use, std::unordered_set<Digest>& rows) {
    try {
      for (const auto& outcome : InputList::read(table / "inputs" / use.list).rows) rows.insert(outcome.id);
    } catch (const Error&) {  // gone or damaged: then nothing is known of them
    }
  }

  const Plan& plan_;
  const RunOptions& options_;
  std::map<std::size_t, std::unordered_set<Digest>> rows_;
};

/// A table: rows, their shape, what they take.
struct TableFacts {
  StreamRun::Survey survey;
  std::uint64_t rows = 0;
  std::string shape;              ///< "f32[512]"
  std::optional<double> seconds;  ///< Of its source's stream, together with other tables.
  double start_seconds = 0;       ///< Of these, before the first input is done.
  std::string time;               ///< In words, or why it is not known.
  std::string new_table;          ///< Why there are no rows yet; empty: there are.
};

/// Everything that a plan tells; text and JSON are made from it.
class PlanFacts {
 public:
  PlanFacts(const Plan& plan, Registry& registry, const RunOptions& options, Sampling sampling)
      : plan_(plan), registry_(registry), options_(options), sampling_(sampling), computed_(plan, options) {
    StageFactory factory(plan, registry, [this](const std::string& text) { warnings_.push_back(text); });
    DigestMemo memo(options.store / "digests.memo");
    Meter meter(plan.stages.size());
    const std::atomic<bool> never{false};
    for (const std::size_t i : plan.stages_of(StageKind::Source)) {
      StreamRun stream(plan, i, options.store, memo, factory, meter, never);
      read(i, stream);
    }
  }

  std::string text() const;
  Value json() const;

 private:
  /// Fewer are computed before anybody has read the plan.
  static constexpr std::uint64_t kWorthASample = 64;

  struct SourceFacts {
    std::size_t stage;
    std::size_t inputs, classes;
    std::map<Split, std::size_t> splits;
  };

  void read(std::size_t source, StreamRun& stream) {
    std::vector<StreamRun::Survey> surveys = stream.survey(std::ref(computed_));
    SourceFacts facts{source, stream.listing().inputs.size(), stream.listing().classes.size(), {}};
    for (const ListedInput& input : stream.listing().inputs) ++facts.splits[input.split];
    sources_.push_back(std::move(facts));

    std::uint64_t inputs = 0;
    for (const StreamRun::Survey& s : surveys) inputs = std::max(inputs, inputs_to_compute(s));
    SpeedSample speed;
    if (sampling_ == Sampling::None)
      speed.why_not = "--no-sample";
    else if (sampling_ == Sampling::Quick && inputs < kWorthASample)
      speed.why_not = "few inputs";
    else if (inputs > 0)
      speed = measure_speed(plan_, source, registry_, sampling_ == Sampling::Thorough);

    for (std::size_t t = 0; t < surveys.size(); ++t) {
      TableFacts table;
      table.survey = std::move(surveys[t]);
      StreamRun::Survey& s = table.survey;
      table.rows = s.stored + s.to_compute + s.duplicates;
      const TableStore& store = *stream.tables()[t].store;
      table.shape = table_shape(plan_, s.stage);
      if (!store.format()) s.row_bytes = bytes_of_shape(table.shape);
      const bool sampled = t < speed.formats.size() && speed.formats[t].has_value();
      if (sampled) s.row_bytes = row_bytes(*speed.formats[t]);
      if (store.format() || sampled)
        table.shape = to_string(store.format() ? *store.format() : *speed.formats[t]);
      if (s.to_compute > 0) {
        table.time = "not measured: " + speed.why_not;
        if (speed.why_not.empty()) {
          table.seconds = speed.estimate(inputs_to_compute(s));
          table.start_seconds = speed.start;
          table.time = fmt::format("{}, measured on {} inputs", about(*table.seconds), speed.inputs);
          if (speed.rejected > 0)
            table.time += fmt::format(" ({} rejected, the first by {})", speed.rejected, speed.first_reject);
        }
        if (store.rows() + store.rejects() == 0)
          table.new_table = why_new(options_.store, store.fingerprint(), computed_.user(stream.tables()[t]))
                                .value_or("no earlier run of this name has used one like it");
      }
      for (const std::string& damage : store.warnings())
        warnings_.push_back(plan_.stages[s.stage].id + ": " + damage);
      tables_.push_back(std::move(table));
    }
    std::uint64_t item = 0;
    for (const StagePlan& s : plan_.stages)
      for (std::size_t port = 0; s.source == source && port < s.schema.outputs.size(); ++port) {
        const auto bytes = bytes_of_shape(output_shape(s, port));
        item = std::max(item, bytes.value_or(0));
        if (!bytes && s.schema.outputs[port].type == PortType::Image) is_lower_bound_ = true;
      }
    in_flight_ = std::max<std::uint64_t>(in_flight_, item * plan_.credits(source));
  }

  const std::string& id(std::size_t stage) const { return plan_.stages[stage].id; }
  std::optional<std::uint64_t> disk() const {
    std::uint64_t sum = 0;
    for (const TableFacts& t : tables_) {
      if (t.survey.to_compute > 0 && !t.survey.row_bytes) return {};
      sum += t.survey.row_bytes.value_or(0) * t.survey.to_compute;
    }
    return sum;
  }
  /// On the disk of the store, or where it will be made; nothing: the system does not report it.
  std::optional<std::uint64_t> free_bytes() const {
    std::error_code error;
    std::filesystem::path folder = std::filesystem::absolute(options_.store, error);
    while (!error && !std::filesystem::exists(folder, error) && folder.has_relative_path())
      folder = folder.parent_path();
    const std::filesystem::space_info space = std::filesystem::space(folder, error);
    return error ? std::nullopt : std::optional<std::uint64_t>(space.available);
  }
  std::string reference(const StagePlan::Input& input) const {
    const StagePlan& from = plan_.stages[input.stage];
    return from.id + (input.port == 0 ? "" : "." + from.schema.outputs[input.port].name);
  }

  std::string stages_text() const;
  std::string tables_text() const;

  const Plan& plan_;
  Registry& registry_;
  const RunOptions& options_;
  const Sampling sampling_;
  ComputedRows computed_;
  std::vector<SourceFacts> sources_;
  std::vector<TableFacts> tables_;
  std::vector<std::string> warnings_;
  std::uint64_t in_flight_ = 0;  ///< Bytes; 0: not known.
  bool is_lower_bound_ = false;  ///< Of in_flight_: the size of some images is not known yet.
};

std::string PlanFacts::stages_text() const {
  std::vector<std::vector<std::string>> rows{{"id", "plugin", "kind", "from", "gives", "shape"}};
  for (const StagePlan& s : plan_.stages) {
    std::string from, gives, shape;
    for (const StagePlan::Input& input : s.inputs) from += (from.empty() ? "" : ", ") + reference(input);
    for (std::size_t port = 0; port < s.schema.outputs.size(); ++port) {
      gives += (gives.empty() ? "" : ", ") + std::string(to_string(s.schema.outputs[port].type));
      shape += (shape.empty() ? "" : ", ") + output_shape(s, port);
    }
    rows.push_back({s.id, s.schema.name + " " + s.schema.version, to_string(s.schema.kind),
                    from.empty() ? "-" : from, gives.empty() ? "files" : gives, shape.empty() ? "-" : shape});
  }
  std::string out = text_table(rows, Align::Left, 2);
  std::vector<std::vector<std::string>> followed{{"parameter", "value", "as in"}};
  for (const StagePlan& s : plan_.stages)
    for (const auto& [parameter, stage] : s.followed)
      followed.push_back({s.id + "." + parameter, s.params.get<std::string>(parameter), stage});
  if (followed.size() > 1) out += "\ntaken from other stages\n" + text_table(followed, Align::Left, 2);
  return out;
}

std::string PlanFacts::tables_text() const {
  std::vector<std::vector<std::string>> rows{
      {"table", "rows", "stored", "to compute", "row", "shape", "disk", "time", "fingerprint"}};
  std::string reuse;
  for (const TableFacts& t : tables_) {
    const StreamRun::Survey& s = t.survey;
    rows.push_back({id(s.stage), std::to_string(t.rows), std::to_string(s.stored),
                    std::to_string(s.to_compute),
                    s.row_bytes ? human_bytes(*s.row_bytes) : "known after the first batch", t.shape,
                    s.row_bytes ? "+" + human_bytes(*s.row_bytes * s.to_compute) : "?",
                    t.time.empty() ? "-" : t.time, s.fingerprint.substr(0, 12)});
    reuse += describe_reuse(id(s.stage), s, t.rows);
    if (!t.new_table.empty())
      reuse += fmt::format("  {}: new table: {}\n", id(s.stage), printable(t.new_table));
  }
  return text_table(rows, Align::Left, 2) + "\nreuse\n" + reuse;
}

std::string PlanFacts::text() const {
  std::string out = fmt::format("plan of '{}' (seed {})\n\nstages\n", plan_.name, plan_.seed) + stages_text();
  std::vector<std::vector<std::string>> inputs;
  for (const SourceFacts& s : sources_) {
    std::vector<std::string> splits;
    for (const auto& [split, n] : s.splits) splits.push_back(fmt::format("{} {}", n, to_string(split)));
    inputs.push_back({id(s.stage), fmt::format("{} inputs", s.inputs), fmt::format("{} classes", s.classes),
                      fmt::format("{}", fmt::join(splits, ", ")),
                      fmt::format("at most {} in flight", plan_.credits(s.stage))});
  }
  out += "\ninputs\n" + text_table(inputs, Align::Left, 2) + "\ntables\n" + tables_text();
  const auto bytes = disk(), free = free_bytes();
  out += fmt::format(
      "\nresources\n  threads {}, items in flight {} of {} allowed, disk {}{} (free: {})\n",
      plan_.run.threads,
      in_flight_ == 0 ? "unknown" : (is_lower_bound_ ? "at least " : "") + human_bytes(in_flight_),
      human_bytes(plan_.run.memory), bytes ? "+" + human_bytes(*bytes) : "unknown until the first batch",
      bytes ? ", twice that while sealing" : "", free ? human_bytes(*free) : "unknown");
  for (const std::string& w : warnings_) out += "warning: " + printable_lines(w, "  ") + "\n";
  return out;
}

Value PlanFacts::json() const {
  const auto number = [](const auto& n) { return n ? Value(*n) : Value(); };
  Value out = Value::Map{{"name", plan_.name}, {"seed", plan_.seed}, {"stages", Value::list()}};
  for (const StagePlan& s : plan_.stages) {
    Value stage = Value::Map{{"id", s.id},
                             {"plugin", s.schema.name},
                             {"version", s.schema.version},
                             {"kind", to_string(s.schema.kind)},
                             {"from", Value::list()}};
    for (const StagePlan::Input& input : s.inputs) stage["from"].push(reference(input));
    stage["outputs"] = Value::list();
    for (std::size_t port = 0; port < s.schema.outputs.size(); ++port) {
      stage["outputs"].push(Value::Map{{"name", s.schema.outputs[port].name},
                                       {"type", to_string(s.schema.outputs[port].type)},
                                       {"shape", output_shape(s, port)}});
    }
    stage["params"] = s.params.value();
    stage["followed"] = Value::map();
    for (const auto& [parameter, from] : s.followed) stage["followed"][parameter] = from;
    out["stages"].push(std::move(stage));
  }
  out["sources"] = Value::list();
  for (const SourceFacts& s : sources_) {
    Value source = Value::Map{{"stage", id(s.stage)},
                              {"inputs", static_cast<std::int64_t>(s.inputs)},
                              {"classes", static_cast<std::int64_t>(s.classes)},
                              {"splits", Value::map()}};
    for (const auto& [split, n] : s.splits) source["splits"][to_string(split)] = static_cast<std::int64_t>(n);
    source["in_flight"] = static_cast<std::int64_t>(plan_.credits(s.stage));
    out["sources"].push(std::move(source));
  }
  out["tables"] = Value::list();
  for (const TableFacts& t : tables_) {
    const StreamRun::Survey& s = t.survey;
    out["tables"].push(Value::Map{{"stage", id(s.stage)},
                                  {"rows", t.rows},
                                  {"stored", s.stored},
                                  {"to_compute", s.to_compute},
                                  {"inputs_to_compute", inputs_to_compute(s)},
                                  {"duplicates", s.duplicates},
                                  {"row_shape", t.shape},
                                  {"row_bytes", number(s.row_bytes)},
                                  {"disk_bytes", s.row_bytes ? Value(*s.row_bytes * s.to_compute) : Value()},
                                  {"seconds", number(t.seconds)},
                                  {"start_seconds", t.seconds ? Value(t.start_seconds) : Value()},
                                  {"time", t.time},
                                  {"new_table", t.new_table},
                                  {"fingerprint", s.fingerprint}});
  }
  Value& resources = out["resources"];
  resources["threads"] = plan_.run.threads;
  resources["in_flight_bytes"] = in_flight_ == 0 ? Value() : Value(in_flight_);
  resources["memory"] = plan_.run.memory;
  resources["disk_bytes"] = number(disk());
  resources["free_bytes"] = number(free_bytes());
  out["warnings"] = Value(Value::List(warnings_.begin(), warnings_.end()));
  return out;
}

}  // namespace

PlanReport describe_plan(const Plan& plan, Registry& registry, const RunOptions& options, Sampling sampling) {
  const PlanFacts facts(plan, registry, options, sampling);
  return {facts.text(), facts.json()};
}

}  // namespace graft
