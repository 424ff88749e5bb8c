#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/plan.h"
#include "plugin/registry.h"
#include "run/learning.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"
#include "store/listing.h"

namespace graft {

/// inputs.csv, one line per input that was listed: source, key, split, label, status, stage, code, reason,
/// duplicate_of, how many of its views have a row, "3 of 4", in all tables together, and labelled, `yes` or
/// `no`: with an empty label, `yes` for an input that shows none of the classes. The status is `ok`,
/// `rejected`, or `not reached` where the run ended before. Throws Error.
GRAFT_API void write_inputs_csv(const std::filesystem::path& path, const Plan& plan,
                                const std::vector<std::unique_ptr<StreamRun>>& streams);

/// results.json but for the learners' metrics, which reports add under `learners`. Seconds only under
/// `timings`.
Value make_results(const Plan& plan, const std::vector<std::unique_ptr<StreamRun>>& streams);

/// Facts about the run that may differ between machines: versions, plugin files, digests, seeds, thread
/// budget, host, time, and what the stages that ran found out (Stage::facts). For people and for repeating
/// the run.
Value make_manifest(const Plan& plan, const Registry& registry, const std::string& command,
                    const StageFactory& factory, const std::vector<std::unique_ptr<StreamRun>>& streams,
                    const Value& timings, const std::vector<std::string>& warnings);

}  // namespace graft
