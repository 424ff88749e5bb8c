#include "run/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include <graft/value_path.h>

namespace graft {
namespace {

const FigureSpec* spec_of_figure(const std::string& name, const std::vector<FigureSpec>& specs) {
  const auto found =
      std::find_if(specs.begin(), specs.end(), [&](const FigureSpec& s) { return s.name == name; });
  return found == specs.end() ? nullptr : &*found;
}

/// The larger, the better.
double oriented(double value, const FigureSpec& spec) {
  return spec.is_higher_better ? value : -value;
}

std::string fault_of_figure(const Figure& f) {
  if (f.split == Split::Train) return "is of train, which reports do not see";
  if (f.n == 0) return "is of no rows";
  if (f.value.has_value() != f.undefined.empty())
    return f.value ? "has both a value and a reason to have none" : "has neither a value nor a reason";
  if (f.value && !std::isfinite(*f.value)) return fmt::format("is {}: expected a finite value", *f.value);
  if (f.interval && !(std::isfinite(f.interval->first) && std::isfinite(f.interval->second) &&
                      f.interval->first <= f.interval->second))
    return fmt::format("has the interval {} to {}: expected two finite values, the lower first",
                       f.interval->first, f.interval->second);
  return {};
}

}  // namespace

void add_new_figures(const std::vector<FigureSpec>& specs, std::vector<FigureSpec>& to) {
  for (const FigureSpec& spec : specs)
    if (spec_of_figure(spec.name, to) == nullptr) to.push_back(spec);
}

std::vector<FigureSpec> figure_specs(const Plan& plan) {
  std::vector<FigureSpec> specs;
  for (const StagePlan& stage : plan.stages) add_new_figures(stage.schema.figures, specs);
  return specs;
}

std::string fault_of_figures(const std::vector<Figure>& figures, const PluginSchema& schema,
                             const std::vector<std::string>& learners) {
  std::set<std::tuple<std::string, Split, std::string>> seen;
  for (const Figure& f : figures) {
    if (std::find(learners.begin(), learners.end(), f.learner) == learners.end())
      return fmt::format("scores of '{}', which is none of its learners", f.learner);
    const std::string what = fmt::format("a score '{}' of '{}' that ", f.name, f.learner);
    if (spec_of_figure(f.name, schema.figures) == nullptr) return what + "its schema does not declare";
    if (const std::string fault = fault_of_figure(f); !fault.empty()) return what + fault;
    if (!seen.emplace(f.learner, f.split, f.name).second)
      return fmt::format("the score '{}' of '{}' on {} twice", f.name, f.learner, to_string(f.split));
  }
  return {};
}

void add_figures(const std::vector<Figure>& figures, Value& learners) {
  const auto part = [&](const Figure& f) -> Value& { return learners[f.learner][to_string(f.split)]; };
  for (const Figure& f : figures) {
    part(f)["n"] = Value(std::uint64_t{f.n});
    part(f)[f.name] = f.value ? Value(*f.value) : Value();
  }
  for (const Figure& f : figures) {
    if (f.interval) part(f)[f.name + "_interval"] = Value::List{f.interval->first, f.interval->second};
    if (!f.value) part(f)["undefined"][f.name] = f.undefined;
  }
}

const double* SplitFigures::find(const std::string& name) const {
  const auto found = values.find(name);
  return found == values.end() ? nullptr : &found->second;
}

std::optional<SplitFigures> figures_from(const Value* part, const std::vector<FigureSpec>& specs) {
  if (part == nullptr || !part->is_map()) return {};
  SplitFigures out;
  out.n = count_at(*part, {"n"});
  for (const FigureSpec& spec : specs)
    if (const auto v = number_at(*part, {spec.name}); v && std::isfinite(*v)) out.values[spec.name] = *v;
  return out;
}

std::optional<std::pair<double, double>> interval_from(const Value& part, const std::string& figure) {
  const Value::List& ends = list_at(part, {figure + "_interval"});
  const bool is_interval = ends.size() == 2 && ends[0].is_number() && ends[1].is_number();
  return is_interval ? std::optional(std::pair(ends[0].as_double(), ends[1].as_double())) : std::nullopt;
}

const FigureSpec* criterion_of(const SplitFigures& figures, const std::vector<FigureSpec>& specs) {
  for (const FigureSpec& spec : specs)
    if (spec.choice == FigureSpec::Choice::Criterion && figures.find(spec.name) != nullptr) return &spec;
  return nullptr;
}

std::optional<std::pair<double, double>> rank_by(const std::string& metric, const SplitFigures& figures,
                                                 const std::vector<FigureSpec>& specs) {
  const double* value = figures.find(metric);
  const FigureSpec* spec = spec_of_figure(metric, specs);
  if (value == nullptr || spec == nullptr || figures.n == 0) return {};
  double tie = -std::numeric_limits<double>::infinity();  // worse than any that is known
  for (const FigureSpec& other : specs)
    if (const double* v = figures.find(other.name);
        v != nullptr && other.choice == FigureSpec::Choice::TieBreak) {
      tie = oriented(*v, other);
      break;
    }
  return std::pair(oriented(*value, *spec), tie);
}

std::string best_of_learners(const std::vector<std::pair<std::string, SplitFigures>>& learners,
                             const std::vector<FigureSpec>& specs) {
  // Values of different scores cannot be compared: one criterion ranks all learners that have any.
  const auto criterion = std::find_if(specs.begin(), specs.end(), [&](const FigureSpec& spec) {
    if (spec.choice != FigureSpec::Choice::Criterion) return false;
    bool is_had = false;
    for (const auto& [id, figures] : learners) {
      const bool has = figures.find(spec.name) != nullptr;
      if (!has && criterion_of(figures, specs) != nullptr) return false;
      is_had = is_had || has;
    }
    return is_had;
  });
  std::string best;
  if (criterion == specs.end()) return best;
  std::pair<double, double> best_rank;
  for (const auto& [id, figures] : learners) {
    const auto rank = rank_by(criterion->name, figures, specs);
    if (!rank || (!best.empty() && *rank <= best_rank)) continue;
    best = id;
    best_rank = *rank;
  }
  return best;
}

}  // namespace graft
