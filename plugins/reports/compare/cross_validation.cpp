#include <algorithm>
#include <map>
#include <set>

#include <graft/error.h>

#include "resampling.h"
#include "study.h"

namespace graft {
namespace {

/// Keys of the labelled train and val inputs that every learner has, with the stratum of each.
std::map<std::string, std::int32_t> pool_of(const ReportInput& input) {
  std::map<std::string, std::int32_t> pool;
  for (std::size_t l = 0; l < input.predictions.size(); ++l) {
    std::map<std::string, std::int32_t> own;
    for (const Trials::Input& i : input.trials.inputs(input.predictions[l].learner))
      if (i.split != Split::Test && i.labelled() && (l == 0 || pool.contains(i.key)))
        own.emplace(i.key, stratum_of(i));
    pool = std::move(own);
  }
  return pool;
}

/// Fold of every input in the pool, by key.
std::map<std::string, std::size_t> deal(const std::vector<Trials::Input>& inputs,
                                        const std::map<std::string, std::int32_t>& pool,
                                        const StudyOptions& options, std::size_t repeat) {
  std::vector<std::int32_t> labels;
  std::vector<const std::string*> keys;
  for (const Trials::Input& i : inputs) {
    const auto at = pool.find(i.key);
    if (at == pool.end()) continue;
    keys.push_back(&at->first);
    labels.push_back(at->second);
  }
  Random random(options.seed, "folds", static_cast<std::uint32_t>(repeat));
  const std::vector<std::size_t> folds = stratified_folds(
      labels, options.folds, &random, repeat == 0 ? options.warn : [](const std::string&) {});
  std::map<std::string, std::size_t> out;
  for (std::size_t i = 0; i < keys.size(); ++i) out.emplace(*keys[i], folds[i]);
  return out;
}

}  // namespace

std::optional<Trials::Result> FailedTrials::fit(const ReportInput& input, const std::string& learner,
                                                const Trials::Rows& rows, const std::string& trial) {
  input.parallel.check();
  try {
    return input.trials.fit(learner, rows);
  } catch (const FatalError&) {  // a full disk, for example: other trials would fail as well
    throw;
  } catch (const Error& e) {
    input.parallel.check();
    std::string& trials = trials_[e.what()];
    trials += (trials.empty() ? "" : ", ") + trial;
    return {};
  }
}

void FailedTrials::warn(const StudyOptions& options) const {
  for (const auto& [reason, trials] : trials_) options.warn(trials + " failed and is left out: " + reason);
}

std::vector<CrossValidated> cross_validate(const ReportInput& input, const StudyOptions& options) {
  const auto pool = pool_of(input);
  std::vector<std::map<std::string, std::size_t>> dealt;
  const auto& first = input.trials.inputs(input.predictions[0].learner);
  for (std::size_t r = 0; r < options.repeats; ++r) dealt.push_back(deal(first, pool, options, r));

  std::vector<CrossValidated> out;
  for (const Predictions& p : input.predictions) {
    CrossValidated of;
    of.learner = p.learner;
    of.dealt = pool.size();
    const std::vector<Trials::Input>& inputs = input.trials.inputs(p.learner);
    std::map<std::string, double> correct;
    FailedTrials failed;
    for (std::size_t r = 0; r < options.repeats; ++r) {
      const Drawing drawing(inputs, options.seed + r);
      for (std::size_t f = 0; f < options.folds; ++f) {
        std::vector<std::size_t> rest, held_out;
        for (std::size_t i = 0; i < inputs.size(); ++i)
          if (const auto at = dealt[r].find(inputs[i].key); at != dealt[r].end())
            (at->second == f ? held_out : rest).push_back(i);
        Trials::Rows rows = drawing.divide(rest, options.val_share);
        rows.score = std::move(held_out);
        const auto result = failed.fit(input, p.learner, rows,
                                       (options.repeats == 1 ? "" : "repeat " + std::to_string(r + 1) + " ") +
                                           "fold " + std::to_string(f + 1));
        if (!result) continue;
        TrialFigures trial{r,
                           f,
                           rows.train.size(),
                           rows.val.size(),
                           figures(p, result->scores, "a fold that was held out"),
                           result->seconds};
        for (std::size_t i = 0; i < trial.figures.keys.size(); ++i)
          correct[trial.figures.keys[i]] += trial.figures.correct[i] / static_cast<double>(options.repeats);
        of.trials.push_back(std::move(trial));
      }
    }
    failed.warn(options);
    for (const auto& [key, value] : correct) of.correct.push_back(value);
    // Only where both have scored every input as often.
    const std::size_t trials = options.repeats * options.folds;
    if (!out.empty() && of.trials.size() == trials && out[0].trials.size() == trials)
      of.difference = metrics::paired_difference(of.correct, out[0].correct, options.confidence,
                                                 options.resamples, options.seed, input.parallel);
    out.push_back(std::move(of));
  }
  return out;
}

}  // namespace graft
