#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <graft/params.h>

#include <embedding/embedding.h>
#include <embedding/fits.h>
#include <learning/features.h>

namespace graft::embedding {

/// The parameter `embedding` of learners that compare feature vectors: which map the vectors go through
/// first, fitted on the rows that the learner learns from.
class EmbeddingParameter {
 public:
  /// Declares it; left out: no map.
  static ParamSpec spec();
  /// Reads it from the parameters of a stage.
  explicit EmbeddingParameter(const Params& params);

  bool given() const { return chosen_.has_value(); }

  struct Context {
    std::size_t classes = 0;
    std::uint64_t seed = 0;  ///< Of the stage.
    const Warn& warn;
    Parallel& parallel;
  };
  /// Throws Error when the rows leave nothing to fit. `given()` only.
  Embedding fit(const learning::FeatureRows& rows, const Context& context) const;

 private:
  std::optional<std::pair<std::string, Params>> chosen_;
};

}  // namespace graft::embedding
