#include <embedding/parameter.h>

#include "learnt.h"

namespace graft::embedding {
namespace {

template <typename T>
std::optional<T> maybe(const Params& params, const char* name) {
  return params.has(name) ? std::optional<T>(params.get<T>(name)) : std::nullopt;
}

ParamSpec dims(const char* sentence) {
  return integer("dims").range(1, 65536).optional().unit("outputs").doc(sentence);
}

/// What both learnt metrics take, before what is their own.
std::vector<ParamSpec> learnt(std::vector<ParamSpec> own) {
  own.insert(own.begin(), integer("dims", 32).range(1, 4096).unit("outputs").doc("Outputs of the map."));
  own.push_back(integer("inputs", 128)
                    .range(1, 4096)
                    .unit("components")
                    .doc("Leading principal components that the map is learnt on."));
  own.push_back(integer("rows", 2000)
                    .range(2, 20000)
                    .unit("rows")
                    .doc("Rows that it is learnt from, each compared with each; drawn at random of more."));
  own.push_back(
      integer("max_iterations", 50)
          .range(0, 100000)
          .doc("Limit of L-BFGS iterations; few of them keep the map from fitting the rows alone."));
  return own;
}

}  // namespace

ParamSpec EmbeddingParameter::spec() {
  return one_of(
             "embedding",
             {object(
                  "pca",
                  {dims("Directions to keep; default: all that carry variance."),
                   number("energy").range(1e-6, 1).optional().doc(
                       "Keep the fewest directions that hold this fraction of the variance; at most dims."),
                   flag("whiten", false).doc("Give every output variance 1.")})
                  .doc("Principal components, mean taken away."),
              object(
                  "lda",
                  {dims("Directions to keep; default: classes - 1, the maximum."),
                   number("shrinkage", 0.1)
                       .range(0, 1)
                       .doc("Fraction of a sphere in the covariance within classes; 0 needs more rows than "
                            "features.")})
                  .doc("Linear discriminant analysis: directions that separate the classes."),
              object("nca", learnt({number("penalty", 0.001)
                                        .range(0, 1e6)
                                        .doc("Weight of half the squared length of the map in the loss: a "
                                             "longer map looks at nearer rows.")}))
                  .doc(
                      "Neighbourhood components analysis: a map under which the nearest rows are of the same "
                      "class."),
              object("contrastive",
                     learnt({number("temperature", 0.1)
                                 .range(1e-3, 100)
                                 .doc("T of exp(cosine / T) in the loss; lower looks at nearer rows.")}))
                  .doc("A linear map trained with the supervised contrastive loss; for cosine."),
              object("select",
                     {choice("by", {"variance", "fisher"}, "variance")
                          .doc("variance, or fisher: variance between classes over that within."),
                      integer("dims", 128).range(1, 65536).unit("features").doc("Features to keep.")})
                  .doc("Some of the features as they are.")})
      .optional()
      .doc(
          "Map that the feature vectors go through before they are compared, fitted on the train rows; left "
          "out: none.");
}

EmbeddingParameter::EmbeddingParameter(const Params& params) {
  if (!params.has("embedding")) return;
  const auto& [kind, value] = params.raw("embedding").as_map().at(0);
  chosen_.emplace(kind, Params(value));
}

Embedding EmbeddingParameter::fit(const learning::FeatureRows& rows, const Context& context) const {
  const auto& [kind, p] = *chosen_;
  if (kind == "pca") {
    const PcaOptions options{maybe<std::size_t>(p, "dims"), maybe<double>(p, "energy"),
                             p.get<bool>("whiten")};
    return fit_pca(rows, options, context.warn, context.parallel);
  }
  if (kind == "lda") {
    const LdaOptions options{maybe<std::size_t>(p, "dims"), p.get<double>("shrinkage")};
    return fit_lda(rows, context.classes, options, context.warn, context.parallel);
  }
  if (kind == "select") {
    const SelectBy by = p.get<std::string>("by") == "fisher" ? SelectBy::Fisher : SelectBy::Variance;
    return select_features(rows, context.classes, by, p.get<std::size_t>("dims"), context.warn,
                           context.parallel);
  }
  LearntOptions options;
  options.loss = kind == "nca" ? LearntOptions::Loss::Nca : LearntOptions::Loss::Contrastive;
  options.dims = p.get<std::size_t>("dims");
  options.inputs = p.get<std::size_t>("inputs");
  options.rows = p.get<std::size_t>("rows");
  options.max_iterations = p.get<int>("max_iterations");
  if (kind == "nca") options.penalty = p.get<double>("penalty");
  if (kind == "contrastive") options.temperature = p.get<double>("temperature");
  options.seed = context.seed;
  return fit_learnt(rows, options, context.warn, context.parallel);
}

}  // namespace graft::embedding
