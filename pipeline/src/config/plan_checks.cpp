// The last steps of make_plan: what can only be seen of the plan as a whole.

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "config/plan_draft.h"

namespace graft {
namespace {

/// A stage whose plugin or `from` could not be resolved may be the consumer that another stage lacks.
bool has_unresolved_stage(const PlanDraft& draft) {
  return std::any_of(draft.stages.begin(), draft.stages.end(),
                     [](const PlanDraft::Stage& d) { return !d.connected || !d.usable; });
}

/// What items of a split are where a stage ends, and the stage that let them pass although it makes another
/// type of the items of its own splits.
struct Passing {
  PortType type;
  std::optional<std::size_t> passed = {};
};

/// Items of other splits pass by a stage unchanged. Where it turns its own into another type, those that come
/// after it get both.
void check_splits(PlanDraft& draft) {
  constexpr std::array kSplits{Split::Train, Split::Val, Split::Test};
  std::vector<std::array<std::optional<Passing>, kSplits.size()>> passing(draft.plan.stages.size());
  std::vector<bool> reported(draft.plan.stages.size());
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    const StagePlan& stage = draft.plan.stages[i];
    if (!draft.stages[i].usable || !stage.is_streamed() || stage.schema.outputs.empty()) continue;
    const PortType given = stage.schema.outputs[0].type;
    for (std::size_t s = 0; s < kSplits.size(); ++s) {
      if (stage.is(StageKind::Source)) passing[i][s] = Passing{given};
      if (stage.inputs.empty()) continue;
      const std::optional<Passing>& before = passing[stage.inputs[0].stage][s];
      if (!before) continue;
      if (!stage.handles(kSplits[s])) {
        passing[i][s] = before->type == given ? *before : Passing{before->type, i};
        continue;
      }
      passing[i][s] = Passing{given};
      if (!before->passed || before->type == stage.schema.inputs[0].type || reported[*before->passed])
        continue;
      reported[*before->passed] = true;
      const StagePlan& maker = draft.plan.stages[*before->passed];
      const YamlNode* splits = draft.stages[*before->passed].node->find("splits");
      draft.error(splits->position,
                  fmt::format("splits: '{}' ({}) lets items of {} pass as {}, but '{}' ({}) takes {}; remove "
                              "splits, or write the same splits at '{}'",
                              maker.id, maker.schema.name, to_string(kSplits[s]), to_string(before->type),
                              stage.id, stage.schema.name, to_string(stage.schema.inputs[0].type), stage.id));
    }
  }
}

}  // namespace

void check_use(PlanDraft& draft) {
  for (std::size_t i = 0; i < draft.plan.stages.size(); ++i) {
    const StagePlan& stage = draft.plan.stages[i];
    if (!draft.stages[i].usable) continue;
    const bool gives_items = stage.is_streamed() && !stage.is(StageKind::Collector);
    if (gives_items && draft.plan.consumers(i).empty() && !has_unresolved_stage(draft))
      draft.error(draft.stages[i].key_position,
                  fmt::format("nothing uses the output of stage '{}' ({}); connect a stage with "
                              "`from: {}`, or remove it",
                              stage.id, stage.schema.name, stage.id));
    for (const auto& input : stage.inputs)
      if (stage.is(StageKind::Learner) &&
          draft.plan.stages[input.stage].source != draft.plan.stages[stage.inputs[0].stage].source)
        draft.error(draft.stages[i].from_position,
                    fmt::format("the tables of learner '{}' come from different sources; their "
                                "rows cannot be aligned",
                                stage.id));
  }
  check_splits(draft);
}

void check_credits(PlanDraft& draft) {
  for (const std::size_t i : draft.plan.stages_of(StageKind::Source)) {
    const std::size_t needed = draft.plan.batch_items(i);
    std::uint64_t item_bytes = 0;
    std::vector<std::string> batches;
    for (const std::size_t member : draft.plan.stream(i)) {
      const StagePlan& s = draft.plan.stages[member];
      if (s.is(StageKind::BatchTransform)) batches.push_back(fmt::format("{}: {}", s.id, declared_batch(s)));
      for (std::size_t port = 0; port < s.schema.outputs.size(); ++port)
        item_bytes = std::max(item_bytes, bytes_of_shape(output_shape(s, port)).value_or(0));
    }
    const YamlNode* run = draft.config.root().find("run");
    const auto at = [&](const char* key) {
      const YamlNode* v = run == nullptr ? nullptr : run->find(key);
      return v == nullptr ? draft.stages[i].key_position : v->position;
    };
    if (needed > 0 && draft.plan.credits(i) <= needed)
      draft.error(at("in_flight"),
                  fmt::format("in_flight: {} items are too few for the batches ({}): they would wait for "
                              "each other forever; use at least {}, or auto",
                              draft.plan.credits(i), fmt::join(batches, ", "), needed + 1));
    if (item_bytes * (needed + 1) > draft.plan.run.memory)
      draft.error(
          at("memory"),
          fmt::format("memory: {} B is too little: {} in flight of up to {} B each must fit; use at least "
                      "{} MiB, or smaller batches",
                      draft.plan.run.memory, needed + 1, item_bytes,
                      (item_bytes * (needed + 1)) / (1 << 20) + 1));
  }
}

}  // namespace graft
