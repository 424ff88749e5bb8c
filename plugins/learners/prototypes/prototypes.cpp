#include <algorithm>

#include <graft/plugin.h>

#include <embedding/parameter.h>
#include <learning/features.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include "prototype_model.h"

namespace graft {
namespace {

struct Candidate {
  std::size_t per_class = 0;
  double temperature = 0;
};

constexpr std::size_t kCacheBytes = std::size_t{1} << 30;
constexpr std::int64_t kUsualPerClass = 1;
constexpr double kUsualCosineTemperature = 0.1;
constexpr double kUsualEuclideanTemperature = 1;

class PrototypeLearner final : public Learner {
 public:
  explicit PrototypeLearner(const StageContext& context)
      : per_class_(learning::ascending(context.params.get<std::vector<std::size_t>>("per_class"))),
        temperatures_(learning::ascending(context.params.get<std::vector<double>>("temperature"))),
        metric_(search::Metric::from(context.params.get<std::string>("metric"))),
        embedding_(context.params),
        seed_(context.seed),
        warn_(context.warn) {}

  LearnerResult fit(const LearnerInput& input) override {
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](const Candidate& how, Value& summary) { return refit(input, how, summary); });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return PrototypePredictor::load(bundle);
  }

 private:
  /// All rows, transformed, where k-means is to run on them; means are taken without.
  struct Rows {
    std::vector<float> values;
    Rows(const learning::FeatureRows& rows, const search::FeatureTransform& transform,
         std::size_t most_per_class, Parallel& parallel) {
      if (most_per_class < 2) return;
      values.resize(rows.rows() * transform.dims());
      parallel.for_each(rows.blocks(), [&](std::size_t b) {
        const std::vector<float> x = transform.block(rows, b);
        std::copy(x.begin(), x.end(),
                  values.begin() + static_cast<std::ptrdiff_t>(rows.begin(b) * transform.dims()));
      });
    }
  };

  search::FeatureTransform make_transform(const learning::FeatureRows& rows, const LearnerInput& input,
                                          const learning::Warn& warn) const {
    std::optional<embedding::Embedding> embedding;
    if (embedding_.given())
      embedding = embedding_.fit(rows, {input.classes.size(), seed_, warn, input.parallel});
    return search::FeatureTransform(rows.dim(), std::move(embedding), metric_);
  }

  Prototypes make(const learning::FeatureRows& rows, const Rows& transformed,
                  const search::FeatureTransform& transform, std::size_t per_class,
                  const LearnerInput& input) const {
    const std::size_t classes = input.classes.size();
    if (per_class == 1) return class_means(rows, transform, classes, input.parallel);
    return class_clusters(transformed.values, rows.labels(), classes, transform, per_class, seed_,
                          input.parallel);
  }

