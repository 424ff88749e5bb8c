#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <graft/learner.h>

#include <metrics/bootstrap.h>
#include "figures.h"

namespace graft {

struct StudyOptions {
  std::size_t folds = 0, repeats = 1;  ///< No folds: no cross-validation.
  /// Inputs of each class; nothing stands for all of them. Empty: no learning curves.
  std::vector<std::optional<std::size_t>> shots;
  std::size_t draws = 1;
  double val_share = 0.2;  ///< Of the train inputs of a trial, to choose on.
  double confidence = 0.95;
  std::size_t resamples = 2000;
  std::uint64_t seed = 0;
  std::function<void(const std::string&)> warn;
};

/// One training on some rows, and what it scored.
struct TrialFigures {
  std::size_t repeat = 0, fold = 0;  ///< Or the draw, and 0.
  std::size_t train = 0, val = 0;
  Figures figures;
  double seconds = 0;
};

/// Of one figure over trials: spread_of(trials, &Figures::accuracy).
Spread spread_of(const std::vector<TrialFigures>& trials, double Figures::*figure);

struct CrossValidated {
  std::string learner;
  std::size_t dealt = 0;                        ///< Inputs in the folds; also of those that failed.
  std::vector<TrialFigures> trials;             ///< Without those that failed.
  std::vector<double> correct;                  ///< Of every input scored, by key: mean over the repeats.
  std::optional<metrics::Interval> difference;  ///< Of accuracy, against the first learner.
};

/// Trials that failed: too few inputs of a class, for example. They are left out of the scores.
class FailedTrials {
 public:
  /// Nothing where the trial failed. Throws Interrupted, and what another trial would meet, too.
  std::optional<Trials::Result> fit(const ReportInput& input, const std::string& learner,
                                    const Trials::Rows& rows, const std::string& trial);
  /// One warning for each reason, with the trials that failed for it.
  void warn(const StudyOptions& options) const;

 private:
  std::map<std::string, std::string> trials_;  // by reason
};

/// Folds are the same for all learners, whose tables may lack an input of the others: those that all have
/// take part. Throws Interrupted.
std::vector<CrossValidated> cross_validate(const ReportInput& input, const StudyOptions& options);

struct CurvePoint {
  std::optional<std::size_t> shots;
  std::vector<TrialFigures> trials;  ///< One for each draw, without those that failed.
};
struct LearningCurve {
  std::string learner;
  std::vector<CurvePoint> points;
};

/// Accuracy on test by the number of labelled inputs of each class, drawn from train and val together; those
/// of fewer are among those of more. The point of all inputs is the run's own. Throws Interrupted,
/// and Error when there is no labelled test input.
std::vector<LearningCurve> learning_curves(const ReportInput& input, const StudyOptions& options);

}  // namespace graft
