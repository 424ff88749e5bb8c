#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>
#include <graft/figure.h>
#include <graft/schema.h>
#include <graft/value.h>

#include "config/plan.h"

namespace graft {

/// \file
/// Scores of learners between the reports that give them and what reads them: results.json, the choice of a
/// model, `graft sweep`. Nothing here knows a score by its name.

/// What the reports of a plan declare, each name once, in the order of the reports.
GRAFT_API std::vector<FigureSpec> figure_specs(const Plan& plan);

/// Adds the declarations whose names `to` lacks.
GRAFT_API void add_new_figures(const std::vector<FigureSpec>& specs, std::vector<FigureSpec>& to);

/// What is wrong with figures that a report gave of `learners`, or empty: a name that its schema does not
/// declare, another's learner, a split that is not scored, a value that is not finite, two of one name.
GRAFT_API std::string fault_of_figures(const std::vector<Figure>& figures, const PluginSchema& schema,
                                       const std::vector<std::string>& learners);

/// Into `learners` of results.json: learners.ID.SPLIT has n, the values, the intervals as NAME_interval, and
/// under `undefined` why a value is null.
GRAFT_API void add_figures(const std::vector<Figure>& figures, Value& learners);

/// Scores of one learner on one split, as results.json has them.
struct SplitFigures {
  std::uint64_t n = 0;
  std::map<std::string, double> values;  ///< By name; those that have a finite value.

  const double* find(const std::string& name) const;
};
/// Those of them that are declared; nothing where `part` is no map: null or absent.
GRAFT_API std::optional<SplitFigures> figures_from(const Value* part, const std::vector<FigureSpec>& specs);
/// The interval of a figure in such a map.
GRAFT_API std::optional<std::pair<double, double>> interval_from(const Value& part,
                                                                 const std::string& figure);

/// The first Criterion of the declarations that `figures` have; null where they have none.
GRAFT_API const FigureSpec* criterion_of(const SplitFigures& figures, const std::vector<FigureSpec>& specs);
/// By what learners are compared on val: the larger pair is better. The score `metric`, then the TieBreak.
/// Nothing where they lack the score, or have no rows.
GRAFT_API std::optional<std::pair<double, double>> rank_by(const std::string& metric,
                                                           const SplitFigures& figures,
                                                           const std::vector<FigureSpec>& specs);

/// The first learner that none is better than, each by its Criterion; empty: none has one.
GRAFT_API std::string best_of_learners(const std::vector<std::pair<std::string, SplitFigures>>& learners,
                                       const std::vector<FigureSpec>& specs);

}  // namespace graft
