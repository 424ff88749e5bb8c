#include "run/job.h"

#include <set>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/version.h>

#include "run/table_changes.h"
#include "run/work_division.h"
#include "store/fingerprint.h"

namespace graft {
namespace {

constexpr std::size_t kMaxNamed = 4;

const Value& part(const Value& description, const char* key) {
  static const Value kNone = Value::map();
  const Value* found = description.find(key);
  return found != nullptr && found->is_map() ? *found : kNone;
}

std::vector<std::string> ids_of(const Value& description) {
  std::vector<std::string> out;
  if (const Value* ids = description.find("ids"); ids != nullptr && ids->is_list())
    for (const Value& id : ids->as_list()) out.push_back(id.as_string());
  return out;
}

}  // namespace

Value describe_job(const Plan& plan, DigestMemo& memo) {
  Value out = Value::Map{{"graft", GRAFT_VERSION},
                         {"name", plan.name},
                         {"seed", Value(plan.seed)},
                         {"sources", Value::map()},
                         {"tables", Value::map()}};
  for (const std::size_t i : plan.stages_of(StageKind::Source)) {
    const StagePlan& source = plan.stages[i];
    Value stage = Value::Map{{"plugin", source.schema.name},
                             {"version", source.schema.version},
                             {"with", parameters_by_content(source, memo)}};
    Value& described = out["sources"][source.id];
    described["stages"] = Value::list();
    described["stages"].push(std::move(stage));
    described["ids"] = Value::list();
    described["ids"].push(source.id);
    for (const std::size_t t : plan.collectors(i)) {
      const Fingerprint made_by = fingerprint(plan, t, memo);
      Value& table = out["tables"][plan.stages[t].id];
      table = made_by.description;
      table["ids"] = Value::List(made_by.stage_ids.begin(), made_by.stage_ids.end());
    }
  }
  return out;
}

std::vector<std::string> job_differences(const Value& then, const Value& now) {
  std::vector<std::string> out;
  const auto add = [&](std::string text) {
    if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
  };
  for (const char* key : {"graft", "seed"}) {
    const auto word = [&](const Value& v) {
      const Value* found = v.find(key);
      return found == nullptr     ? std::string("none")
             : found->is_string() ? found->as_string()
                                  : found->to_json();
    };
    if (word(then) != word(now)) add(fmt::format("{} {} -> {}", key, word(then), word(now)));
  }
  for (const char* kind : {"sources", "tables"}) {
    const Value &a = part(then, kind), &b = part(now, kind);
    for (const auto& [id, value] : a.as_map())
      if (b.find(id) == nullptr) add(fmt::format("stage '{}' was removed", id));
    for (const auto& [id, value] : b.as_map()) {
      const Value* before = a.find(id);
      if (before == nullptr) {
        add(fmt::format("stage '{}' was added", id));
        continue;
      }
      for (std::string& text : differences(*before, value, ids_of(value))) add(std::move(text));
    }
  }
  return out;
}

JobFolder join_job(const Plan& plan, const std::filesystem::path& store, DigestMemo& memo,
                   const std::function<void(const JobFolder&)>& enter) {
  JobFolder job(store, plan.name);
  const Value description = describe_job(plan, memo);
  const auto enter_this = [&] {
    if (enter) enter(job);
  };
  if (job.join(description, enter_this)) return job;
  std::vector<std::string> found = job_differences(job.description(), description);
  if (found.empty()) found.push_back("the order or the names of its stages");
  throw Error(fmt::format(
      "the job '{}' in {} was begun with other settings: {}; run its shards with the settings that it was "
      "begun with, give the config another name, or begin the job again: graft launch --restart (rows that "
      "are stored stay)",
      plan.name, job.path().string(), joined(found, kMaxNamed)));
}

JobFolder restart_job(const Plan& plan, const std::filesystem::path& store, DigestMemo& memo) {
  JobFolder job(store, plan.name);
  job.restart(describe_job(plan, memo));
  return job;
}

std::string who_had(const std::filesystem::path& store, const std::string& name, const SlotSet& slots) {
  const JobFolder job(store, name);
  if (!job.exists()) return {};
  SlotOwners owners;
  owners.update(job);
  const auto workers = job.workers();
  std::vector<std::string> out;
  std::set<std::string> seen;
  bool nobody = false;
  for (std::size_t slot = slots._Find_first(); slot < kSlots; slot = slots._Find_next(slot)) {
    const std::string& owner = owners.owner(slot);
    const auto worker = workers.find(owner);
    if (worker == workers.end()) {
      nobody = true;
      continue;
    }
    if (!seen.insert(owner).second) continue;
    const WorkerRecord& w = worker->second;
    const std::string end = w.alive                ? "is still working"
                            : w.state == "running" ? "was killed"
                            : w.state == "failed"  ? "failed: " + shortened(w.error)
                            : w.state == "done"    ? "had finished before they were listed"
                                                   : "was interrupted";
    out.push_back(fmt::format("the worker of shard {} on {} {}", w.shard.text(), w.host, end));
  }
  if (nobody) out.push_back("some were in no shard that was started");
  return joined(out);
}

}  // namespace graft
