#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <graft/testing/contract.h>
#include <graft/testing/stage_harness.h>

/// \file
/// The rules of check_contract, a function per kind of stage.

namespace graft::testing {

/// What was found to be wrong, in the order in which it was found.
class Violations {
 public:
  /// A sentence without a full stop.
  void add(const std::string& sentence);
  /// Runs `rule`, and takes an exception for a violation: "`doing` throws ...".
  void attempt(const std::string& doing, const std::function<void()>& rule);
  std::string text() const { return text_; }

 private:
  std::string text_;
};

/// Whether the stage holds more memory after each of many rounds of calls, which `round` makes on this
/// thread. What is kept once, as a cache is, does not count; nor does a stage that warns, as the harness
/// keeps warnings.
bool memory_grows(const StageHarness& stage, const std::function<void()>& round);

/// Measures what `call` allocates, where the schema declares it (PluginSchema::working_memory): it calls
/// `function` of the stage with `input` bytes of payloads and returns the bytes of its result.
void check_memory(const StageHarness& stage, const char* function, std::uint64_t input,
                  const std::function<std::uint64_t()>& call, Violations& out);

/// Makes another instance of the stage: (threads of the run) -> harness.
using MakeStage = std::function<std::unique_ptr<StageHarness>(int threads)>;

/// Whether two payloads are of one kind and shape and hold the same bytes.
bool same_payload(const Payload& a, const Payload& b);
/// Inputs of the port type that the schema declares, drawn from a fixed seed.
std::vector<Payload> trial_items(const PluginSchema& schema);

void check_source(const MakeStage& make, Violations& out);
void check_transform(const MakeStage& make, const ContractTrial& trial, Violations& out);
void check_batch_transform(const MakeStage& make, const ContractTrial& trial, Violations& out);
void check_collector(const MakeStage& make, const ContractTrial& trial, Violations& out);
void check_learner(const MakeStage& make, const ContractTrial& trial, Violations& out);
void check_calibrator(const MakeStage& make, const ContractTrial& trial, Violations& out);
void check_report(const MakeStage& make, const PluginSchema& schema, const ContractTrial& trial,
                  Violations& out);

}  // namespace graft::testing