  std::optional<Candidate> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows train(*table.train, classes, kCacheBytes, input.parallel);
    const learning::FeatureRows val(*table.val, classes, 0, input.parallel);
    const bool has_val = val.rows() > 0;
    learning::require_rows(table.stage, train.rows());
    learning::warn_absent_classes(train.labels(), input.classes, warn_);
    const search::FeatureTransform transform = make_transform(train, input, warn_);
    transform.warn_lost_cosines(train, table.stage, input.parallel, warn_);
    std::vector<Prototypes> made;
    for (const Rows rows(train, transform, per_class_.back(), input.parallel);
         const std::size_t n : per_class_) {
      made.push_back(make(train, rows, transform, n, input));
    }
    // Ties go to the first: fewer prototypes, then the lower temperature.
    learning::CandidateSelection selection(metrics::Criterion::Accuracy);
    Candidate how = candidate(0);
    if (has_val) {
      const std::vector<metrics::ScoreSum> scores = try_on_val(made, transform, val, input);
      for (std::size_t i = 0; i < scores.size(); ++i) selection.add(describe(candidate(i)), scores[i].mean());
      how = candidate(selection.best());
    } else {
      const double usual = metric_.by_direction() ? kUsualCosineTemperature : kUsualEuclideanTemperature;
      how = {learning::nearest_by_ratio(per_class_, kUsualPerClass),
             learning::nearest_by_ratio(temperatures_, usual)};
      learning::warn_no_val_rows(
          table.stage,
          {{"per_class", per_class_.size(), static_cast<double>(how.per_class), kUsualPerClass},
           {"temperature", temperatures_.size(), how.temperature, usual}},
          warn_);
    }
    out.summary = describe(how);
    const std::size_t candidates = per_class_.size() * temperatures_.size();
    learning::describe_choice(learning::chosen_on(has_val || candidates == 1, candidates), train.rows(),
                              val.rows(), out.summary);
    out.summary["metric"] = metric_.name();
    if (transform.embedding()) out.summary["embedding"] = transform.embedding()->summary();
    if (has_val) out.summary["path"] = selection.path();
    const auto at = static_cast<std::size_t>(std::find(per_class_.begin(), per_class_.end(), how.per_class) -
                                             per_class_.begin());
    out.summary["prototypes"] = static_cast<std::int64_t>(made[at].labels.size());
    out.predictor =
        std::make_unique<PrototypePredictor>(transform, std::move(made[at]), classes, how.temperature);
    return how;
  }

  std::unique_ptr<Predictor> refit(const LearnerInput& input, const Candidate& how, Value& summary) const {
    const std::size_t classes = input.classes.size();
    const learning::FeatureRows all(*input.tables.at(0).train_val, classes, kCacheBytes, input.parallel);
    const search::FeatureTransform transform = make_transform(all, input, [](const std::string&) {});
    Prototypes prototypes =
        make(all, Rows(all, transform, how.per_class, input.parallel), transform, how.per_class, input);
    Value& refit = summary["refit"];
    refit["rows"] = static_cast<std::int64_t>(all.rows());
    refit["prototypes"] = static_cast<std::int64_t>(prototypes.labels.size());
    if (transform.embedding()) refit["embedding"] = transform.embedding()->summary();
    return std::make_unique<PrototypePredictor>(transform, std::move(prototypes), classes, how.temperature);
  }

  /// Every temperature for the first number of prototypes, then for the second, ...
  Candidate candidate(std::size_t i) const {
    return {per_class_[i / temperatures_.size()], temperatures_[i % temperatures_.size()]};
  }

  /// Of every candidate; `made` are the prototypes of each number.
  std::vector<metrics::ScoreSum> try_on_val(const std::vector<Prototypes>& made,
                                            const search::FeatureTransform& transform,
                                            const learning::FeatureRows& val,
                                            const LearnerInput& input) const {
    const std::size_t classes = input.classes.size();
    std::vector<metrics::ScoreSum> sums(made.size() * temperatures_.size());
    std::vector<std::vector<metrics::ScoreSum>> parts(val.blocks(), sums);
    input.parallel.for_each(val.blocks(), [&](std::size_t b) {
      const std::vector<float> x = transform.block(val, b);
      std::vector<float> probabilities(classes);
      for (std::size_t m = 0; m < made.size(); ++m) {
        const std::vector<double> similarities = class_similarities(made[m], x, transform, classes);
        for (std::size_t r = 0; r < val.count(b); ++r) {
          const std::int32_t label = val.labels()[val.begin(b) + r];
          for (std::size_t t = 0; t < temperatures_.size(); ++t) {
            class_probabilities({similarities.data() + r * classes, classes}, temperatures_[t],
                                probabilities);
            parts[b][m * temperatures_.size() + t].add(probabilities, {&label, 1},
                                                       metrics::LabelMode::Single);
          }
        }
      }
    });
    for (std::size_t i = 0; i < sums.size(); ++i)
      for (const std::vector<metrics::ScoreSum>& part : parts) sums[i] += part[i];
    return sums;
  }

  static Value describe(const Candidate& how) {
    return Value::Map{{"per_class", static_cast<std::int64_t>(how.per_class)},
                      {"temperature", how.temperature}};
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

constexpr const char* kStages = R"(  nearest_mean: {plugin: prototypes, from: table}
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
                   .default_list({graft::kUsualPerClass})
                   .unit("prototypes")
                   .doc("Prototypes of a class: 1 is its mean, more come from k-means. Of several, the one "
                        "with the "
                        "best accuracy on val is taken (then the lowest log loss, then the smallest)."))
        .param(graft::choice("metric", graft::search::Metric::names(), "cosine")
                   .doc("Similarity: the cosine, or minus the squared Euclidean distance."))
        .param(graft::list("temperature", graft::number("temperature").range(1e-6, 1e9))
                   .or_scalar()
                   .items(1, 100)
                   .default_list(graft::usual_temperatures())
                   .doc("T of softmax(similarity / T): it changes how sure the scores are, not which class "
                        "wins. Of several, chosen on val by the lowest log loss."))
        .param(graft::embedding::EmbeddingParameter::spec())
        .example(graft::learning::config_on_features("prototypes", graft::kStages)))
