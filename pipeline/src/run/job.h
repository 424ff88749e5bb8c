#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <graft/value.h>

#include "config/plan.h"
#include "store/digest_memo.h"
#include "store/job_folder.h"

namespace graft {

/// What all workers of a job must agree on: the version of graft, what each source lists (its parameters, and
/// the content of the files that they name), what the rows of each table depend on.
GRAFT_API Value describe_job(const Plan& plan, DigestMemo& memo);

/// What tells two of them apart, in words: "pixels.crop 224 -> 192", "graft 0.1.0 -> 0.2.0".
GRAFT_API std::vector<std::string> job_differences(const Value& then, const Value& now);

/// The job of the plan's name in the store, which this process joins or begins. Throws Error that names what
/// differs where it was begun with other settings and is not merged yet. `enter`: JobFolder::join.
GRAFT_API JobFolder join_job(const Plan& plan, const std::filesystem::path& store, DigestMemo& memo,
                             const std::function<void(const JobFolder&)>& enter = {});

/// As join_job, for a job that begins again with the plan's settings; rows that are stored stay. Throws Error
/// while one of its workers is running.
GRAFT_API JobFolder restart_job(const Plan& plan, const std::filesystem::path& store, DigestMemo& memo);

/// Which workers were to compute these slots, and what became of them: for the error of a merge that lacks
/// their rows. Empty where there is no such job.
GRAFT_API std::string who_had(const std::filesystem::path& store, const std::string& name,
                              const SlotSet& slots);

}  // namespace graft
