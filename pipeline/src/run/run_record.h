#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <graft/run_record.h>

#include "config/plan.h"
#include "graph/meter.h"
#include "run/stage_factory.h"
#include "run/stream_run.h"

namespace graft {

/// The record of a run that is at its reports. Everything that it is made of must outlive it.
class CurrentRun final : public RunRecord {
 public:
  struct Sources {
    const Plan& plan;
    StageFactory& factory;
    const Meter& meter;
    const std::vector<std::unique_ptr<StreamRun>>& streams;
    const std::vector<Figure>& figures;
    const std::vector<GivenSection>& sections;
    const Value& timings;
    std::function<Value()> results, manifest;
  };
  explicit CurrentRun(Sources sources);

  std::vector<StageRecord> stages() const override;
  Value results() const override { return run_.results(); }
  Value manifest() const override { return run_.manifest(); }
  std::string config() const override { return to_yaml(run_.plan); }
  const std::vector<Figure>& figures() const override { return run_.figures; }
  const std::vector<GivenSection>& sections() const override { return run_.sections; }
  const std::vector<FigureSpec>& figure_specs() const override { return specs_; }
  std::string best_learner() const override;
  const RowSet* rows(const std::string& learner) const override;
  std::map<std::string, Image> images(const std::string& learner, const std::set<std::string>& keys) override;

 private:
  /// The collector that a learner, or what a calibrator corrects, takes from first.
  std::size_t table_of(const std::string& learner) const;

  /// `way`: the stages from the source to the images. Throws what the source does.
  void read_images(std::size_t source_index, const std::vector<std::size_t>& way,
                   const std::set<std::string>& keys, std::map<std::string, Image>& out);

  const Sources run_;
  const std::vector<FigureSpec> specs_;
  mutable std::map<std::size_t, std::unique_ptr<TableRows>> rows_;  // by collector
};

}  // namespace graft
