#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/plugin.h>

#include <embedding/parameter.h>
#include <learning/features.h>
#include <learning/learning.h>
#include <metrics/fit.h>
#include "prototype_model.h"

namespace graft {
namespace {

/// What a setting makes of the val rows.
struct Trial {
  std::size_t per_class = 0;
  double temperature = 0;
  metrics::Fit fit;
};

template <typename T>
std::vector<T> ascending(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

constexpr std::size_t kCacheBytes = std::size_t{1} << 30;
constexpr double kUsualCosineTemperature = 0.1;
constexpr double kUsualEuclideanTemperature = 1;

class PrototypeLearner final : public Learner {
 public:
  explicit PrototypeLearner(const StageContext& context)
      : per_class_(ascending(context.params.get<std::vector<std::size_t>>("per_class"))),
        temperatures_(ascending(context.params.get<std::vector<double>>("temperature"))),
        metric_(search::metric_from(context.params.get<std::string>("metric"))),
        embedding_(context.params),
        seed_(context.seed),
        warn_(context.warn) {}

  LearnerResult fit(const LearnerInput& input) override {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size();
    LearnerResult out;
    Trial how;
    {
      const learning::FeatureRows train(*table.train, classes, kCacheBytes, input.parallel);
      const learning::FeatureRows val(*table.val, classes, 0, input.parallel);
      tell_about_rows(table, train, input.classes);
      const search::Preparation preparation = prepare(train, input, warn_);
      preparation.warn_lost_cosines(train, table.stage, input.parallel, warn_);
      std::vector<Prototypes> made;
      std::vector<Trial> trials;
      for (const Rows rows(train, preparation, per_class_.back(), input.parallel);
           const std::size_t n : per_class_) {
        if (input.interrupted) throw Error("interrupted");
        made.push_back(make(train, rows, preparation, n, input));
        for (const double t : temperatures_) trials.push_back({n, t, {}});
      }
      how = choose(made, preparation, val, table, input, trials, out.summary);
      out.summary["train_rows"] = static_cast<std::int64_t>(train.rows());
      out.summary["val_rows"] = static_cast<std::int64_t>(val.rows());
      if (preparation.embedding()) out.summary["embedding"] = preparation.embedding()->summary();
      if (val.rows() > 0) out.summary["path"] = describe(trials);
      const auto at = static_cast<std::size_t>(
          std::find(per_class_.begin(), per_class_.end(), how.per_class) - per_class_.begin());
      out.summary["prototypes"] = static_cast<std::int64_t>(made[at].labels.size());
      auto chosen =
          std::make_unique<PrototypePredictor>(preparation, std::move(made[at]), classes, how.temperature);
      if (table.val->rows() == 0) {  // train + val is train
        out.predictor = std::move(chosen);
        return out;
      }
      out.val = chosen->predict({table.val}, input.parallel);
    }
    const learning::FeatureRows all(*table.train_val, classes, kCacheBytes, input.parallel);
    const search::Preparation preparation = prepare(all, input, [](const std::string&) {});
    Prototypes prototypes =
        make(all, Rows(all, preparation, how.per_class, input.parallel), preparation, how.per_class, input);
    Value& refit = out.summary["refit"];
    refit["rows"] = static_cast<std::int64_t>(all.rows());
    refit["prototypes"] = static_cast<std::int64_t>(prototypes.labels.size());
    if (preparation.embedding()) refit["embedding"] = preparation.embedding()->summary();
    out.predictor =
        std::make_unique<PrototypePredictor>(preparation, std::move(prototypes), classes, how.temperature);
    return out;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return PrototypePredictor::load(bundle);
  }

 private:
  /// All rows, prepared, where k-means is to run on them; means are taken without.
  struct Rows {
    std::vector<float> values;
    Rows(const learning::FeatureRows& rows, const search::Preparation& preparation,
         std::size_t most_per_class, Parallel& parallel) {
      if (most_per_class < 2) return;
      values.resize(rows.rows() * preparation.dims());
      parallel.for_each(rows.blocks(), [&](std::size_t b) {
        const std::vector<float> x = preparation.block(rows, b);
        std::copy(x.begin(), x.end(),
                  values.begin() + static_cast<std::ptrdiff_t>(rows.begin(b) * preparation.dims()));
      });
    }
  };

  search::Preparation prepare(const learning::FeatureRows& rows, const LearnerInput& input,
                              const learning::Warn& warn) const {
    std::optional<embedding::Embedding> embedding;
    if (embedding_.given())
      embedding =
          embedding_.fit(rows, {input.classes.size(), seed_, input.interrupted, warn, input.parallel});
    return search::Preparation(rows.dim(), std::move(embedding), metric_);
  }

  Prototypes make(const learning::FeatureRows& rows, const Rows& prepared,
                  const search::Preparation& preparation, std::size_t per_class,
                  const LearnerInput& input) const {
    const std::size_t classes = input.classes.size();
    if (per_class == 1) return class_means(rows, preparation, classes, input.parallel);
    return class_clusters(prepared.values, rows.labels(), classes, preparation, per_class, seed_,
                          input.parallel);
  }

  void tell_about_rows(const TrainingTable& table, const learning::FeatureRows& train,
                       const std::vector<std::string>& classes) const {
    if (train.rows() == 0) {
      throw Error(fmt::format(
          "table '{}' has no labelled train rows: expected at least 1; check the labels, the splits "
          "and the rejected inputs",
          table.stage));
    }
    if (const std::string absent = learning::absent_classes(train.labels(), classes); !absent.empty()) {
      warn_(fmt::format("no train rows of {}: the score of such a class is 0", absent));
    }
  }

  /// `trials` holds every temperature for the first of `made`, then for the second, ...
  Trial choose(const std::vector<Prototypes>& made, const search::Preparation& preparation,
               const learning::FeatureRows& val, const TrainingTable& table, const LearnerInput& input,
               std::vector<Trial>& trials, Value& summary) const {
    Trial how = trials.front();
    if (val.rows() > 0) {
      try_on_val(made, preparation, val, input, trials);
      how = *std::min_element(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
        return a.fit.accuracy != b.fit.accuracy ? a.fit.accuracy > b.fit.accuracy
                                                : a.fit.log_loss < b.fit.log_loss;
      });  // ties go to the first: fewer prototypes, then the lower temperature
    } else if (trials.size() > 1) {
      const double usual =
          metric_ == search::Metric::Cosine ? kUsualCosineTemperature : kUsualEuclideanTemperature;
      how.temperature =
          *std::min_element(temperatures_.begin(), temperatures_.end(), [usual](double a, double b) {
            return std::abs(std::log(a / usual)) < std::abs(std::log(b / usual));
          });
      warn_(
          fmt::format("table '{}' has no labelled val rows to choose per_class and temperature on: taking "
                      "per_class = {}, "
                      "temperature = {}; give the source a val split, or set both to one value",
                      table.stage, how.per_class, how.temperature));
    }
    summary["per_class"] = static_cast<std::int64_t>(how.per_class);
    summary["temperature"] = how.temperature;
    summary["chosen_on"] = trials.size() == 1 ? "given" : val.rows() > 0 ? "val" : "nothing";
    summary["metric"] = search::metric_names()[static_cast<std::size_t>(metric_)];
    return how;
  }

  void try_on_val(const std::vector<Prototypes>& made, const search::Preparation& preparation,
                  const learning::FeatureRows& val, const LearnerInput& input,
                  std::vector<Trial>& trials) const {
    const std::size_t classes = input.classes.size();
    std::vector<std::vector<Trial>> parts(val.blocks(), trials);
    input.parallel.for_each(val.blocks(), [&](std::size_t b) {
      if (input.interrupted) throw Error("interrupted");
      const std::vector<float> x = preparation.block(val, b);
      std::vector<float> probabilities(classes);
      for (std::size_t m = 0; m < made.size(); ++m) {
        const std::vector<double> similarities = class_similarities(made[m], x, preparation, classes);
        for (std::size_t r = 0; r < val.count(b); ++r) {
          const std::int32_t label = val.labels()[val.begin(b) + r];
          for (std::size_t t = 0; t < temperatures_.size(); ++t) {
            Trial& trial = parts[b][m * temperatures_.size() + t];
            class_probabilities({similarities.data() + r * classes, classes}, trial.temperature,
                                probabilities);
            trial.fit += metrics::fit_of(probabilities, {&label, 1}, false);
          }
        }
      }
    });
    for (std::size_t t = 0; t < trials.size(); ++t) {
      for (const std::vector<Trial>& part : parts) trials[t].fit += part[t].fit;
      trials[t].fit = trials[t].fit.mean(val.rows());
    }
  }

  static Value describe(const std::vector<Trial>& trials) {
    Value path = Value::list();
    for (const Trial& trial : trials) {
      Value v = Value::map();
      v["per_class"] = static_cast<std::int64_t>(trial.per_class);
      v["temperature"] = trial.temperature;
      v["val_accuracy"] = trial.fit.accuracy;
      v["val_log_loss"] = trial.fit.log_loss;
      path.push(std::move(v));
    }
    return path;
  }

  std::vector<std::size_t> per_class_;
  std::vector<double> temperatures_;
  search::Metric metric_;
  embedding::EmbeddingParameter embedding_;
  std::uint64_t seed_;
  learning::Warn warn_;
};

Value::List usual_temperatures() {
  return {0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0};
}

constexpr const char* kExample = R"(name: prototypes
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  nearest_mean: {plugin: prototypes, from: table}
  clusters: {plugin: prototypes, from: table, with: {per_class: [1, 2, 4], embedding: lda}}
  report: {plugin: evaluate, from: [nearest_mean, clusters]}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    prototypes, "1.0.2", graft::PrototypeLearner,
    graft::PluginSchema::learner(
        "The class of the nearest prototype: class means, or k-means within every class.")
        .input(graft::PortType::Table, "Feature vectors with one label per row.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "softmax(similarity to the nearest prototype of the class / temperature).")
        .param(graft::list("per_class", graft::integer("per_class").range(1, 1000))
                   .or_scalar()
                   .items(1, 100)
                   .default_list({1})
                   .unit("prototypes")
                   .doc("Prototypes of a class: 1 is its mean, more come from k-means. Of several, the one "
                        "with the "
                        "best accuracy on val is taken (then the lowest log loss, then the smallest)."))
        .param(graft::choice("metric", graft::search::metric_names(), "cosine")
                   .doc("Similarity: the cosine, or minus the squared Euclidean distance."))
        .param(graft::list("temperature", graft::number("temperature").range(1e-6, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list(graft::usual_temperatures())
                   .doc("T of softmax(similarity / T): it changes how sure the scores are, not which class "
                        "wins. Of "
                        "several, chosen on val by the lowest log loss."))
        .param(graft::embedding::EmbeddingParameter::spec())
        .example(graft::kExample))
