#include <algorithm>

#include <graft/plugin.h>

#include <learning/learning.h>
#include <learning/selection.h>
#include "choice.h"

namespace graft {
namespace {

HybridOptions::Directions directions_from(const std::string& name) {
  return name == "svd"        ? HybridOptions::Directions::Svd
         : name == "variance" ? HybridOptions::Directions::Variance
                              : HybridOptions::Directions::Fisher;
}

template <typename T>
std::vector<T> ascending(const Params& params, const char* name) {
  return learning::ascending(params.get<std::vector<T>>(name));
}

constexpr std::size_t kCacheBytes = std::size_t{1} << 30;  ///< Larger tables are read again at every use.

class Hybrid final : public Learner {
 public:
  explicit Hybrid(const StageContext& context) {
    const Params& p = context.params;
    const Params directions = p.object("directions");
    options_.directions = directions_from(directions.get<std::string>("by"));
    const Params hidden = p.object("hidden");
    options_.hidden = {0,
                       hidden.get<std::size_t>("epochs"),
                       hidden.get<std::size_t>("patience"),
                       {},
                       hidden.get<double>("learning_rate"),
                       hidden.get<double>("weight_decay"),
                       hidden.get<double>("dropout"),
                       context.seed};
    for (const Value& m : directions.raw("m").as_list())
      for (const auto units : hidden.get<std::vector<std::size_t>>("units"))
        options_.forms.push_back(
            {m.is_string() ? std::nullopt : std::optional(static_cast<std::size_t>(m.as_int())), units});
    options_.n = ascending<std::size_t>(p, "n");
    options_.temperatures = ascending<double>(p, "temperature");
    options_.c = ascending<double>(p, "c");
    const auto& [name, value] = p.raw("variant").as_map().at(0);
    const Params variant(value);
    options_.combination = name == "concat" ? Combination::Concat
                           : name == "mix"  ? Combination::Mix
                                            : Combination::Cache;
    if (name != "concat") options_.alphas = ascending<double>(variant, "alpha");
    if (name == "cache") options_.betas = ascending<double>(variant, "beta");
    options_.seed = context.seed;
    options_.warn = context.warn;
  }

  LearnerResult fit(const LearnerInput& input) override {
    if (input.multi_label)
      throw Error(
          "some inputs have several labels or none of the classes: hybrid is single-label; use linear_probe, "
          "mlp or finetune");
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](const Refit& how, Value&) { return refit(input, how); });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return HybridPredictor::load(bundle);
  }

 private:
  /// What the refit takes over.
  struct Refit {
    HybridOptions options;
    Chosen chosen;
    std::optional<std::size_t> epochs;  ///< Of the hidden layer.
  };

