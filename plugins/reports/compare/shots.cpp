#include <algorithm>
#include <map>

#include <graft/error.h>

#include "resampling.h"
#include "study.h"

namespace graft {
namespace {

/// Classes that have fewer inputs than asked for, in a warning.
void warn_few_inputs(const std::vector<Trials::Input>& inputs, const std::vector<std::size_t>& pool,
                     std::size_t shots, const Predictions& p, const StudyOptions& options) {
  std::map<std::int32_t, std::size_t> count;
  for (const std::size_t i : pool) ++count[stratum_of(inputs[i])];
  std::string few;
  for (const auto& [label, n] : count)
    if (n < shots)
      few += (few.empty() ? "" : ", ") +
             (label < 0 ? "none of the classes" : p.classes[static_cast<std::size_t>(label)]) + " has " +
             std::to_string(n);
  if (!few.empty())
    options.warn("shots: " + std::to_string(shots) + " inputs of each class are wanted, " + few +
                 ": all of them are taken");
}

}  // namespace

std::vector<LearningCurve> learning_curves(const ReportInput& input, const StudyOptions& options) {
  std::vector<LearningCurve> out;
  for (const Predictions& p : input.predictions) {
    const std::vector<Trials::Input>& inputs = input.trials.inputs(p.learner);
    std::vector<std::size_t> pool, test;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].labelled()) (inputs[i].split == Split::Test ? test : pool).push_back(i);
    if (test.empty())
      throw Error(
          "shots: learning curves are of test, which has no labelled input; give the source a test split");
    LearningCurve curve{p.learner, {}};
    for (const auto& shots : options.shots) {
      CurvePoint point{shots, {}};
      if (!shots) {
        const auto trained = static_cast<std::size_t>(std::count_if(
            pool.begin(), pool.end(), [&](std::size_t i) { return inputs[i].split == Split::Train; }));
        point.trials.push_back({0, 0, trained, pool.size() - trained, figures(p, p.test, "test"), 0});
      } else {
        warn_few_inputs(inputs, pool, *shots, p, options);
      }
      FailedTrials failed;
      for (std::size_t d = 0; shots && d < options.draws; ++d) {
        const Drawing drawing(inputs, options.seed + d);
        Trials::Rows rows = drawing.divide(drawing.take(pool, *shots), options.val_share);
        rows.score = test;
        const auto result = failed.fit(
            input, p.learner, rows,
            "draw " + std::to_string(d + 1) + " of " + std::to_string(*shots) + " inputs of each class");
        if (!result) continue;
        point.trials.push_back(
            {d, 0, rows.train.size(), rows.val.size(), figures(p, result->scores, "test"), result->seconds});
      }
      failed.warn(options);
      curve.points.push_back(std::move(point));
    }
    out.push_back(std::move(curve));
  }
  return out;
}

}  // namespace graft
