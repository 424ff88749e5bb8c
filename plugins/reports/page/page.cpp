#include <algorithm>
#include <map>

#include <graft/plugin.h>

#include "content.h"

namespace graft {
namespace {

using page::Content;
using page::Item;
using page::Panel;

class Page final : public Report {
 public:
  explicit Page(const StageContext& context)
      : images_(context.params.get<std::size_t>("images")),
        side_(context.params.get<int>("image_side")),
        points_(context.params.get<std::size_t>("points")),
        neighbours_(context.params.get<std::size_t>("neighbours")),
        seed_(context.seed) {}

  ReportOutput report(const ReportInput& input) override {
    Content content;
    content.results = input.run.results();
    content.manifest = input.run.manifest();
    content.config = input.run.config();
    content.stages = input.run.stages();
    content.figures = input.run.figures();
    content.specs = input.run.figure_specs();
    content.sections = input.run.sections();
    for (const Predictions& p : input.predictions) {
      content.panels.push_back(page::panel_of(p, {}));
      input.parallel.check();
    }
    content.best_of_run = input.run.best_learner();
    content.best = content.panel(content.best_of_run) != nullptr ? content.best_of_run : best_shown(content);
    content.lead = lead(content, input.parallel);
    if (const Panel* shown = shown_in_map(content)) draw_map(*shown, input, content);
    place_images(input, content);
    ReportOutput out;
    out.page = page::to_html(content);
    out.files = page::to_files(content);
    return out;
  }

 private:
  /// Of the learners on the page, by the criterion and the tie-break that its run has chosen by.
  static std::string best_shown(const Content& content) {
    const auto value = [&](const std::string& learner, FigureSpec::Choice choice) -> std::optional<double> {
      for (const FigureSpec& spec : content.specs)
        if (const Figure* f = content.figure(learner, "val", spec.name);
            spec.choice == choice && f != nullptr && f->value)
          return spec.is_higher_better ? *f->value : -*f->value;
      return {};
    };
    std::string best;
    std::pair<std::optional<double>, std::optional<double>> most;
    for (const Panel& p : content.panels) {
      const std::pair rank(value(p.learner, FigureSpec::Choice::Criterion),
                           value(p.learner, FigureSpec::Choice::TieBreak));
      if (!rank.first || rank <= most) continue;
      best = p.learner;
      most = rank;
    }
    return best;
  }

  static const Panel* shown_in_map(const Content& content) {
    if (const Panel* best = content.panel(content.best)) return best;
    for (const Panel& p : content.panels)
      if (!p.keys.empty()) return &p;
    return nullptr;
  }

  /// Against the other learner that is right most often; of inputs that both have.
  std::optional<Content::Lead> lead(const Content& content, Parallel& parallel) const {
    const Panel* best = content.panel(content.best);
    if (best == nullptr || best->split != "test") return {};
    const Panel* second = nullptr;
    for (const Panel& p : content.panels)
      if (&p != best && p.split == "test" && !p.keys.empty() && p.multi_label == best->multi_label &&
          (second == nullptr || p.right * second->n > second->right * p.n))
        second = &p;
    if (second == nullptr) return {};
    const auto paired =
        metrics::paired_difference({best->keys, best->correct}, {second->keys, second->correct}, 0.95,
                                   metrics::kPairedResamples, seed_, parallel);
    if (!paired) return {};
    return Content::Lead{second->learner, paired->n, paired->accuracy};
  }

