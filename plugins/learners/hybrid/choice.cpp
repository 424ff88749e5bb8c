#include "choice.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <embedding/fits.h>
#include <learning/selection.h>
#include <linear/softmax_regression.h>

namespace graft {
namespace {

metrics::Score measured(const Scores& scores, const std::vector<std::int32_t>& labels) {
  metrics::ScoreSum sum;
  for (std::size_t r = 0; r < labels.size(); ++r)
    sum.add({scores.row(r), scores.classes}, {&labels[r], 1}, metrics::LabelMode::Single);
  return sum.mean();
}

/// Heads for every c, warm-started along the list, on rows in memory.
class Heads {
 public:
  Heads(const LabelledRows& train, std::size_t classes, Parallel& parallel)
      : memory_(train.values, train.dim, train.labels),
        rows_(memory_, classes, std::numeric_limits<std::size_t>::max(), parallel),
        regression_(rows_, classes, parallel, {kTolerance, kMaxIterations}),
        solution_(regression_.size()) {}

  linear::LinearModel fit(double c) {
    regression_.fit(c, solution_);
    return regression_.model(solution_, {});
  }

 private:
  static constexpr double kTolerance = 1e-5;
  static constexpr int kMaxIterations = 500;
  MemoryRows memory_;
  learning::FeatureRows rows_;
  linear::SoftmaxRegression regression_;
  std::vector<double> solution_;
};

/// The neighbours in one form, for train and val.
struct Near {
  explicit Near(const Prepared& p, std::size_t k, Parallel& parallel)
      : index(p.train.values, p.train.dim, search::Metric::kCosine),
        train(neighbours_of_own_rows(index, p.provenance, k, parallel)),
        val(neighbours_of(index, p.val.values, k, parallel)) {}
  search::ExactIndex index;
  Neighbourhood train, val;
};

LabelledRows merged(const LabelledRows& own, const search::ExactIndex& index,
                    const Neighbourhood& neighbourhood, const std::vector<std::int32_t>& labels,
                    std::size_t classes, const Pooling& pooling, Parallel& parallel) {
  return {merged_features(own.values, mean_features(neighbourhood, index, pooling, parallel),
                          votes(neighbourhood, labels, classes, pooling, parallel), own.rows()),
          2 * own.dim + classes, own.labels};
}

/// A candidate, for the summary.
Value describe(const Form& form, const Settings& settings, double c) {
  using enum Combination;
  Value v = describe(form);
  v["takes"] = combination_names()[static_cast<std::size_t>(settings.combination)];
  if (settings.combination != Head) v["n"] = static_cast<std::int64_t>(settings.pooling.n);
  if (settings.combination == Mix || settings.combination == Cache) v["alpha"] = settings.alpha;
  if (settings.combination == Cache) v["beta"] = settings.beta;
  if (settings.combination != Votes) v["c"] = c;
  return v;
}

/// The head on the representation that is best on val.
struct BestHead {
  double c = 0;
  std::vector<float> scores;  ///< Of val.
  metrics::Score score;
};

BestHead best_head(const LabelledRows& train, const LabelledRows& val, const std::vector<double>& cs,
                   std::size_t classes, Parallel& parallel) {
  Heads heads(train, classes, parallel);
  std::optional<BestHead> best;
  for (const double c : cs) {
    Scores scores(val.rows(), classes);
    scores.values = head_scores(heads.fit(c), val.values, parallel);
    const metrics::Score score = measured(scores, val.labels);
    if (!best || metrics::better(score, best->score, metrics::Criterion::Accuracy))
      best = BestHead{c, std::move(scores.values), score};
  }
  return std::move(*best);
}

std::vector<float> represented(const learning::FeatureRows& rows, const Representation& representation,
                               Parallel& parallel) {
  std::vector<float> out(rows.rows() * representation.dims());
  parallel.for_each(rows.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    representation.apply(rows.count(b), rows.block(b, scratch),
                         out.data() + rows.begin(b) * representation.dims());
  });
  return out;
}

template <typename T>
const T& middle(const std::vector<T>& list) {
  return list[(list.size() - 1) / 2];
}

/// What each part is worth by itself, on val, at the chosen m, n and temperature.
Value ablation(const HybridOptions& options, const Prepared& p, const Chosen& chosen, std::size_t classes,
               Parallel& parallel) {
  const Near near(p, chosen.settings.pooling.n, parallel);
  Value table = Value::list();
  const auto add = [&](const char* part, const metrics::Score& score) {
    table.push(
        Value::Map{{"part", part}, {"val_accuracy", score.accuracy}, {"val_log_loss", score.log_loss}});
  };
  const auto head_on = [&](const LabelledRows& train, const LabelledRows& val) {
    return best_head(train, val, options.c, classes, parallel).score;
  };
  const Pooling& pooling = chosen.settings.pooling;
  const auto means = [&](const LabelledRows& own, const Neighbourhood& of) {
    return LabelledRows{mean_features(of, near.index, pooling, parallel), own.dim, own.labels};
  };
  Scores voted(p.val.rows(), classes);
  voted.values = votes(near.val, p.train.labels, classes, pooling, parallel);
  add("head: the row's own representation", head_on(p.train, p.val));
  add("neighbours: the mean of their representations",
      head_on(means(p.train, near.train), means(p.val, near.val)));
  add("votes: the neighbours' labels", measured(voted, p.val.labels));
  add("concat: all three in one head",
      head_on(merged(p.train, near.index, near.train, p.train.labels, classes, pooling, parallel),
              merged(p.val, near.index, near.val, p.train.labels, classes, pooling, parallel)));
  add("hybrid: what was chosen", chosen.score);
  return table;
}

}  // namespace

