// graft plan: what a run would do, before it does it.

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_set>

#include <fmt/format.h>

#include <graft/error.h>

#include "run/columns.h"
#include "run/runner.h"
#include "run/stream_run.h"
#include "run/table_changes.h"
#include "store/files.h"
#include "store/input_list.h"
#include "store/table_use.h"

namespace graft {
namespace {

std::string counts_by_split(const Listing& listing) {
  std::map<Split, std::size_t> counts;
  for (const ListedInput& input : listing.inputs) ++counts[input.split];
  std::string out;
  for (const auto& [split, n] : counts)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", n, to_string(split));
  return out;
}

/// "3 changed since they were read (a.jpg, b.jpg, ...)".
void add_kind(const StreamRun::Survey::Kind& kind, const char* what, std::vector<std::string>& out) {
  if (kind.count == 0) return;
  out.push_back(fmt::format("{} {} ({}{})", kind.count, what, fmt::join(kind.examples, ", "),
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

/// Rows of a table of texts under their headings, for programs.
void add_rows(const std::vector<std::vector<std::string>>& rows, Value& list) {
  for (std::size_t i = 1; i < rows.size(); ++i) {
    Value row = Value::map();
    for (std::size_t column = 0; column < rows[i].size(); ++column) row[rows[0][column]] = rows[i][column];
    list.push(std::move(row));
  }
}

Value to_value(const StreamRun::Survey& s, const std::string& id, std::uint64_t rows) {
  Value out = Value::map();
  out["table"] = id;
  out["rows"] = Value(rows);
  out["stored"] = Value(s.stored);
  out["to_compute"] = Value(s.to_compute);
  out["row_bytes"] = s.row_bytes ? Value(*s.row_bytes) : Value();
  out["disk_bytes"] = s.row_bytes ? Value(*s.row_bytes * s.to_compute) : Value();
  out["fingerprint"] = s.fingerprint;
  return out;
}

Value to_value(const Listing& listing, const std::string& id) {
  std::map<Split, std::uint64_t> counts;
  for (const ListedInput& input : listing.inputs) ++counts[input.split];
  Value out = Value::map();
  out["source"] = id;
  out["inputs"] = Value(static_cast<std::uint64_t>(listing.inputs.size()));
  out["classes"] = Value(static_cast<std::uint64_t>(listing.classes.size()));
  out["splits"] = Value::map();
  for (const auto& [split, n] : counts) out["splits"][to_string(split)] = Value(n);
  return out;
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

}  // namespace

std::string describe_plan(const Plan& plan, Registry& registry, const RunOptions& options, Value* facts) {
  Value document = Value::map();
  document["name"] = plan.name;
  document["seed"] = Value(plan.seed);
  for (const char* list : {"stages", "taken", "inputs", "tables", "warnings"}) document[list] = Value::list();
  std::string out = fmt::format("plan of '{}' (seed {})\n\nstages\n", plan.name, plan.seed);
  std::vector<std::vector<std::string>> rows{{"id", "plugin", "kind", "from", "gives", "shape"}};
  for (const StagePlan& s : plan.stages) {
    std::string from, gives, shape;
    for (const StagePlan::Input& input : s.inputs) {
      const StagePlan& f = plan.stages[input.stage];
      from += (from.empty() ? "" : ", ") + f.id +
              (input.port == 0 ? "" : "." + f.schema.outputs[input.port].name);
    }
    for (std::size_t port = 0; port < s.schema.outputs.size(); ++port) {
      gives += (gives.empty() ? "" : ", ") + std::string(to_string(s.schema.outputs[port].type));
      shape += (shape.empty() ? "" : ", ") + output_shape(s, port);
    }
    rows.push_back({s.id, s.schema.name + " " + s.schema.version, to_string(s.schema.kind),
                    from.empty() ? "-" : from, gives.empty() ? "files" : gives, shape.empty() ? "-" : shape});
  }
  out += columns(rows);
  add_rows(rows, document["stages"]);

  std::vector<std::vector<std::string>> followed{{"parameter", "value", "as in"}};
  for (const StagePlan& s : plan.stages)
    for (const auto& [parameter, stage] : s.followed)
      followed.push_back({s.id + "." + parameter, s.params.get<std::string>(parameter), stage});
  add_rows(followed, document["taken"]);
  if (followed.size() > 1) out += "\ntaken from other stages\n" + columns(followed);

  std::vector<std::string> warnings;
  StageFactory factory(plan, registry, [&](const std::string& text) { warnings.push_back(text); });
  DigestMemo memo(options.store / "digests.memo");
  Meter meter(plan.stages.size());
  const std::atomic<bool> never{false};
  std::vector<std::vector<std::string>> inputs,
      tables{{"table", "rows", "stored", "to compute", "row", "disk", "fingerprint"}};
  ComputedRows computed(plan, options);
  std::string reuse;
  std::uint64_t disk = 0, in_flight = 0;
  bool disk_known = true;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    if (plan.stages[i].schema.kind != StageKind::Source) continue;
    StreamRun stream(plan, i, options.store, memo, factory, meter, never);
    const std::vector<StreamRun::Survey> surveys = stream.survey(std::ref(computed));
    inputs.push_back({plan.stages[i].id, fmt::format("{} inputs", stream.listing().inputs.size()),
                      fmt::format("{} classes", stream.listing().classes.size()),
                      counts_by_split(stream.listing())});
    document["inputs"].push(to_value(stream.listing(), plan.stages[i].id));
    for (const StreamRun::Survey& s : surveys) {
      const std::uint64_t new_bytes = s.row_bytes.value_or(0) * s.to_compute;
      disk += new_bytes;
      disk_known = disk_known && (s.row_bytes || s.to_compute == 0);
      const std::uint64_t rows = s.stored + s.to_compute + s.duplicates;
      document["tables"].push(to_value(s, plan.stages[s.stage].id, rows));
      reuse += describe_reuse(plan.stages[s.stage].id, s, rows);
      const RunTable& table = stream.tables()[static_cast<std::size_t>(&s - surveys.data())];
      const TableStore& store = *table.store;
      if (store.rows() + store.rejects() == 0 && s.to_compute > 0) {
        const auto why = why_new(options.store, store.fingerprint(), computed.user(table));
        reuse += fmt::format("  {}: new table{}\n", plan.stages[s.stage].id, why ? ": " + *why : "");
      }
      for (const std::string& damage : store.warnings())
        warnings.push_back(plan.stages[s.stage].id + ": " + damage);
      tables.push_back({plan.stages[s.stage].id, std::to_string(rows), std::to_string(s.stored),
                        std::to_string(s.to_compute),
                        s.row_bytes ? human_bytes(*s.row_bytes) : "known after the first batch",
                        s.row_bytes ? "+" + human_bytes(new_bytes) : "?", s.fingerprint.substr(0, 12)});
    }
    std::uint64_t item = 0;
    for (const StagePlan& s : plan.stages)
      for (std::size_t port = 0; s.source == i && port < s.schema.outputs.size(); ++port)
        item = std::max(item, bytes_of_shape(output_shape(s, port)).value_or(0));
    in_flight = std::max<std::uint64_t>(in_flight, item * plan.credits(i));
    inputs.back().push_back(fmt::format("at most {} in flight", plan.credits(i)));
  }
  out += "\ninputs\n" + columns(inputs) + "\ntables\n" + columns(tables) + "\nreuse\n" + reuse;
  out += fmt::format("\nresources\n  threads {}, items in flight {} of {} allowed, disk {}{} (free: {})\n",
                     plan.run.threads, in_flight == 0 ? "unknown" : human_bytes(in_flight),
                     human_bytes(plan.run.memory),
                     disk_known ? "+" + human_bytes(disk) : "unknown until the first batch",
                     disk_known ? ", twice that while sealing" : "",
                     human_bytes(std::filesystem::space(std::filesystem::current_path()).available));
  for (const std::string& w : warnings) {
    out += "warning: " + w + "\n";
    document["warnings"].push(w);
  }
  document["threads"] = plan.run.threads;
  if (facts != nullptr) *facts = std::move(document);
  return out;
}

}  // namespace graft
