#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include <graft/plugin.h>

#include <embedding/parameter.h>
#include <learning/features.h>
#include <learning/learning.h>
#include <learning/selection.h>
#include <search/retrieval.h>
#include "knn_model.h"

namespace graft {
namespace {

/// The neighbours of every val row, by the largest k, best first; and what the candidates make of them.
struct Found {
  std::size_t k = 0;
  std::vector<search::Neighbour> neighbours;  ///< Empty where there would be too many to keep.
  std::vector<metrics::ScoreSum> scores;      ///< Of every candidate, over the labelled val rows.
};

/// Some labelled rows, transformed: to look at the search with.
struct Queries {
  std::vector<float> rows;
  std::vector<std::int32_t> labels;
  std::vector<search::RowRange> excluded;  ///< Leave-one-out; empty for rows that were not learnt.
};

constexpr std::int64_t kDefaultK = 20;
constexpr double kDefaultTemperature = 0.07;
constexpr std::size_t kKeptBytes = std::size_t{256} << 20;  // of neighbours of val rows
const std::vector<std::size_t> kRetrievalAt = {1, 5, 10};

class Knn final : public Learner {
 public:
  explicit Knn(const StageContext& context)
      : ks_(learning::ascending(context.params.get<std::vector<std::size_t>>("k"))),
        temperatures_(learning::ascending(context.params.get<std::vector<double>>("temperature"))),
        metric_(search::Metric::from(context.params.get<std::string>("metric"))),
        embedding_(context.params),
        index_(search::IndexChoice::from(context.params)),
        neighbours_(context.params.get<std::size_t>("neighbours")),
        retrieval_(context.params.get<std::size_t>("retrieval")),
        cache_bytes_(learning::cache_bytes(context.params)),
        seed_(context.seed),
        warn_(context.warn) {
    weight_ = context.params.has("weights")
                  ? search::vote_weight_from(context.params.get<std::string>("weights"))
              : metric_.by_direction() ? search::VoteWeight::Exp
                                       : search::VoteWeight::Distance;
  }

  LearnerResult fit(const LearnerInput& input) override {
    return learning::choose_and_refit(
        input, [&](LearnerResult& out) { return choose(input, out); },
        [&](const search::Vote& how, Value& summary) { return refit(input, how, summary); });
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    return KnnPredictor::load(bundle, cache_bytes_);
  }

 private:
  std::optional<search::Vote> choose(const LearnerInput& input, LearnerResult& out) const {
    const TrainingTable& table = input.tables.at(0);
    KnnRows train = take(*table.train, input, table.stage, true);
    learning::warn_absent_classes(train.labels, input.classes, warn_);
    Found found;
    const search::Vote how = choose(train, table, input, found, out.summary);
    if (!found.neighbours.empty()) {  // the same as KnnPredictor::predict would give
      out.val = Scores(table.val->rows(), input.classes.size());
      cast_votes(train, how, found.neighbours, found.k, 0, out.val, input.parallel);
    }
    out.predictor = std::make_unique<KnnPredictor>(std::move(train), input.classes.size(), how, neighbours_);
    return how;
  }

  std::unique_ptr<Predictor> refit(const LearnerInput& input, const search::Vote& how, Value& summary) const {
    const TrainingTable& table = input.tables.at(0);
    KnnRows all = take(*table.train_val, input, table.stage, false);
    Value& refit = summary["refit"];
    refit["rows"] = static_cast<std::int64_t>(all.labels.size());
    if (embedding_.given()) refit["embedding"] = all.transform.embedding()->summary();
    return std::make_unique<KnnPredictor>(std::move(all), input.classes.size(), how, neighbours_);
  }

