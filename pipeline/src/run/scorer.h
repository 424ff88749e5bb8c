#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <graft/learner.h>

#include "config/plan.h"
#include "run/stage_factory.h"
#include "run/trained_model.h"

namespace graft {

/// A training image that is like another one.
struct NearImage {
  std::string key;
  float similarity = 0;  ///< As the learner has it: larger is nearer.
};

/// The most neighbours that are named for an image.
inline constexpr std::size_t kMostNeighbours = 1000;

/// A trained model, loaded: from rows of its tables to the scores of inputs. Of the stages of the plan it
/// makes the learner and the calibrators around it. One thread at a time.
class GRAFT_API Scorer {
 public:
  /// Loads the innermost bundle into its learner, and the corrections around it. All of them must outlive it.
  /// `neighbours`: the most that neighbours() is asked for; the fact of that name tells the learner how many
  /// rows that takes. Throws Error with the stage's label.
  Scorer(const Plan& plan, StageFactory& factory, const TrainedModel& model, std::size_t neighbours);
  ~Scorer();

  std::size_t classes() const { return classes_; }
  /// Index in the plan of the learner below all calibrators: its inputs are the tables.
  std::size_t learner() const { return learner_; }
  const std::vector<StagePlan::Input>& inputs() const { return plan_.stages[learner_].inputs; }

  /// One row of scores per input, in their order: those of its views averaged, then corrected, with the same
  /// bits as in the run. `tables`: a RowSet for each of inputs(), aligned row by row; `input_of`: the input
  /// of each row, rows of one input beside each other. Throws Error with the stage's label.
  Scores score(const std::vector<const RowSet*>& tables, std::span<const std::uint32_t> input_of,
               Parallel& parallel) const;
  bool knows_neighbours() const { return !training_keys_.empty() || !model_.neighbours.empty(); }
  /// Loads what neighbours() looks into: the learner itself, or that of TrainedModel::neighbours. Throws
  /// Error, which names what to do, unless the model knows its training images.
  void load_neighbours();
  /// Training rows that neighbours() looks at for each row, once they are loaded.
  std::size_t rows_asked() const { return rows_asked_; }
  /// The `count` training images that are most like each input, by its first view, best first; no image
  /// twice, and fewer only where the model has no more. Tables and rows as for score().
  std::vector<std::vector<NearImage>> neighbours(const std::vector<const RowSet*>& tables,
                                                 std::span<const std::uint32_t> input_of, std::size_t count,
                                                 Parallel& parallel);

 private:
  std::unique_ptr<Predictor> load_learner(std::size_t stage, const Bundle& bundle);
  void know(std::vector<std::string> keys);
  [[noreturn]] void fail_without_neighbours() const;
  void load(std::size_t stage, const Bundle& bundle);
  void check(std::size_t stage, const Scores& scores, std::size_t rows) const;

  const Plan& plan_;
  StageFactory& factory_;
  const std::size_t classes_;
  const TrainedModel& model_;
  const std::size_t neighbours_;
  std::vector<std::string> training_keys_;
  std::size_t rows_asked_ = 0;
  std::size_t learner_ = 0, comparing_ = 0;  // comparing_: the learner that lists neighbours
  std::unique_ptr<Predictor> predictor_;
  std::unique_ptr<Predictor> comparer_;  // null: predictor_ lists them
  std::vector<std::pair<std::size_t, std::unique_ptr<Calibration>>> calibrations_;  // from the inside out
};

}  // namespace graft
