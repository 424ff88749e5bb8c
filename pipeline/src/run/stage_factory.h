#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/plan.h"
#include "plugin/registry.h"

namespace graft {

/// Makes the stages of a plan, each when it is first needed: a run that finds everything in the store opens
/// neither the model nor LibTorch. Not thread-safe.
class GRAFT_API StageFactory {
 public:
  StageFactory(const Plan& plan, Registry& registry, std::function<void(const std::string&)> warn)
      : plan_(plan), registry_(registry), warn_(std::move(warn)), stages_(plan.stages.size()) {}

  /// Throws Error with the stage's label in front.
  Stage& get(std::size_t index);
  template <typename T>
  T& get_as(std::size_t index) {
    if (T* stage = dynamic_cast<T*>(&get(index))) return *stage;
    throw Error(plan_.stages[index].label() + ": the plugin's class is not of the kind its schema declares");
  }

 private:
  const Plan& plan_;
  Registry& registry_;
  std::function<void(const std::string&)> warn_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace graft