  /// `first`: warnings have not been given yet.
  KnnRows take(const RowSet& set, const LearnerInput& input, const std::string& stage, bool first) const {
    // What FAISS searches must be in memory.
    const bool exact = index_.kind == search::IndexChoice::Kind::Exact;
    const std::size_t cache = exact ? cache_bytes_ : std::numeric_limits<std::size_t>::max();
    learning::FeatureRows rows(set, input.classes.size(), embedding_.given() ? cache_bytes_ : cache,
                               input.parallel);
    std::vector<std::int32_t> labels = rows.labels();
    learning::require_rows(stage, labels.size());
    const learning::Warn quiet = [](const std::string&) {};
    std::optional<embedding::Embedding> embedding;
    if (embedding_.given()) {
      embedding = embedding_.fit(rows, {input.classes.size(), seed_, first ? warn_ : quiet, input.parallel});
    }
    search::FeatureTransform transform(rows.dim(), std::move(embedding), metric_);
    if (first) transform.warn_lost_cosines(rows, stage, input.parallel, warn_);
    search::Provenance provenance(set, rows.positions());
    const bool in_memory = rows.rows() <= cache / (sizeof(float) * transform.dims());
    search::SearchIndex index(
        in_memory
            ? search::ExactIndex(transform.all(std::move(rows), input.parallel), transform.dims(), metric_)
            : search::ExactIndex(std::make_shared<search::TransformedRows>(std::move(rows), transform),
                                 metric_, 0, input.parallel),
        index_, seed_, input.parallel);
    return {std::move(transform), std::move(index), std::move(labels), std::move(provenance)};
  }

  search::Vote choose(const KnnRows& train, const TrainingTable& table, const LearnerInput& input,
                      Found& found, Value& summary) const {
    std::vector<search::Vote> candidates;
    for (const std::size_t k : ks_) {
      for (const double temperature : temperatures_) {
        candidates.push_back({k, weight_, temperature});
        if (weight_ != search::VoteWeight::Exp) break;  // no temperature in it
      }
    }
    const learning::FeatureRows val(*table.val, input.classes.size(), 0, input.parallel);
    const bool has_val = val.rows() > 0;
    search::Vote how = candidates.front();
    // Ties go to the first: the smaller k, then the lower temperature.
    learning::CandidateSelection selection(metrics::Criterion::Accuracy);
    if (has_val) {
      found = try_on_val(train, *table.val, input, candidates);
      for (std::size_t i = 0; i < candidates.size(); ++i)
        selection.add(describe(candidates[i]), found.scores[i].mean());
      how = candidates[selection.best()];
    } else {
      how.k = learning::nearest_by_ratio(ks_, kDefaultK);
      how.temperature = learning::nearest_by_ratio(temperatures_, kDefaultTemperature);
      const std::size_t temperatures = candidates.size() / ks_.size();
      learning::warn_no_val_rows(table.stage,
                                 {{"k", ks_.size(), static_cast<double>(how.k), kDefaultK},
                                  {"temperature", temperatures, how.temperature, kDefaultTemperature}},
                                 warn_);
    }
    const Value chosen = describe(how);
    for (const auto& [name, value] : chosen.as_map()) summary[name] = value;
    const bool given = candidates.size() == 1;
    learning::describe_choice(learning::chosen_on(has_val || given, candidates.size()), train.labels.size(),
                              val.rows(), summary);
    summary["metric"] = metric_.name();
    summary["weights"] = search::vote_weight_names()[static_cast<std::size_t>(weight_)];
    if (train.transform.embedding()) summary["embedding"] = train.transform.embedding()->summary();
    if (has_val) summary["path"] = selection.path();
    add_search_diagnostics(train, val, how, input, summary);
    if (how.k > train.labels.size()) {
      warn_(
          fmt::format("k = {} is more than the {} train rows: all of them vote", how.k, train.labels.size()));
    }
    return how;
  }

