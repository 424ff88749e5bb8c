#include "drawings.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include <graft/chart.h>
#include <graft/csv.h>
#include <graft/graph_drawing.h>
#include <graft/value_path.h>

#include "chart.h"
#include "markup.h"

namespace graft::page {
namespace {

std::string csv_of(const std::string& x, const std::vector<Series>& series) {
  std::string out = "series," + x + ",value\n";
  for (const Series& s : series)
    for (const auto& [px, py] : s.points)
      fmt::format_to(std::back_inserter(out), "{},{},{}\n", csv_field(s.name), px, py);
  return out;
}

std::vector<std::string> names_of(const std::vector<Series>& series) {
  std::vector<std::string> out;
  for (const Series& s : series) out.push_back(s.name);
  return out;
}

std::string capital(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string in_words(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

/// The numbers of one name in a list of maps, with those of `x`.
Series series_of(const Value& list, const std::string& x, const std::string& name) {
  Series out{in_words(name), {}, false};
  for (const Value& entry : list.as_list())
    if (const auto at = number_at(entry, {x}), value = number_at(entry, {name}); at && value)
      out.points.emplace_back(*at, *value);
  std::sort(out.points.begin(), out.points.end());
  return out;
}

/// Names in a list of maps that have different numbers, in the order of the first map.
std::vector<std::string> varying_numbers(const Value& list) {
  std::vector<std::string> names;
  if (!list.is_list() || list.as_list().size() < 2 || !list.as_list()[0].is_map()) return names;
  for (const auto& [name, first] : list.as_list()[0].as_map()) {
    if (!first.is_number()) continue;
    std::set<double> values;
    for (const Value& entry : list.as_list())
      if (const auto v = number_at(entry, {name})) values.insert(*v);
    if (values.size() > 1) names.push_back(name);
  }
  return names;
}

bool is_score(const std::string& name) {
  return name.starts_with("val_") || name.find("loss") != std::string::npos ||
         name.find("accuracy") != std::string::npos;
}

/// Losses and fractions do not share an axis.
void add_charts(const Panel& panel, const Value& list, const std::string& x, const std::string& what,
                std::optional<double> marked, std::vector<Drawing>& out) {
  bool log_x = true;
  double low = INFINITY, high = 0;
  for (const Value& entry : list.as_list())
    if (const auto v = number_at(entry, {x})) {
      log_x = log_x && *v > 0;
      low = std::min(low, *v);
      high = std::max(high, *v);
    }
  log_x = log_x && high / low >= 30;
  for (const bool loss : {true, false}) {
    LineChart chart;
    for (const std::string& name : varying_numbers(list)) {
      if (name == x || !is_score(name) || (name.find("loss") != std::string::npos) != loss) continue;
      chart.series.push_back(series_of(list, x, name));
      chart.series.back().dashed = name.starts_with("train");
    }
    if (chart.series.empty()) continue;
    chart.title = fmt::format("{} of {} by {}", loss ? "Loss" : "Accuracy", panel.learner, in_words(x));
    chart.x_label = in_words(x) + (log_x ? " (logarithmic)" : "");
    chart.y_label = loss ? "loss" : "accuracy";
    chart.log_x = log_x;
    chart.marked_x = marked;
    out.push_back({fmt::format("{}_{}_{}", what, loss ? "loss" : "accuracy", panel.learner), chart.title,
                   svg_of(chart), csv_of(x, chart.series), names_of(chart.series)});
  }
}

Series calibration_series(const Panel& panel, const std::string& name) {
  Series s{name, {}, false};
  for (const metrics::CalibrationBin& bin : panel.calibration)
    if (bin.rows > 0)
      s.points.emplace_back(bin.confidence / static_cast<double>(bin.rows),
                            static_cast<double>(bin.correct) / static_cast<double>(bin.rows));
  return s;
}

}  // namespace

std::vector<Drawing> comparison(const Content& content) {
  std::vector<Drawing> out;
  for (const FigureSpec& spec : content.specs) {
    if (!spec.is_in_summary) continue;
    for (const char* split : {"test", "val"}) {
      IntervalChart chart;
      std::string csv = "learner,split,n," + spec.name + ",low,high\n";
      for (const Panel& panel : content.panels) {
        const Figure* f = content.figure(panel.learner, split, spec.name);
        if (f == nullptr || !f->value) continue;
        chart.rows.push_back(
            {panel.learner, *f->value, f->interval, number(*f->value), panel.learner == content.best});
        csv += fmt::format("{},{},{},{},{},{}\n", csv_field(panel.learner), split, f->n, *f->value,
                           f->interval ? fmt::format("{}", f->interval->first) : "",
                           f->interval ? fmt::format("{}", f->interval->second) : "");
      }
      if (chart.rows.empty()) continue;
      chart.title = fmt::format("{} on {}", capital(in_words(spec.name)), split);
      chart.x_label = fmt::format("95 % intervals; {} is better", spec.is_higher_better ? "higher" : "lower");
      out.push_back({"learners_" + spec.name, chart.title, svg_of(chart), csv});
      break;
    }
  }
  return out;
}

std::vector<Drawing> reliability(const Content& content, const Panel& panel) {
  if (panel.calibration.empty()) return {};
  LineChart chart;
  for (const RunRecord::StageRecord& stage : content.stages)
    if (stage.id == panel.learner && stage.kind == "calibrator" && !stage.inputs.empty())
      if (const Panel* before = content.panel(stage.inputs[0]);
          before != nullptr && before->split == panel.split) {
        chart.series.push_back(calibration_series(*before, before->learner + " (before)"));
        chart.series.back().dashed = true;
      }
  chart.series.push_back(calibration_series(panel, panel.learner));
  chart.title = fmt::format("Accuracy of {} on {} by its confidence", panel.learner, panel.split);
  chart.x_label = "confidence";
  chart.y_label = "accuracy";
  chart.x_range = chart.y_range = std::pair(0.0, 1.0);
  chart.diagonal = true;
  std::string csv = "bin_low,bin_high,rows,confidence,accuracy\n";
  for (std::size_t b = 0; b < panel.calibration.size(); ++b) {
    const metrics::CalibrationBin& bin = panel.calibration[b];
    const auto rows = static_cast<double>(bin.rows), bins = static_cast<double>(panel.calibration.size());
    csv += fmt::format("{:.4f},{:.4f},{},{},{}\n", static_cast<double>(b) / bins,
                       static_cast<double>(b + 1) / bins, bin.rows,
                       bin.rows > 0 ? fmt::format("{}", bin.confidence / rows) : "",
                       bin.rows > 0 ? fmt::format("{}", static_cast<double>(bin.correct) / rows) : "");
  }
  return {{"reliability_" + panel.learner, chart.title, svg_of(chart), csv, names_of(chart.series)}};
}

std::vector<Drawing> confusion(const Panel& panel) {
  if (panel.confusion.empty() || panel.classes.size() > kDrawnClasses) return {};
  const ConfusionChart chart{fmt::format("Confusion matrix of {} on {}", panel.learner, panel.split),
                             panel.classes, metrics::dense(panel.confusion, panel.classes.size())};
  std::string csv = "true,predicted,rows\n";
  for (const metrics::ConfusionCell& cell : panel.confusion)
    csv += fmt::format("{},{},{}\n", csv_field(panel.classes[cell.truth]),
                       csv_field(panel.classes[cell.predicted]), cell.rows);
  return {{"confusion_" + panel.learner, chart.title, svg_of(chart), csv}};
}

std::vector<Drawing> training(const Panel& panel) {
  std::vector<Drawing> out;
  for (const char* name : {"curve", "hidden_curve"})
    if (list_at(panel.summary, {name}).size() > 1)
      add_charts(panel, *panel.summary.find(name), "epoch", name, number_at(panel.summary, {"best_epoch"}),
                 out);
  const Value* path = panel.summary.find("path");
  if (path == nullptr) return out;
  std::vector<std::string> varied = varying_numbers(*path);
  // Over several parameters there is no line to draw.
  std::erase_if(varied, is_score);
  std::vector<std::string> chosen;
  for (const std::string& name : varied)
    if (panel.summary.find(name) != nullptr) chosen.push_back(name);
  if (chosen.size() == 1)
    add_charts(panel, *path, chosen[0], "path", number_at(panel.summary, {chosen[0]}), out);
  return out;
}

std::vector<Drawing> shots(const Content& content) {
  std::vector<Drawing> out;
  for (const auto& [id, facts] : map_at(content.results, {"reports"})) {
    LineChart chart;
    for (const auto& [learner, points] : map_at(facts, {"shots", "learners"})) {
      Series s{learner, {}, false};
      for (const Value& point : points.as_list())
        if (const auto n = number_at(point, {"shots"}), mean = number_at(point, {"accuracy", "mean"});
            n && mean)
          s.points.emplace_back(*n, *mean);
      if (!s.points.empty()) chart.series.push_back(std::move(s));
    }
    if (chart.series.empty()) continue;
    chart.title = "Accuracy on test by labelled inputs of each class";
    chart.x_label = "labelled inputs of each class (logarithmic)";
    chart.y_label = "accuracy";
    chart.log_x = true;
    out.push_back(
        {"shots_" + id, chart.title, svg_of(chart), csv_of("shots", chart.series), names_of(chart.series)});
  }
  return out;
}

namespace {

/// The inputs of the map at some places.
Drawing scatter(const Content& content, const std::string& name, ScatterChart chart,
                const std::vector<std::pair<double, double>>& places) {
  std::string csv = "key,class,right,x,y\n";
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Item& item = content.map_items[i];
    const auto& [x, y] = places[i];
    chart.points.push_back({x, y, content.map_classes[i], !item.right,
                            item.right ? item.truth : item.truth + " taken for " + item.predicted});
    csv +=
        fmt::format("{},{},{},{},{}\n", csv_field(item.key), csv_field(item.truth), item.right ? 1 : 0, x, y);
  }
  return {name, chart.title, svg_of(chart), csv};
}

}  // namespace

std::vector<Drawing> map(const Content& content) {
  std::vector<Drawing> out;
  if (!content.near_map.empty()) {
    ScatterChart chart;
    chart.title = "Inputs beside those with similar features (neighbours as in UMAP)";
    out.push_back(scatter(content, "neighbours", std::move(chart), content.near_map));
  }
  if (content.map.points.empty()) return out;
  ScatterChart chart;
  chart.title = "Inputs by the two directions of largest variance (PCA)";
  chart.x_label = fmt::format("first direction ({:.0f} % of the variance)", 100 * content.map.explained[0]);
  chart.y_label = fmt::format("second ({:.0f} %)", 100 * content.map.explained[1]);
  std::vector<std::pair<double, double>> places;
  for (const FeatureMap::Point& point : content.map.points) places.emplace_back(point.x, point.y);
  out.push_back(scatter(content, "features", std::move(chart), places));
  return out;
}

std::vector<std::pair<std::string, const Value*>> networks_of(const Content& content) {
  std::vector<std::pair<std::string, const Value*>> out;
  for (const auto& [id, facts] : map_at(content.manifest, {"stages"}))
    if (const Value* parts = at_path(facts, {"network", "parts"}); parts != nullptr && parts->is_list())
      out.emplace_back(id, facts.find("network"));
  return out;
}

namespace {

constexpr std::size_t kMostBars = 100, kMostLines = 20, kMostPoints = 2000;

Drawing line_drawing(const SectionFigure& figure) {
  LineChart chart;
  chart.title = figure.title;
  chart.x_label = figure.x_label;
  chart.y_label = figure.y_label;
  for (const SectionFigure::Line& line : figure.lines) {
    if (chart.series.size() == kMostLines) break;
    Series s{line.name, {}, false};
    const std::size_t step = std::max<std::size_t>(1, (line.points.size() + kMostPoints - 1) / kMostPoints);
    for (std::size_t i = 0; i < line.points.size(); i += step)
      if (std::isfinite(line.points[i].first) && std::isfinite(line.points[i].second))
        s.points.push_back(line.points[i]);
    if (!s.points.empty()) chart.series.push_back(std::move(s));
  }
  if (chart.series.empty()) return {{}, chart.title, {}, {}};
  return {{}, chart.title, svg_of(chart), csv_of("x", chart.series), names_of(chart.series)};
}

Drawing bar_drawing(const SectionFigure& figure) {
  BarChart chart;
  chart.title = figure.title;
  std::string csv = "name,value\n";
  for (const auto& [name, value] : figure.bars) {
    if (chart.rows.size() == kMostBars) break;
    if (!std::isfinite(value)) continue;
    chart.rows.push_back({name, std::max(value, 0.0), number(value)});
    csv += fmt::format("{},{}\n", csv_field(name), value);
  }
  if (chart.rows.empty()) return {{}, chart.title, {}, {}};
  return {{}, chart.title, svg_of(chart), csv};
}

/// Of more bars than a drawing shows, in their order. False: there are not more.
bool keep_largest(std::vector<BarChart::Row>& rows) {
  if (rows.size() <= kMostBars) return false;
  std::vector<double> values;
  for (const BarChart::Row& row : rows) values.push_back(row.value);
  std::nth_element(values.begin(), values.begin() + (kMostBars - 1), values.end(), std::greater<>());
  const double least = values[kMostBars - 1];
  // Of those that are as small as the least of the largest, the first that there is room for.
  auto room = kMostBars - static_cast<std::size_t>(std::count_if(
                              rows.begin(), rows.end(), [&](const auto& row) { return row.value > least; }));
  std::erase_if(rows, [&](const BarChart::Row& row) {
    if (row.value > least) return false;
    if (row.value < least || room == 0) return true;
    --room;
    return false;
  });
  return true;
}

}  // namespace

std::vector<Drawing> section_figures(const GivenSection& given, std::size_t number) {
  std::vector<Drawing> out;
  for (const ReportSection::Part& part : given.section.parts)
    if (const auto* figure = std::get_if<SectionFigure>(&part)) {
      Drawing drawing = figure->bars.empty() ? line_drawing(*figure) : bar_drawing(*figure);
      drawing.name = fmt::format("section_{}_{}_{}", given.stage, number + 1, out.size() + 1);
      out.push_back(std::move(drawing));
    }
  return out;
}

std::vector<Drawing> networks(const Content& content) {
  std::vector<Drawing> out;
  for (const auto& [id, network] : networks_of(content)) {
    const bool is_described = network->find("multiply_adds") != nullptr;
    BarChart chart;
    std::string csv = is_described ? "part,multiply_adds,parameters\n" : "module,parameters\n";
    for (const Value& part : network->find("parts")->as_list()) {
      const std::string text = text_at(part, {"name"});
      const double parameters = number_at(part, {"parameters"}).value_or(0);
      const double cost = is_described ? number_at(part, {"multiply_adds"}).value_or(0) : parameters;
      csv += is_described ? fmt::format("{},{},{}\n", csv_field(text), cost, parameters)
                          : fmt::format("{},{}\n", csv_field(text), parameters);
      if (cost > 0) chart.rows.push_back({text, cost, large_number(cost)});
    }
    chart.title = is_described ? fmt::format("Multiply-adds of the parts of {}", id)
                               : fmt::format("Parameters of the modules of {}", id);
    if (keep_largest(chart.rows)) chart.title += fmt::format(", the {} largest", kMostBars);
    out.push_back({"network_" + id, chart.title, svg_of(chart), csv});
  }
  return out;
}

std::optional<double> waited_seconds(const Content& content, const RunRecord::StageRecord& stage) {
  if (stage.items == 0) return {};
  return number_at(content.results, {"timings", "waited", stage.id});
}

std::vector<Drawing> stage_graph(const Content& content) {
  GraphDrawing graph;
  graph.title = "The stages of the run";
  std::string csv = "stage,plugin,kind,items,rejected,busy_seconds,waited_seconds,seconds\n";
  for (const RunRecord::StageRecord& s : content.stages) {
    GraphDrawing::Node node{{s.id, s.plugin}, {}};
    node.lines.push_back(s.items > 0     ? fmt::format("{} in {} s", count(s.items), number(s.busy_seconds))
                         : s.seconds > 0 ? fmt::format("{} s", number(s.seconds))
                                         : s.shape);
    for (const std::string& input : s.inputs)
      for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        if (graph.nodes[i].lines[0] == input) node.inputs.push_back({i});
    const auto waited = waited_seconds(content, s);
    if (waited)
      node.lines.push_back(fmt::format("waited {} s each", number(*waited / static_cast<double>(s.items))));
    graph.nodes.push_back(std::move(node));
    csv += fmt::format("{},{},{},{},{},{},{},{}\n", s.id, s.plugin, s.kind, s.items, s.rejected,
                       s.busy_seconds, waited ? fmt::format("{}", *waited) : "", s.seconds);
  }
  return {{"stages", graph.title, svg_of(graph), csv}};
}

}  // namespace graft::page
