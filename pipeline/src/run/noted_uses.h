#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "run/stream_run.h"
#include "store/table_use.h"

namespace graft {

/// The uses of a run's tables: which inputs it has had in each and what became of every view. They are noted
/// before the run is at its place, so that no kill leaves a complete run whose tables nobody seems to use;
/// those of an earlier run of the place stay beside them until then. What is not confirmed is taken back.
class GRAFT_API NotedUses {
 public:
  /// `warn`: rows are what counts, so that a use that cannot be noted is no error.
  explicit NotedUses(std::function<void(const std::string&)> warn) : warn_(std::move(warn)) {}
  ~NotedUses();
  NotedUses(const NotedUses&) = delete;
  NotedUses& operator=(const NotedUses&) = delete;

  /// `place`: where the run is when it is complete. `attempt`: of the run.
  void note(const Plan& plan, const StreamRun& stream, const std::filesystem::path& place,
            const std::string& attempt);
  /// The run is at its place, where no other one can be completed now: its uses replace those of earlier runs
  /// of the place.
  void confirm();

 private:
  struct Noted {
    std::filesystem::path table, file;
    TableUse use;
  };
  void warn_of(const std::exception& e) const;

  std::function<void(const std::string&)> warn_;
  std::vector<Noted> noted_;  // and not confirmed
};

}  // namespace graft