  /// Adds up the scores of every candidate on the labelled val rows, with one search for the largest k.
  Found try_on_val(const KnnRows& train, const RowSet& val, const LearnerInput& input,
                   const std::vector<search::Vote>& candidates) const {
    const std::size_t step = learning::rows_per_block(val.dim());
    std::vector<std::vector<metrics::ScoreSum>> parts((val.rows() + step - 1) / step,
                                                      std::vector<metrics::ScoreSum>(candidates.size()));
    Found found;
    found.k = std::min(ks_.back(), train.labels.size());
    if (val.rows() <= kKeptBytes / (found.k * sizeof(search::Neighbour)))
      found.neighbours.reserve(val.rows() * found.k);
    train.transform.for_each_group(
        val, input.parallel, [&](std::size_t first, std::size_t count, std::span<const float> queries) {
          const auto nearest = train.index.search(queries, found.k, {}, input.parallel);
          if (found.neighbours.capacity() > 0)
            found.neighbours.insert(found.neighbours.end(), nearest.begin(), nearest.end());
          input.parallel.for_each((count + step - 1) / step, [&](std::size_t b) {
            std::vector<float> shares(input.classes.size());
            for (std::size_t r = b * step; r < std::min(count, (b + 1) * step); ++r) {
              const std::int32_t label = val.label(first + r);
              if (label < 0) continue;
              for (std::size_t i = 0; i < candidates.size(); ++i) {
                search::vote({nearest.data() + r * found.k, found.k}, candidates[i], metric_, train.labels,
                             shares);
                parts[first / step + b][i].add(shares, {&label, 1}, metrics::LabelMode::Single);
              }
            }
          });
        });
    found.scores.resize(candidates.size());
    for (std::size_t i = 0; i < candidates.size(); ++i)
      for (const std::vector<metrics::ScoreSum>& part : parts) found.scores[i] += part[i];
    return found;
  }

  /// How well train rows are found, and by an approximate index how many of them: by val rows, or by train
  /// rows that do not see themselves.
  void add_search_diagnostics(const KnnRows& train, const learning::FeatureRows& val, const search::Vote& how,
                              const LearnerInput& input, Value& summary) const {
    const bool approximate = index_.kind != search::IndexChoice::Kind::Exact;
    if (retrieval_ == 0 && !approximate) return;
    const Queries queries =
        val.rows() > 0 ? from_val(train, val, input.parallel) : from_train(train, input.parallel);
    if (retrieval_ > 0) {
      Value& v = summary["retrieval"];
      v["by"] = val.rows() > 0 ? "val" : "train, leaving one out";
      const Value figures =
          search::retrieval(train.index.exact(), train.labels,
                            {queries.rows, queries.labels, queries.excluded}, kRetrievalAt, input.parallel)
              .summary();
      for (const auto& [name, figure] : figures.as_map()) v[name] = figure;
    }
    if (!approximate) return;
    Value& v = summary["index"];
    v["kind"] = index_.name();
    v["queries"] = static_cast<std::int64_t>(queries.labels.size());
    v[fmt::format("recall_at_{}", how.k)] =
        train.index.recall(queries.rows, how.k, queries.excluded, input.parallel);
  }

  std::size_t most_queries() const { return retrieval_ > 0 ? retrieval_ : 1000; }

  Queries from_val(const KnnRows& train, const learning::FeatureRows& val, Parallel& parallel) const {
    const std::vector<std::size_t> sample = learning::evenly_spaced(val.rows(), most_queries());
    const std::vector<float> features = learning::rows_at(val, sample, parallel);
    Queries out;
    out.rows = train.transform.apply(sample.size(), features.data(),
                                     [&](std::size_t r) { return val.key(sample[r]); });
    for (const std::size_t r : sample) out.labels.push_back(val.labels()[r]);
    return out;
  }

  Queries from_train(const KnnRows& train, Parallel& parallel) const {
    const search::ExactIndex& index = train.index.exact();
    const std::vector<std::size_t> sample = learning::evenly_spaced(index.size(), most_queries());
    Queries out;
    out.rows.resize(sample.size() * index.dim());
    parallel.for_each(sample.size(), [&](std::size_t i) {
      index.reader()->read(sample[i], 1, out.rows.data() + i * index.dim());
    });
    for (const std::size_t r : sample) {
      out.labels.push_back(train.labels[r]);
      out.excluded.push_back(train.provenance.of_row(static_cast<std::uint32_t>(r)));
    }
    return out;
  }

