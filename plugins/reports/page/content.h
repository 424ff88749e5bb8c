#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <graft/figure.h>
#include <graft/run_record.h>
#include <graft/value.h>

#include <metrics/bootstrap.h>

#include "feature_map.h"
#include "panel.h"

namespace graft::page {

/// Everything that a page shows, as data. Drawing it needs nothing else.
struct Content {
  Value results, manifest;
  std::string config;
  std::vector<RunRecord::StageRecord> stages;
  std::vector<Figure> figures;
  std::vector<FigureSpec> specs;
  std::string best;         ///< The learner of this page that val chooses; empty: none has scores on val.
  std::string best_of_run;  ///< The learner of the run that val chooses, which may not be on this page.

  std::vector<Panel> panels;  ///< One per learner, in the order of the config.
  /// The best learner against the one that comes next on the split that is shown: accuracy, paired.
  struct Lead {
    std::string over;
    std::size_t n = 0;  ///< Inputs that both have scored.
    metrics::Interval difference;
  };
  std::optional<Lead> lead;

  FeatureMap map;
  std::vector<std::pair<double, double>> near_map;  ///< neighbour_map(); empty, or one per point.
  std::vector<Item> map_items;                      ///< One per point of the map.
  std::vector<std::size_t> map_classes;             ///< Of the points: the (first) true class.
  struct Neighbourhood {
    Item query;
    std::vector<Item> nearest;  ///< `score` is the cosine.
  };
  std::vector<Neighbourhood> neighbourhoods;
  std::vector<GivenSection> sections;  ///< Of other reports.
  std::vector<std::string> images;     ///< data: URIs by Item::thumbnail; empty: it cannot be had.

  const Panel* panel(const std::string& learner) const;
  const Figure* figure(const std::string& learner, const std::string& split, const std::string& name) const;
};

/// The page: one HTML file that loads nothing.
std::string to_html(const Content& content);

/// Its drawings as files, with the colours in them: "reliability_probe.svg", and the numbers as CSV.
std::map<std::string, std::string> to_files(const Content& content);

}  // namespace graft::page
