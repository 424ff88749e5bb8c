#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <graft/plugin.h>

#include "knn_model.h"
#include "linalg/features.h"
#include "linalg/softmax.h"

namespace graft {
namespace {

/// What a setting makes of the val rows.
struct Trial {
  Vote how;
  double accuracy = 0;
  double log_loss = 0;
};

/// The labelled rows of a table, scaled to length 1.
struct Rows {
  linalg::CosineIndex index;
  std::vector<std::int32_t> labels;
};

template <typename T>
std::vector<T> ascending(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// The value of the grid that is nearest, by ratio, to the default.
template <typename T>
T nearest_to(const std::vector<T>& grid, double wanted) {
  return *std::min_element(grid.begin(), grid.end(), [wanted](T a, T b) {
    return std::abs(std::log(static_cast<double>(a) / wanted)) <
           std::abs(std::log(static_cast<double>(b) / wanted));
  });
}

constexpr std::int64_t kDefaultK = 20;
constexpr double kDefaultTemperature = 0.07;

class Knn final : public Learner {
 public:
  explicit Knn(const StageContext& context)
      : ks_(ascending(context.params.get<std::vector<std::size_t>>("k"))),
        temperatures_(ascending(context.params.get<std::vector<double>>("temperature"))),
        warn_(context.warn) {}

  LearnerResult fit(const LearnerInput& input) override {
    const TrainingTable& table = input.tables.at(0);
    const std::size_t classes = input.classes.size();
    LearnerResult out;
    Vote how;
    {
      Rows train = take(*table.train, input, table.stage, "train");
      if (const std::string absent = linalg::absent_classes(train.labels, input.classes); !absent.empty()) {
        warn_(fmt::format("no train rows of {}: the score of such a class is 0", absent));
      }
      how = choose(train, table, input, out.summary);
      out.summary["train_rows"] = static_cast<std::int64_t>(train.labels.size());
      KnnPredictor chosen(std::move(train.index), std::move(train.labels), classes, how);
      if (table.val->rows() == 0) {  // train + val is train
        out.predictor = std::make_unique<KnnPredictor>(std::move(chosen));
        return out;
      }
      out.val = chosen.predict({table.val}, input.parallel);
    }
    Rows all = take(*table.train_val, input, table.stage, "");
    out.summary["rows"] = static_cast<std::int64_t>(all.labels.size());
    out.predictor = std::make_unique<KnnPredictor>(std::move(all.index), std::move(all.labels), classes, how);
    return out;
  }

  std::unique_ptr<Predictor> load(const Bundle& bundle) const override { return KnnPredictor::load(bundle); }

 private:
  /// `part`: for warnings; empty where they have been given already.
  Rows take(const RowSet& set, const LearnerInput& input, const std::string& stage, const char* part) const {
    linalg::FeatureRows rows(set, input.classes.size(), std::numeric_limits<std::size_t>::max(),
                             input.parallel);
    if (rows.unlabelled() > 0 && *part != '\0') {
      warn_(fmt::format("table '{}': {} {} rows have no label and are left out", stage, rows.unlabelled(),
                        part));
    }
    rows.scale(linalg::RowScaler(linalg::RowScaler::Kind::L2), input.parallel);
    std::vector<std::int32_t> labels = rows.labels();
    if (labels.empty()) {
      throw Error(fmt::format(
          "table '{}' has no labelled train rows: expected at least 1; check the labels, the splits "
          "and the rejected inputs",
          stage));
    }
    const std::size_t dim = rows.dim();
    if (rows.rows() > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(fmt::format("table '{}' has {} train rows: expected at most {}", stage, rows.rows(),
                              std::numeric_limits<std::uint32_t>::max()));
    }
    return {linalg::CosineIndex(std::move(rows).release(), dim), std::move(labels)};
  }

  Vote choose(const Rows& train, const TrainingTable& table, const LearnerInput& input,
              Value& summary) const {
    std::vector<Trial> trials;
    for (const std::size_t k : ks_) {
      for (const double temperature : temperatures_) trials.push_back({{k, temperature}, 0, 0});
    }
    linalg::FeatureRows val(*table.val, input.classes.size(), 0, input.parallel);
    val.scale(linalg::RowScaler(linalg::RowScaler::Kind::L2), input.parallel);
    if (val.unlabelled() > 0) {
      warn_(fmt::format("table '{}': {} val rows have no label and are left out", table.stage,
                        val.unlabelled()));
    }
    summary["val_rows"] = static_cast<std::int64_t>(val.rows());
    Vote how = trials.front().how;
    if (val.rows() > 0) {
      try_on_val(train, val, input, trials);
      how = std::min_element(trials.begin(), trials.end(), [](const Trial& a, const Trial& b) {
              return a.accuracy != b.accuracy ? a.accuracy > b.accuracy : a.log_loss < b.log_loss;
            })->how;  // of equals the first: the smaller k, then the lower temperature
    } else if (trials.size() > 1) {
      how = {nearest_to(ks_, kDefaultK), nearest_to(temperatures_, kDefaultTemperature)};
      warn_(fmt::format(
          "table '{}' has no labelled val rows to choose k and temperature on: taking k = {}, temperature "
          "= {}, nearest to the defaults; give the source a val split, or set both to one value",
          table.stage, how.k, how.temperature));
    }
    summary["k"] = static_cast<std::int64_t>(how.k);
    summary["temperature"] = how.temperature;
    summary["chosen_on"] = trials.size() == 1 ? "given" : val.rows() > 0 ? "val" : "nothing";
    if (val.rows() > 0) summary["path"] = describe(trials);
    if (how.k > train.labels.size()) {
      warn_(
          fmt::format("k = {} is more than the {} train rows: all of them vote", how.k, train.labels.size()));
    }
    return how;
  }

  /// Scores every setting with one search for the largest k.
  void try_on_val(const Rows& train, const linalg::FeatureRows& val, const LearnerInput& input,
                  std::vector<Trial>& trials) const {
    std::vector<std::vector<Trial>> parts(val.blocks(), trials);
    input.parallel.for_each(val.blocks(), [&](std::size_t b) {
      if (input.interrupted) throw Error("interrupted");
      std::vector<float> scratch;
      const std::size_t count = val.count(b);
      const auto found = train.index.search({val.block(b, scratch), count * val.dim()}, ks_.back());
      const std::size_t k = found.size() / count;
      std::vector<float> shares(input.classes.size());
      for (std::size_t r = 0; r < count; ++r) {
        const auto label = static_cast<std::size_t>(val.labels()[val.begin(b) + r]);
        for (Trial& trial : parts[b]) {
          vote({found.data() + r * k, k}, trial.how, train.labels, shares);
          trial.accuracy += linalg::argmax(std::span<const float>(shares)) == label ? 1 : 0;
          trial.log_loss -= std::log(std::max<double>(shares[label], 0x1p-52));
        }
      }
    });
    const auto n = static_cast<double>(val.rows());
    for (std::size_t t = 0; t < trials.size(); ++t) {
      for (const std::vector<Trial>& part : parts) {
        trials[t].accuracy += part[t].accuracy;
        trials[t].log_loss += part[t].log_loss;
      }
      trials[t].accuracy /= n;
      trials[t].log_loss /= n;
    }
  }

  static Value describe(const std::vector<Trial>& trials) {
    Value path = Value::list();
    for (const Trial& trial : trials) {
      Value v = Value::map();
      v["k"] = static_cast<std::int64_t>(trial.how.k);
      v["temperature"] = trial.how.temperature;
      v["val_accuracy"] = trial.accuracy;
      v["val_log_loss"] = trial.log_loss;
      path.push(std::move(v));
    }
    return path;
  }

  std::vector<std::size_t> ks_;
  std::vector<double> temperatures_;
  std::function<void(const std::string&)> warn_;
};

constexpr const char* kExample = R"(name: knn
stages:
  images: {plugin: synthetic}
  features:
    plugin: torch_backbone
    from: images
    with: {model: "${GRAFT_SHARE}/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  knn: {plugin: knn, from: table, with: {k: [1, 5, 10, 20], temperature: 0.07}}
  report: {plugin: evaluate, from: knn}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(knn, "1.0.0", graft::Knn,
             graft::PluginSchema::learner("Weighted k nearest neighbours by cosine similarity, exact.")
                 .input(graft::PortType::Table,
                        "Feature vectors with one label a row; they are scaled to length 1.")
                 .output("out", graft::PortType::Predictor, "f32[?]",
                         "Share of the neighbours' votes for each class.")
                 .param(graft::list("k", graft::integer("k").range(1, 10000))
                            .or_scalar()
                            .items(1, 100)
                            .default_list({graft::kDefaultK})
                            .unit("rows")
                            .doc("Neighbours that vote. Of several, the one with the best accuracy on val is "
                                 "taken (then the "
                                 "lowest log loss, then the smallest)."))
                 .param(graft::list("temperature", graft::number("temperature").range(1e-4, 1e4))
                            .or_scalar()
                            .items(1, 100)
                            .default_list({graft::kDefaultTemperature})
                            .doc("T of the vote exp(similarity / T): low lets the nearest decide, high "
                                 "counts all alike. Of "
                                 "several, chosen on val together with k."))
                 .example(graft::kExample))
