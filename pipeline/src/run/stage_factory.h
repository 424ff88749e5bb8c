#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/plan.h"
#include "plugin/plugin_call.h"
#include "plugin/registry.h"

namespace graft {

using MakeContext = std::function<StageContext(const std::string& id, const Params& params)>;

/// The service of that name, from those that were made, else made now. Throws Error when it is not installed
/// or is no service.
GRAFT_API Service& open_service(const Registry& registry, std::map<std::string, std::unique_ptr<Stage>>& made,
                                const std::string& plugin, const MakeContext& context);

/// Makes the stages of a plan, each when it is first needed: a run that finds everything in the store opens
/// neither the model nor LibTorch. Not thread-safe.
class GRAFT_API StageFactory {
 public:
  /// `interrupted`: of the run, for calls that wait; it outlives the stages. Null: nothing interrupts them.
  StageFactory(const Plan& plan, Registry& registry, std::function<void(const std::string&)> warn,
               const std::atomic<bool>* interrupted = nullptr);
  /// Destroys the stages, the last made first.
  ~StageFactory();

  /// Throws Error with the stage's label in front.
  Stage& get(std::size_t index);
  /// Another one of the stage, for a second pass over a source. Throws as get() does; ends before this.
  std::unique_ptr<Stage> make(std::size_t index);
  /// Checks a stage that is not made because nothing is to be computed: what its config demands must be there
  /// all the same. Throws Error with the stage's label in front, naming the parameter.
  void inspect(std::size_t index);
  /// What the stages downstream of a source are told before they are made: how many inputs it lists.
  void set_listed_inputs(std::optional<std::size_t> count) { listed_inputs_ = count; }
  /// Called whenever an isolated stage has been made in another process: throws Error where a file that
  /// stages read is another one by now. Any thread.
  void set_file_check(std::function<void()> require_same_files) {
    require_same_files_ = std::move(require_same_files);
  }
  /// The stage where it has been made, or null.
  const Stage* made(std::size_t index) const { return stages_.at(index).get(); }
  /// "stage 'pixels' (decode, configs/a.yaml:8:3)": lives for ever.
  const char* label(std::size_t index) const { return labels_.at(index); }
  /// Tells people something that is not a fault. Any thread.
  void warn(const std::string& text) const { warn_(text); }
  template <typename T>
  T& get_as(std::size_t index) {
    return stage_as<T>(get(index), labels_[index]);
  }

 private:
  StageContext context(const std::string& id, const Params& params);
  Service& service(const std::string& plugin);

  const Plan& plan_;
  Registry& registry_;
  std::function<void(const std::string&)> warn_;
  const std::atomic<bool>* const interrupted_;
  std::optional<std::size_t> listed_inputs_;
  std::function<void()> require_same_files_ = [] {};
  // Services are declared first, so that they outlive the stages that call them.
  std::map<std::string, std::unique_ptr<Stage>> services_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<const char*> labels_;
  std::vector<std::size_t> order_;  // in which stages were made
};

}  // namespace graft