embedding::Embedding fit_directions(const HybridOptions& options, const Form& form,
                                    const learning::FeatureRows& train, std::size_t classes,
                                    Parallel& parallel) {
  if (!form.m) {
    std::vector<std::int32_t> all(train.dim());
    std::iota(all.begin(), all.end(), 0);
    return embedding::Embedding::choice("all", train.dim(), std::move(all));
  }
  using Directions = HybridOptions::Directions;
  if (options.directions == Directions::Svd)
    return embedding::fit_pca(train, {*form.m, {}, false}, options.warn, parallel);
  return embedding::select_features(
      train, classes,
      options.directions == Directions::Fisher ? embedding::SelectBy::Fisher : embedding::SelectBy::Variance,
      *form.m, options.warn, parallel);
}

Value describe(const Form& form) {
  return Value::Map{{"m", form.m ? Value(static_cast<std::int64_t>(*form.m)) : Value("all")},
                    {"hidden", static_cast<std::int64_t>(form.units)}};
}

Representation Prepared::representation() const {
  return {directions, hidden ? std::optional(hidden->network) : std::nullopt};
}

Prepared prepare(const HybridOptions& options, const Form& form, embedding::Embedding directions,
                 const learning::FeatureRows& train, const search::Provenance& provenance,
                 const learning::FeatureRows& val, std::size_t classes, std::optional<std::size_t> epochs,
                 Parallel& parallel) {
  Prepared p{std::move(directions), {}, {{}, 0, train.labels()}, {{}, 0, val.labels()}, provenance};
  if (form.units > 0) {
    HiddenOptions hidden = options.hidden;
    hidden.units = form.units;
    const std::size_t inputs = p.directions.dims();
    const LabelledRows x{hidden_inputs(train, p.directions, parallel), inputs, train.labels()};
    LabelledRows looked_at{{}, inputs, {}};
    if (epochs) {
      hidden.stop_after = epochs;
    } else {
      looked_at = {hidden_inputs(val, p.directions, parallel), inputs, val.labels()};
    }
    p.hidden = train_hidden(hidden, x, looked_at, classes, parallel);
  }
  const Representation representation = p.representation();
  p.train.dim = p.val.dim = representation.dims();
  p.train.values = represented(train, representation, parallel);
  p.val.values = represented(val, representation, parallel);
  return p;
}