  /// The features of the inputs that are shown, and of those that its mistakes are like.
  void draw_map(const Panel& panel, const ReportInput& input, Content& content) const {
    const RowSet* rows = input.run.rows(panel.learner);
    const auto predictions = std::find_if(input.predictions.begin(), input.predictions.end(),
                                          [&](const Predictions& p) { return p.learner == panel.learner; });
    if (rows == nullptr || panel.keys.empty()) return;
    const Split shown = panel.split == "test" ? Split::Test : Split::Val;
    std::map<std::string, std::size_t, std::less<>> position;  // of a key in the panel
    for (std::size_t i = 0; i < panel.keys.size(); ++i) position.emplace(panel.keys[i], i);
    std::vector<std::size_t> own, others;
    std::map<std::string, std::size_t, std::less<>> row_of;
    for (std::size_t r = 0; r < rows->rows(); ++r) {
      if (rows->view(r) != 0) continue;
      if (rows->split(r) == shown && position.contains(rows->key(r))) {
        own.push_back(r);
        row_of.emplace(rows->key(r), r);
      } else if (rows->split(r) == Split::Train && rows->labelled(r)) {
        others.push_back(r);
      }
    }
    const auto named = [&](std::size_t row) {
      const auto labels = rows->labels(row);
      return labels.empty() ? std::string("none") : panel.classes[static_cast<std::size_t>(labels[0])];
    };
    if (points_ > 0) content.map = page::feature_map(*rows, own, points_, input.parallel);
    content.near_map = page::neighbour_map(*rows, content.map, input.parallel);
    const Predictions::Part& part = shown == Split::Test ? predictions->test : predictions->val;
    std::map<std::string, std::size_t, std::less<>> scored;
    for (std::size_t i = 0; i < part.keys.size(); ++i) scored.emplace(part.keys[i], i);
    for (const page::FeatureMap::Point& point : content.map.points) {
      const auto labels = rows->labels(point.row);
      content.map_classes.push_back(labels.empty() ? 0 : static_cast<std::size_t>(labels[0]));
      const std::string key(rows->key(point.row));
      const float* scores = part.scores.row(scored.find(key)->second);
      const auto best = std::max_element(scores, scores + part.scores.classes) - scores;
      content.map_items.push_back({key,
                                   named(point.row),
                                   panel.classes[static_cast<std::size_t>(best)],
                                   static_cast<double>(scores[best]),
                                   panel.correct[position.find(key)->second] == 1,
                                   {}});
    }
    std::vector<std::size_t> queries;
    std::vector<const Item*> asked;
    for (const Item& mistake : panel.mistakes)
      if (const auto at = row_of.find(mistake.key); at != row_of.end() && queries.size() < neighbours_) {
        queries.push_back(at->second);
        asked.push_back(&mistake);
      }
    constexpr std::size_t kNearest = 5;
    const auto near = page::nearest_rows(*rows, queries, others, kNearest, input.parallel);
    for (std::size_t q = 0; q < near.size(); ++q) {
      if (near[q].empty()) continue;
      Content::Neighbourhood n{*asked[q], {}};
      for (const page::NearRow& row : near[q])
        n.nearest.push_back(
            {std::string(rows->key(row.row)), named(row.row), named(row.row), row.cosine, true, {}});
      content.neighbourhoods.push_back(std::move(n));
    }
  }

  /// What people look at first gets its image first; the cells of a confusion matrix get theirs in turn.
  void place_images(const ReportInput& input, Content& content) const {
    page::Gallery gallery(images_);
    std::string learner;
    const auto place = [&](Item& item) { item.thumbnail = gallery.place(learner, item.key); };
    std::vector<Panel*> panels;
    for (Panel& p : content.panels) panels.push_back(&p);
    std::stable_partition(panels.begin(), panels.end(),
                          [&](const Panel* p) { return p->learner == content.best; });
    if (!panels.empty()) learner = panels[0]->learner;
    for (Content::Neighbourhood& n : content.neighbourhoods) {
      place(n.query);
      for (Item& item : n.nearest) place(item);
    }
    for (Panel* p : panels) {
      learner = p->learner;
      for (std::vector<Item>* items : {&p->mistakes, &p->unsure})
        for (Item& item : *items) place(item);
      for (std::size_t turn = 0; turn < page::PanelLimits().cell; ++turn)
        for (auto& [cell, items] : p->cells)
          if (turn < items.size() && (turn < 3 || cell.first != cell.second)) place(items[turn]);
    }
    if (!panels.empty()) learner = panels[0]->learner;
    for (Item& item : content.map_items) place(item);
    content.images = gallery.images(input.run, side_);
  }

  std::size_t images_;
  int side_;
  std::size_t points_, neighbours_;
  std::uint64_t seed_;
};

constexpr const char* kExample = R"(name: page
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  knn: {plugin: knn, from: table}
  report: {plugin: evaluate, from: [probe, knn]}
  page: {plugin: page, from: [probe, knn]}
)";

}  // namespace
}  // namespace graft

GRAFT_PLUGIN(
    page, "1.0.0", graft::Page,
    graft::PluginSchema::report("The run as one web page, report.html: which learner to use, which classes "
                                "fail, on which images, and "
                                "how it was made. It loads nothing from elsewhere.")
        .input(graft::PortType::Predictor, "Learners to show; their scores are those of an evaluate stage.",
               true)
        .covers_run()
        .param(graft::integer("images", 300)
                   .range(0, 2000)
                   .not_in_fingerprint()
                   .doc("At most this many inputs are in the page as small images."))
        .param(graft::integer("image_side", 112)
                   .range(16, 256)
                   .unit("px")
                   .not_in_fingerprint()
                   .doc("The longer side of an image is at most this."))
        .param(graft::integer("points", 1000)
                   .range(0, 5000)
                   .not_in_fingerprint()
                   .doc("At most this many inputs are points in the map of the features; 0: no map."))
        .param(graft::integer("neighbours", 6)
                   .range(0, 50)
                   .not_in_fingerprint()
                   .doc("Mistakes that are shown beside the training inputs that are most like them."))
        .example(graft::kExample))
