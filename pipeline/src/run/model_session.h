#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <graft/model.h>

#include "base/temporary_folder.h"
#include "graph/flow.h"
#include "graph/workers.h"
#include "run/scorer.h"
#include "run/stage_factory.h"
#include "run/trained_model.h"

namespace graft {

/// Predicts images in memory, again and again: the stages of the run are made once, and every call sends its
/// images through a graph of them. No store. Used by one thread.
class ModelSession {
 public:
  /// Throws Error: everything that predicting needs is made and checked here.
  ModelSession(const std::string& path, const ModelOptions& options);
  ~ModelSession();

  const TrainedModel& model() const { return model_; }
  int threads() const { return workers_.threads(); }
  bool knows_neighbours() const { return scorer_->knows_neighbours(); }

  struct Request {
    const ImageInput* image;
    PredictionExtras extras;
  };
  /// One prediction per request, in their order. Throws Error for what fails for every image.
  std::vector<ImagePrediction> predict(std::span<const Request> requests);

 private:
  class Round;

  const std::function<void(const std::string&)> warn_;
  const TemporaryFolder work_{"graft-model"};
  Registry registry_;
  const TrainedModel model_;
  const Plan plan_;
  Meter meter_;
  StageFactory factory_;
  Workers workers_;
  std::unique_ptr<Scorer> scorer_;
  std::size_t source_ = 0;
  std::vector<Stage*> stages_;        // by stage; null but for the stream, without its source
  std::vector<std::size_t> tables_;   // collectors, in the order of the learner's inputs
  std::vector<std::uint32_t> views_;  // by table
  std::map<std::size_t, const Collector*> collectors_;
  bool has_scored_ = false;               // the learner has taken rows
  const std::atomic<bool> never_{false};  // nothing interrupts a round
};

}  // namespace graft
