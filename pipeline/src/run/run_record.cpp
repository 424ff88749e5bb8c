#include "run/run_record.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/value_path.h>

#include "base/files.h"
#include "plugin/plugin_call.h"
#include "run/figures.h"
#include "run/input_reader.h"

namespace graft {
namespace {

/// The stages from a source to the first that gives images, the source left out; nothing where none does
/// before something else is made of them.
std::optional<std::vector<std::size_t>> way_to_images(const Plan& plan, std::size_t collector) {
  std::vector<std::size_t> way;
  for (std::size_t at = collector; !plan.stages[at].inputs.empty(); at = plan.stages[at].inputs[0].stage)
    way.push_back(plan.stages[at].inputs[0].stage);
  std::reverse(way.begin(), way.end());
  std::vector<std::size_t> out;
  for (const std::size_t at : way) {
    const StagePlan& stage = plan.stages[at];
    if (!stage.is(StageKind::Source)) out.push_back(at);
    if (stage.schema.outputs.at(0).type == PortType::Image) return out;
    if (!stage.is(StageKind::Source) && !stage.is(StageKind::Transform)) return {};
  }
  return {};
}

}  // namespace

CurrentRun::CurrentRun(Sources sources) : run_(std::move(sources)), specs_(graft::figure_specs(run_.plan)) {}

std::size_t CurrentRun::table_of(const std::string& learner) const {
  const auto& stages = run_.plan.stages;
  const auto found =
      std::find_if(stages.begin(), stages.end(), [&](const StagePlan& s) { return s.id == learner; });
  if (found == stages.end() || !found->is_fitted()) throw Error(fmt::format("no learner '{}'", learner));
  auto at = static_cast<std::size_t>(found - stages.begin());
  while (stages[at].is_fitted()) at = stages[at].inputs.at(0).stage;
  return at;
}

std::string CurrentRun::best_learner() const {
  std::vector<std::pair<std::string, SplitFigures>> learners;  // in the order of the reports
  for (const Figure& f : run_.figures) {
    if (f.split != Split::Val || !f.value) continue;
    auto at =
        std::find_if(learners.begin(), learners.end(), [&](const auto& l) { return l.first == f.learner; });
    if (at == learners.end()) at = learners.insert(at, {f.learner, {}});
    at->second.n = f.n;
    at->second.values[f.name] = *f.value;
  }
  return best_of_learners(learners, specs_);
}

std::vector<RunRecord::StageRecord> CurrentRun::stages() const {
  std::vector<StageRecord> out;
  const auto seconds_of = [&](const char* group, const std::string& id) {
    return number_at(run_.timings, {group, id}).value_or(0);
  };
  for (std::size_t i = 0; i < run_.plan.stages.size(); ++i) {
    const StagePlan& stage = run_.plan.stages[i];
    StageRecord record;
    record.id = stage.id;
    record.plugin = stage.schema.name;
    record.kind = to_string(stage.schema.kind);
    for (const StagePlan::Input& input : stage.inputs)
      record.inputs.push_back(run_.plan.stages[input.stage].id);
    if (!stage.schema.outputs.empty()) record.shape = output_shape(stage, 0);
    const Meter::Counts counts = run_.meter.counts(i);
    record.items = counts.finished;
    record.rejected = counts.rejected;
    record.busy_seconds = static_cast<double>(counts.busy_ns) * 1e-9;
    record.seconds = seconds_of(stage.is(StageKind::Source) ? "streams"
                                : stage.is_fitted()         ? "learners"
                                                            : "reports",
                                stage.id);
    out.push_back(std::move(record));
  }
  return out;
}

const RowSet* CurrentRun::rows(const std::string& learner) const {
  const std::size_t collector = table_of(learner);
  for (const auto& stream : run_.streams)
    for (const RunTable& table : stream->tables()) {
      if (table.stage != collector || table.rows.empty()) continue;
      auto& slot = rows_[collector];
      if (!slot)
        slot = std::make_unique<TableRows>(*table.store, stream->listing(),
                                           std::vector<TableRow>(table.rows.begin(), table.rows.end()));
      return slot.get();
    }
  return nullptr;
}

void CurrentRun::read_images(std::size_t source_index, const std::vector<std::size_t>& way,
                             const std::set<std::string>& keys, std::map<std::string, Image>& out) {
  const std::unique_ptr<Stage> made = run_.factory.make(source_index);
  auto& source = stage_as<Source>(*made, run_.factory.label(source_index));
  InputReader reader(source);
  call_plugin(run_.factory.label(source_index), "next", [&] {
    source.classes();
    for (;;) {
      auto entry = std::make_shared<InFlightEntry>();
      if (out.size() == keys.size() || !source.next(*entry)) return;
      if (!keys.contains(entry->key)) continue;
      try {
        reader.pass(*entry);
        Payload payload = reader.read(*entry);
        if (const auto* file = std::get_if<FileRef>(&payload)) payload = read_input_file(FileRef(*file));
        for (const std::size_t at : way) {
          if (!run_.plan.stages[at].handles(entry->split)) continue;
          const auto& transform = run_.factory.get_as<Transform>(at);
          payload = transform.apply({entry, 0, std::move(payload)});
        }
        if (const auto* image = std::get_if<Image>(&payload)) out.emplace(entry->key, *image);
      } catch (const std::exception&) {  // a file that is gone, or damaged since: the report does without
      }
    }
  });
}

std::map<std::string, Image> CurrentRun::images(const std::string& learner,
                                                const std::set<std::string>& keys) {
  std::map<std::string, Image> out;
  const std::size_t collector = table_of(learner);
  const auto way = way_to_images(run_.plan, collector);
  if (!way || keys.empty()) return out;
  const std::size_t source_index = run_.plan.stages[collector].source;
  try {
    read_images(source_index, *way, keys, out);
  } catch (const std::exception&) {  // a source that cannot be read twice: the report does without
  }
  return out;
}

}  // namespace graft
