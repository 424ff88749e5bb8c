#include <metrics/labelled.h>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::metrics {

Labelled labelled(const Predictions& of, const Predictions::Part& part, const char* name) {
  const Scores& scores = part.scores;
  const auto where = [&] { return fmt::format("predictions of '{}' on {}", of.learner, name); };
  if (part.keys.size() != scores.rows || part.labels.size() != scores.rows ||
      (scores.rows > 0 && scores.classes != of.classes.size())) {
    throw Error(fmt::format(
        "{}: {} keys, {} labels and scores of {} rows x {} classes: expected one of each for the {} "
        "classes; the learner returned scores of the wrong shape",
        where(), part.keys.size(), part.labels.size(), scores.rows, scores.classes, of.classes.size()));
  }
  Labelled out;
  out.scores.classes = scores.classes;
  for (std::size_t r = 0; r < scores.rows; ++r) {
    // Where train and val have no negatives, those of test are nothing that a learner could tell.
    if (!part.labelled(r) || (part.labels[r].empty() && !of.multi_label)) continue;
    if (part.labels[r].size() > 1 && !of.multi_label) {
      throw Error(
          fmt::format("{}: item '{}' has {} labels: expected one, as the inputs of train and "
                      "val have; leave one to each, or move some such inputs to train",
                      where(), part.keys[r], part.labels[r].size()));
    }
    for (const std::int32_t label : part.labels[r]) {
      if (label >= 0 && static_cast<std::size_t>(label) < of.classes.size()) continue;
      throw Error(fmt::format("{}: item '{}' has label {}: expected 0 to {}; check the labels of the source",
                              where(), part.keys[r], label,
                              static_cast<std::int64_t>(of.classes.size()) - 1));
    }
    const float* row = scores.row(r);
    out.rows.push_back(r);
    out.labels.push_back(part.labels[r]);
    out.scores.values.insert(out.scores.values.end(), row, row + scores.classes);
  }
  out.scores.rows = out.rows.size();
  if (const auto improper = improper_scores(out.scores, of.multi_label)) {
    out.improper =
        fmt::format("scores of {} of {} inputs are not class probabilities: {}", improper->rows,
                    out.rows.size(), improper->describe(part.keys[out.rows[improper->first]], of.classes));
    out.has_order = improper->has_order;
  }
  return out;
}

}  // namespace graft::metrics