  std::optional<Refit> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows train = rows_of(*table.train, input);
    const learning::FeatureRows val = rows_of(*table.val, input);
    const bool has_val = val.rows() > 0;
    learning::classes_to_learn(train, input.classes, table.stage, options_.warn);
    if (!has_val && candidates() > 1)
      learning::warn_no_val_rows(
          table.stage, "choose on",
          "taking the first of m and hidden, and what is in the middle of the other lists",
          "or set single values", options_.warn);
    const HybridOptions options = within_reach(train);
    std::vector<Prepared> prepared;
    // Without val there is nothing to choose by: the first form is taken.
    const search::Provenance provenance(*table.train, train.positions());
    for (std::size_t f = 0; f < (has_val ? options.forms.size() : 1); ++f) {
      // Forms of one m follow each other: their directions are the same.
      const bool known = f > 0 && options.forms[f].m == options.forms[f - 1].m;
      prepared.push_back(
          prepare(options, options.forms[f],
                  known ? prepared.back().directions
                        : fit_directions(options, options.forms[f], train, classes, input.parallel),
                  train, provenance, val, classes, {}, input.parallel));
    }
    Chosen chosen = graft::choose(options, prepared, classes, input.parallel, out.summary);
    const Prepared& best = prepared[chosen.form];
    if (chosen.settings.combination != Combination::Head) warn_lost_cosines(best.train, table.stage);
    describe(options, best, chosen, out.summary);
    learning::describe_choice(has_val ? "val" : "nothing", train.rows(), val.rows(), out.summary);
    auto predictor = fit_predictor(best, chosen.settings, chosen.c, classes, input.parallel);
    predictor->show(provenance);
    out.predictor = std::move(predictor);
    return Refit{options, chosen, best.hidden ? std::optional(best.hidden->epochs) : std::nullopt};
  }

  static std::unique_ptr<Predictor> refit(const LearnerInput& input, const Refit& how) {
    const RowSet& rows = *input.tables.at(0).train_val;
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows all = rows_of(rows, input);
    const MemoryRows nothing({}, rows.dim(), {});
    const learning::FeatureRows none(nothing, classes, 0, input.parallel);
    const Form& form = how.options.forms[how.chosen.form];
    const search::Provenance provenance(rows, all.positions());
    const Prepared prepared =
        prepare(how.options, form, fit_directions(how.options, form, all, classes, input.parallel), all,
                provenance, none, classes, how.epochs, input.parallel);
    auto predictor = fit_predictor(prepared, how.chosen.settings, how.chosen.c, classes, input.parallel);
    predictor->show(provenance);
    return predictor;
  }

  std::size_t candidates() const {
    return options_.forms.size() * options_.n.size() * options_.temperatures.size() * options_.c.size() *
           std::max<std::size_t>(options_.alphas.size(), 1) * std::max<std::size_t>(options_.betas.size(), 1);
  }

  void warn_lost_cosines(const LabelledRows& train, const std::string& table) const {
    learning::warn_lost_cosines(
        train.rows(), train.dim,
        [&](const std::vector<std::size_t>& positions) {
          std::vector<float> out;
          for (const std::size_t r : positions)
            out.insert(out.end(), train.values.data() + r * train.dim,
                       train.values.data() + (r + 1) * train.dim);
          return out;
        },
        table, "take it away (directions: {by: svd, m: 64})", options_.warn);
  }

  static learning::FeatureRows rows_of(const RowSet& set, const LearnerInput& input) {
    return {set, input.classes.size(), kCacheBytes, input.parallel};
  }

  /// Without values of m and n that say the same as another: there are no more directions than features and
  /// rows, and no more neighbours than other rows.
  HybridOptions within_reach(const learning::FeatureRows& train) const {
    HybridOptions options = options_;
    const bool svd = options.directions == HybridOptions::Directions::Svd;
    const std::size_t directions =
        std::max<std::size_t>(1, svd ? std::min(train.dim(), train.rows() - 1) : train.dim());
    std::vector<Form> forms;
    for (Form form : options.forms) {
      if (form.m && *form.m > directions) form.m = directions;
      const bool known = std::any_of(forms.begin(), forms.end(), [&](const Form& other) {
        return other.m == form.m && other.units == form.units;
      });
      if (!known) forms.push_back(form);
    }
    options.forms = std::move(forms);
    for (std::size_t& n : options.n) n = std::min(n, std::max<std::size_t>(train.rows() - 1, 1));
    options.n.erase(std::unique(options.n.begin(), options.n.end()), options.n.end());
    return options;
  }

  static void describe(const HybridOptions& options, const Prepared& prepared, const Chosen& chosen,
                       Value& summary) {
    const Settings& s = chosen.settings;
    summary["variant"] = combination_names()[static_cast<std::size_t>(options.combination)];
    summary["takes"] = combination_names()[static_cast<std::size_t>(s.combination)];
    summary["directions"] = prepared.directions.summary();
    const Value form = graft::describe(options.forms[chosen.form]);
    for (const auto& [name, value] : form.as_map()) summary[name] = value;
    if (s.combination != Combination::Head) {
      summary["n"] = static_cast<std::int64_t>(s.pooling.n);
      summary["temperature"] = s.pooling.temperature;
    }
    if (s.combination == Combination::Mix || s.combination == Combination::Cache) summary["alpha"] = s.alpha;
    if (s.combination == Combination::Cache) summary["beta"] = s.beta;
    summary["c"] = chosen.c;
    if (prepared.hidden) {
      summary["hidden_epochs"] = static_cast<std::int64_t>(prepared.hidden->epochs);
      summary["hidden_curve"] = prepared.hidden->curve;
    }
  }

  HybridOptions options_;
};

Value shares() {
  Value out = Value::list();
  for (int i = 1; i < 20; ++i) out.push(i / 20.0);
  return out;
}