Chosen choose(const HybridOptions& options, const std::vector<Prepared>& prepared, std::size_t classes,
              Parallel& parallel, Value& summary) {
  const std::vector<std::int32_t>& labels = prepared[0].val.labels;
  if (labels.empty()) {
    Chosen given;
    given.settings = {options.combination,
                      {middle(options.n), middle(options.temperatures)},
                      options.alphas.empty() ? 0 : middle(options.alphas),
                      options.betas.empty() ? 0 : middle(options.betas)};
    given.c = middle(options.c);
    return given;
  }
  const std::size_t most = *std::max_element(options.n.begin(), options.n.end());
  learning::CandidateSelection selection(metrics::Criterion::Accuracy);
  Chosen best;
  const auto try_on_val = [&](const Settings& settings, double c, std::size_t form, const Scores& scores) {
    if (selection.add(describe(options.forms[form], settings, c), measured(scores, labels)))
      best = {settings, c, form, selection.best_score()};
  };
  for (std::size_t form = 0; form < prepared.size(); ++form) {
    const Prepared& p = prepared[form];
    const Near near(p, most, parallel);
    const BestHead head = best_head(p.train, p.val, options.c, classes, parallel);
    Ingredients parts;
    parts.head = head.scores;
    try_on_val({Combination::Head, {}, 0, 0}, head.c, form,
               combine({Combination::Head, {}, 0, 0}, parts, labels.size(), classes));
    for (const std::size_t n : options.n)
      for (const double temperature : options.temperatures) {
        const Pooling pooling{n, temperature};
        parts.votes = votes(near.val, p.train.labels, classes, pooling, parallel);
        const Settings alone{Combination::Votes, pooling, 0, 0};
        try_on_val(alone, head.c, form, combine(alone, parts, labels.size(), classes));
        if (options.combination == Combination::Concat) {
          Heads heads(merged(p.train, near.index, near.train, p.train.labels, classes, pooling, parallel),
                      classes, parallel);
          const LabelledRows val =
              merged(p.val, near.index, near.val, p.train.labels, classes, pooling, parallel);
          for (const double c : options.c) {
            Scores scores(labels.size(), classes);
            scores.values = head_scores(heads.fit(c), val.values, parallel);
            try_on_val({Combination::Concat, pooling, 0, 0}, c, form, scores);
          }
          continue;
        }
        // Mix has no beta, the cache no temperature: one pass over the list that does not matter.
        const bool cache = options.combination == Combination::Cache;
        if (cache && temperature != options.temperatures.front()) continue;
        for (const double beta : cache ? options.betas : std::vector<double>{0}) {
          if (cache) parts.cache = cache_logits(near.val, p.train.labels, classes, n, beta, parallel);
          for (const double alpha : options.alphas) {
            const Settings settings{options.combination, pooling, alpha, beta};
            try_on_val(settings, head.c, form, combine(settings, parts, labels.size(), classes));
          }
        }
      }
  }
  summary["trials"] = selection.path();
  summary["ablation"] = ablation(options, prepared[best.form], best, classes, parallel);
  return best;
}

std::unique_ptr<HybridPredictor> fit_predictor(const Prepared& prepared, const Settings& settings, double c,
                                               std::size_t classes, Parallel& parallel) {
  const LabelledRows& own = prepared.train;
  search::ExactIndex index(own.values, own.dim, search::Metric::kCosine);
  LabelledRows side_by_side;
  const bool concat = settings.combination == Combination::Concat;
  if (concat)
    side_by_side =
        merged(own, index, neighbours_of_own_rows(index, prepared.provenance, settings.pooling.n, parallel),
               own.labels, classes, settings.pooling, parallel);
  Heads heads(concat ? side_by_side : own, classes, parallel);
  return std::make_unique<HybridPredictor>(prepared.representation(), std::move(index), own.labels,
                                           linear::LinearPredictor(heads.fit(c), c), settings);
}

}  // namespace graft
