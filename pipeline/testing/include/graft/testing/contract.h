#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/payload.h>
#include <graft/testing/stage_harness.h>

namespace graft::testing {

/// What a stage is tried with. What is left out is made to fit the ports that the schema declares.
struct ContractTrial {
  std::string params = "{}";   ///< YAML, as StageHarness takes it.
  std::vector<Payload> items;  ///< Transform, batch transform, collector: inputs, at least two of them.
  /// Learner: shape of a row; with three extents, as {16, 16, 3}, the rows are images of 8-bit pixels.
  Shape row = {8};
  std::size_t classes = 3;   ///< Learner, calibrator, report: classes of the rows.
  bool multi_label = false;  ///< Learner, calibrator, report: several labels per row.
  /// Called before every instance is made: for a stage that uses something up, as the standard input.
  std::function<void()> prepare = {};
};

/// Tries a plugin against the contract that every stage of its kind has to obey, and returns what it breaks,
/// one sentence per line; an empty text when it obeys:
///
///     TEST(Mirror, ObeysTheContract) { EXPECT_EQ(graft::testing::check_contract("mirror"), ""); }
///
/// All kinds: the schema is documented; limits of parameters, and every choice, are accepted or refused with
/// graft::Error; the locale, the working folder and the floating-point mode stay as they are. Equal inputs
/// give equal results: in a second instance, in a second call, in another order, by 1 thread and by 8. Memory
/// does not grow from call to call, and a call of load, apply or encode allocates no more than
/// PluginSchema::working_memory declares, where it does; for that the test program has allocation functions
/// of its own (malloc and its kin), which count.
///
/// Sources list the same entries every time; keys are unique, labels are positions in classes(). Transforms
/// leave their input alone and keep no payload. Batch transforms answer for every item and port, and no item
/// changes another. Collectors fill the whole row and nothing beside it. Learners give one finite score per
/// row and class, depend on the rows of one fit alone, let Interrupted through, and come back from their
/// bundle with the same bits; calibrators likewise. Reports name files inside their folder; one that takes
/// several learners gets two, and may fit them again.
///
/// Takes some seconds at most for a fast stage. Uses up to 8 threads. Throws Error when the plugin cannot be
/// opened or made with `trial.params`.
GRAFT_API std::string check_contract(const std::string& plugin, const ContractTrial& trial = {});

}  // namespace graft::testing