ParamSpec variant() {
  ParamSpec spec =
      one_of("variant",
             {object("concat", {})
                  .doc("One head over the row's representation, the mean of its neighbours' and "
                       "their votes."),
              object("mix", {list("alpha", number("alpha").range(0, 1))
                                 .or_scalar()
                                 .items(1, 100)
                                 .default_list(shares().as_list())
                                 .doc("Fraction of the votes. Of several, chosen on val.")})
                  .doc("alpha x votes + (1 - alpha) x head."),
              object("cache", {list("alpha", number("alpha").range(0, 1e4))
                                   .or_scalar()
                                   .items(1, 100)
                                   .default_list({0.03, 0.1, 0.3, 1.0, 3.0})
                                   .doc("Weight of the cache. Of several, chosen on val."),
                               list("beta", number("beta").range(1e-3, 1e4))
                                   .or_scalar()
                                   .items(1, 100)
                                   .default_list({1.0, 5.5, 20.0})
                                   .doc("How fast a neighbour's say falls with its distance. Of several, "
                                        "chosen on val.")})
                  .doc("Logits of the head + alpha x sum of exp(-beta (1 - cosine)) over the neighbours of a "
                       "class.")})
          .doc("How neighbours and head come together.");
  Value usual = Value::map();
  usual["mix"]["alpha"] = shares();
  spec.default_value = std::move(usual);
  return spec;
}

std::vector<ParamSpec> parameters() {
  return {
      object(
          "directions",
          {choice("by", {"svd", "variance", "fisher"}, "svd")
               .doc("svd: principal components. variance, fisher: the features themselves, those of largest "
                    "variance, or of largest variance between classes to that within."),
           list("m", integer("m").range(1, 65536).or_name({"all"}))
               .or_scalar()
               .items(1, 20)
               .default_list({"all", 64, 256})
               .doc("How many are kept; all: the features as they are. Of several, chosen on val.")})
          .doc("What is kept of the source features."),
      object(
          "hidden",
          {list("units", integer("units").range(0, 8192))
               .or_scalar()
               .items(1, 20)
               .default_list({0, 128})
               .doc("Width of the layer; 0: none, rows are compared as they are. Of several, chosen on val."),
           integer("epochs", 60).range(1, 100000).doc("Maximum number of epochs."),
           integer("patience", 10)
               .range(1, 100000)
               .unit("epochs")
               .doc("Training ends after this many epochs without an improvement on val."),
           number("learning_rate", 1e-3).range(1e-7, 10).doc("Of AdamW, falling to 0 along a cosine."),
           number("weight_decay", 1e-2).range(0, 10).doc("Of AdamW."),
           number("dropout", 0.2)
               .range(0, 0.95)
               .doc("Fraction of the directions that are dropped in training.")})
          .or_scalar()
          .doc("The intermediate representation: one layer, trained on the labels."),
      list("n", integer("n").range(1, 10000))
          .or_scalar()
          .items(1, 50)
          .default_list({5, 10, 20, 50})
          .unit("rows")
          .doc("Most similar training rows that are asked. Of several, chosen on val."),
      list("temperature", number("temperature").range(1e-4, 1e4))
          .or_scalar()
          .items(1, 50)
          .default_list({0.07})
          .doc("T of a neighbour's weight exp(cosine / T). Of several, chosen on val."),
      list("c", number("c").range(1e-9, 1e9))
          .or_scalar()
          .items(1, 50)
          .default_list({0.1, 1.0, 10.0, 100.0})
          .doc("Strengths of the head, as in linear_probe. Of several, chosen on val."),
      variant()};
}

constexpr const char* kStages =
    R"(  hybrid: {plugin: hybrid, from: table, with: {variant: {mix: {alpha: [0.1, 0.3, 0.5]}}}}
  report: {plugin: evaluate, from: hybrid}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(hybrid, "1.0.3", graft::Hybrid,
             graft::PluginSchema::learner(
                 "Leading directions, a representation that is learnt on them, and what the most similar "
                 "training rows say, in one model.")
                 .input(graft::PortType::Table, "Feature vectors with one label per row.")
                 .output("out", graft::PortType::Predictor, "f32[?]",
                         "Class probabilities; 0 for a class without train rows.")
                 .params_from(graft::parameters())
                 .example(graft::learning::config_on_features("hybrid", graft::kStages)))