  Value describe(const search::Vote& how) const {
    Value v = Value::map();
    v["k"] = static_cast<std::int64_t>(how.k);
    if (weight_ == search::VoteWeight::Exp) v["temperature"] = how.temperature;
    return v;
  }

  std::vector<std::size_t> ks_;
  std::vector<double> temperatures_;
  search::Metric metric_;
  search::VoteWeight weight_ = search::VoteWeight::Exp;
  embedding::EmbeddingParameter embedding_;
  search::IndexChoice index_;
  std::size_t neighbours_;
  std::size_t retrieval_;
  std::size_t cache_bytes_;
  std::uint64_t seed_;
  learning::Warn warn_;
};

ParamSpec weights() {
  ParamSpec spec = choice("weights", search::vote_weight_names(), "exp").optional();
  spec.default_value = {};
  return spec.doc(
      "Weight of a vote: exp: exp(similarity / temperature); uniform: 1; distance: 1 / (d + 1e-5) with d = 1 "
      "- cosine or the Euclidean distance. Default: exp for cosine, distance for euclidean.");
}

constexpr const char* kStages =
    R"(  knn: {plugin: knn, from: table, with: {k: [1, 5, 10, 20], temperature: 0.07}}
  svd_knn: {plugin: knn, from: table, with: {k: [1, 5, 10, 20], embedding: {pca: {energy: 0.9}}}}
  report: {plugin: evaluate, from: [knn, svd_knn]}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    knn, "2.1.2", graft::Knn,
    graft::PluginSchema::learner("Weighted k nearest neighbours by cosine or Euclidean distance.")
        .input(graft::PortType::Table, "Feature vectors with one label per row.")
        .output("out", graft::PortType::Predictor, "f32[?]",
                "Fraction of the neighbours' votes for each class.")
        .param(graft::list("k", graft::integer("k").range(1, 10000))
                   .or_scalar()
                   .items(1, 100)
                   .default_list({graft::kDefaultK})
                   .unit("rows")
                   .doc("Neighbours that vote. Of several, the one with the best accuracy on val is taken "
                        "(then the lowest log loss, then the smallest)."))
        .param(graft::choice("metric", graft::search::Metric::names(), "cosine")
                   .doc("Similarity: the cosine, or minus the squared Euclidean distance."))
        .param(graft::weights())
        .param(
            graft::list("temperature", graft::number("temperature").range(1e-4, 1e6))
                .or_scalar()
                .items(1, 100)
                .default_list({graft::kDefaultTemperature})
                .doc(
                    "T of the vote exp(similarity / T): low lets the nearest decide, high counts all alike; "
                    "for "
                    "euclidean in squares of the features' unit. Of several, chosen on val together with k."))
        .param(graft::embedding::EmbeddingParameter::spec())
        .param(graft::search::IndexChoice::spec())
        .param(graft::integer("neighbours", 5)
                   .range(0, 1000)
                   .unit("rows")
                   .not_in_fingerprint()
                   .doc("Nearest rows to list for every val and test row, in neighbours/ of the run; 0: no "
                        "list."))
        .param(graft::integer("retrieval", 1000)
                   .range(0, 100000)
                   .unit("rows")
                   .not_in_fingerprint()
                   .doc("Val rows, evenly spaced, that the retrieval scores of the summary are taken from "
                        "(train rows that do not see themselves, where there is no val); 0: no scores."))
        .param(graft::learning::cache_parameter(
            "Train rows of at most this size (after the embedding) are held in memory. Exact search "
            "reads larger ones again whenever it needs them; ivf and hnsw hold them in any case."))
        .example(graft::learning::config_on_features("knn", graft::kStages)))
