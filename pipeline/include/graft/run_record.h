#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/figure.h>
#include <graft/payload.h>
#include <graft/report_section.h>
#include <graft/table.h>
#include <graft/value.h>

namespace graft {

/// What a run knows when its reports are made: for reports on the whole run (PluginSchema::covers_run). One
/// thread. Learners are named by their ids; a calibrator is one, too.
class GRAFT_API RunRecord {
 public:
  virtual ~RunRecord();

  /// One stage of the config and what it did in this run.
  struct StageRecord {
    std::string id, plugin, kind;
    std::vector<std::string> inputs;  ///< Ids of the stages that it takes from.
    std::string shape;                ///< Of its first output, "u8[224,224,3]"; empty: none, or not known.
    std::uint64_t items = 0, rejected = 0;  ///< 0 where every row was stored.
    double busy_seconds = 0;                ///< Of all threads together.
    double seconds = 0;                     ///< From its start to its end: learners and reports.
  };
  virtual std::vector<StageRecord> stages() const = 0;

  /// results.json and manifest.json, as far as they are known.
  virtual Value results() const = 0;
  virtual Value manifest() const = 0;
  /// The resolved config, YAML.
  virtual std::string config() const = 0;

  /// Sections for the page that the reports before have given, in their order.
  virtual const std::vector<GivenSection>& sections() const;
  /// Scores that the reports before have given, and their declarations.
  virtual const std::vector<Figure>& figures() const = 0;
  virtual const std::vector<FigureSpec>& figure_specs() const = 0;
  /// The best on val by the criterion of these declarations; empty: no learner has a score on val.
  virtual std::string best_learner() const = 0;

  /// The rows that a learner was fitted on and scored with, of its first table and of every split; null where
  /// there are none. Lives as long as the record.
  virtual const RowSet* rows(const std::string& learner) const = 0;
  /// Inputs as the first stage that has images gives them, by key. They are read again, in one pass over the
  /// source: for few of them, and once. Those that cannot be had are left out: their file is gone, or their
  /// source was a pipe.
  virtual std::map<std::string, Image> images(const std::string& learner,
                                              const std::set<std::string>& keys) = 0;
};

}  // namespace graft
