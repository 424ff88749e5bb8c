// The page: Content to HTML.

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "assets.h"
#include "chart.h"
#include "content.h"
#include "drawings.h"
#include "markup.h"
#include "record.h"
#include "sections.h"

namespace graft::page {
namespace {

/// Rows of a table of classes, and pairs of them; the rest is in results.json.
constexpr std::size_t kClassRows = 1000, kPairRows = 50, kDetailedPanels = 8;

/// Sections of the page, and their items and images for the script.
class Composer {
 public:
  explicit Composer(const Content& content) : content_(content) {}

  std::string html() {
    add("verdict", "Verdict", verdict());
    if (content_.panels.size() > 1 || !content_.figures.empty()) add("learners", "Learners", learners());
    if (!content_.panels.empty()) add("details", "One learner in detail", details());
    if (!content_.map.points.empty()) add("map", "Map of the features", map_section());
    if (!content_.neighbourhoods.empty()) add("neighbours", "What mistakes look like", neighbours());
    if (const auto drawn = shots(content_); !drawn.empty()) add("shots", "More labels", figures_of(drawn));
    for (std::size_t i = 0; i < content_.sections.size(); ++i)
      add(fmt::format("section-{}", i + 1), escaped(shortened(content_.sections[i].section.title)),
          section_html(content_.sections[i], i));
    add("inputs", "Inputs", inputs_html(content_));
    if (!content_.stages.empty()) add("stages", "Stages", stages_html(content_));
    add("network", "Network", network_html(content_));
    add("provenance", "How to repeat it", provenance_html(content_));
    return page();
  }

 private:
  struct Section {
    std::string id, title, body;
  };

  void add(std::string id, std::string title, std::string body) {
    if (!body.empty()) sections_.push_back({std::move(id), std::move(title), std::move(body)});
  }

  // Verdict.

  const Panel* best_panel() const { return content_.panel(content_.best); }

  std::string verdict() const {
    std::string out = "<p class=\"lead\">" + verdict_sentence() + "</p>";
    if (!content_.figures.empty())
      out +=
          "<p class=\"hint\">Choices are made on the inputs of val; no choice has seen those of test. A "
          "95&nbsp;% "
          "interval shows how much a score may differ for other inputs of the kind.</p>";
    const Value::List& warnings = list_at(content_.manifest, {"warnings"});
    if (warnings.empty()) return out;
    out += "<div class=\"warnings\"><h3>Graft warns</h3><ul>";
    for (const Value& w : warnings)
      if (w.is_string()) out += "<li>" + escaped(w.as_string()) + "</li>";
    return out + "</ul></div>";
  }

  std::string verdict_sentence() const {
    if (const std::string error = text_at(content_.manifest, {"error"}); !error.empty())
      return "<strong>This run has failed</strong>, and the page shows what it had: " + escaped(error);
    if (content_.panels.empty()) return "This run has no learners to report on.";
    const Panel* best = best_panel();
    if (best == nullptr && std::any_of(content_.figures.begin(), content_.figures.end(),
                                       [](const Figure& f) { return f.split == Split::Val; }))
      return "No learner has a score on val to be chosen by, so nothing says which one to use. "
             "What is below says why.";
    if (best == nullptr)
      return "No learner has scores on val, so nothing says which one to use. Give the source val rows, and "
             "the "
             "config an <code>evaluate</code> stage.";
    const FigureSpec* by = criterion_of(best->learner);
    const Figure* val = by == nullptr ? nullptr : content_.figure(best->learner, "val", by->name);
    std::string out;
    if (val != nullptr)
      out += fmt::format("<strong>{}</strong> {} ({} {} on {}). ", name_in_text(best->learner),
                         content_.panels.size() > 1
                             ? fmt::format("is the best of {} learners on val", content_.panels.size()) +
                                   (content_.best_of_run.empty() || content_.best_of_run == best->learner
                                        ? ""
                                        : fmt::format(" that this page shows (of the whole run it is {})",
                                                      name_in_text(content_.best_of_run)))
                             : "has been tested on val",
                         escaped(by->title()), number(*val->value), plural(val->n, "input"));
    const Figure* test = by == nullptr ? nullptr : content_.figure(best->learner, "test", by->name);
    if (test != nullptr && !test->value)
      return out +
             fmt::format("On test its {} has no value: {}.", escaped(by->title()), escaped(test->undefined));
    if (test == nullptr)
      return out + "There are no labelled test inputs: how good it is on new images has not been measured.";
    out += "On test, which no choice has seen, ";
    // Without decisions it is right on none.
    if (!best->per_class.empty())
      out += fmt::format("it is right on {} of {} inputs: ", count(best->right), count(best->n));
    out += fmt::format("{} {}",
                       best->per_class.empty() ? "its " + escaped(by->title()) + " is" : escaped(by->title()),
                       number(*test->value));
    if (test->interval)
      out += fmt::format(", 95&nbsp;% interval {} to {}", number(test->interval->first),
                         number(test->interval->second));
    out += ".";
    if (const std::string only = only_class_of(*best); !only.empty())
      out += fmt::format(
          " All of them are of one class, {}: whether classes are told apart has not been measured.",
          name_in_text(only));
    if (content_.lead) {
      const metrics::Interval& d = content_.lead->difference;
      const bool sure = d.low > 0 || d.high < 0;
      out += fmt::format(" Against {}, its accuracy differs by {:+.4f} (95&nbsp;%: {:+.4f} to {:+.4f}): {}.",
                         name_in_text(content_.lead->over), d.mean, d.low, d.high,
                         sure ? "a difference that other inputs would probably show, too"
                              : "other inputs could turn that around");
    }
    return out;
  }

  /// The class of all labelled rows, where there is one.
  static std::string only_class_of(const Panel& p) {
    std::string only;
    for (std::size_t c = 0; c < p.per_class.size(); ++c) {
      if (p.per_class[c].support == 0) continue;
      if (!only.empty() || p.per_class[c].support < p.n) return {};
      only = shortened(p.classes[c]);
    }
    return only;
  }

  const FigureSpec* criterion_of(const std::string& learner) const {
    for (const FigureSpec& spec : content_.specs)
      if (const Figure* f = content_.figure(learner, "val", spec.name);
          spec.choice == FigureSpec::Choice::Criterion && f != nullptr && f->value)
        return &spec;
    return nullptr;
  }

  // Learners.

  std::string learners() const {
    std::string out =
        content_.best.empty() || content_.panels.size() < 2
            ? std::string()
            : "<p>The learner that val chooses, " + name_in_text(content_.best) + ", is bold.</p>";
    out += figures_of(comparison(content_));
    std::set<const FigureSpec*> shown;
    for (const char* split : {"test", "val"}) {
      std::vector<const FigureSpec*> columns;
      for (const FigureSpec& spec : content_.specs)
        if (std::any_of(content_.panels.begin(), content_.panels.end(), [&](const Panel& p) {
              const Figure* f = content_.figure(p.learner, split, spec.name);
              return f != nullptr && f->value;
            }))
          columns.push_back(&spec);
      if (columns.empty()) continue;
      shown.insert(columns.begin(), columns.end());
      out += fmt::format(
          "<details{}><summary>Every score on {}</summary><div class=\"scroll\"><table class="
          "\"sortable\"><thead><tr><th scope=\"col\">score</th>",
          std::string_view(split) == "test" ? " open" : "", split);
      for (const Panel& p : content_.panels) out += "<th scope=\"col\">" + name_in_text(p.learner) + "</th>";
      out += "</tr></thead><tbody>";
      for (const FigureSpec* spec : columns) {
        out += fmt::format("<tr><th scope=\"row\" title=\"{}\">{} <span class=\"arrow\">{}</span></th>",
                           escaped(spec->text), escaped(spec->title()),
                           spec->is_higher_better ? "&#8593;" : "&#8595;");
        for (const Panel& p : content_.panels) out += cell_of(content_.figure(p.learner, split, spec->name));
        out += "</tr>";
      }
      out += "</tbody></table></div></details>";
    }
    return out + meanings(shown);
  }

  std::string meanings(const std::set<const FigureSpec*>& shown) const {
    if (shown.empty()) return {};
    std::string out = "<details><summary>What the scores mean</summary><dl>";
    for (const FigureSpec& spec : content_.specs)
      if (shown.contains(&spec))
        out += fmt::format("<dt>{}</dt><dd>{} {} is better.</dd>", escaped(spec.title()), escaped(spec.text),
                           spec.is_higher_better ? "Higher" : "Lower");
    return out + "</dl></details>";
  }

  static std::string cell_of(const Figure* f) {
    if (f == nullptr) return "<td></td>";
    if (!f->value) return fmt::format("<td class=\"none\" title=\"{}\">none</td>", escaped(f->undefined));
    std::string out = "<td>" + number(*f->value);
    if (f->interval)
      out += fmt::format("<span class=\"interval\">{} to {}</span>", number(f->interval->first),
                         number(f->interval->second));
    return out + "</td>";
  }

  // One learner.

  std::string details() {
    std::string out;
    const std::vector<std::size_t> shown = detailed();
    const auto is_first = [&](std::size_t i) {
      const bool has_best = std::any_of(shown.begin(), shown.end(), [&](std::size_t k) {
        return content_.panels[k].learner == content_.best;
      });
      return has_best ? content_.panels[i].learner == content_.best : i == shown[0];
    };
    if (content_.panels.size() > 1) {
      out += "<p><label>Learner <select id=\"learner\">";
      for (const std::size_t i : shown)
        out += fmt::format("<option value=\"{}\"{}>{}</option>", i, is_first(i) ? " selected" : "",
                           escaped(content_.panels[i].learner));
      out += "</select></label></p>";
    }
    for (const std::size_t i : shown)
      out += fmt::format("<div class=\"panel\" data-panel=\"{}\"{}>{}</div>", i, is_first(i) ? "" : " hidden",
                         panel(content_.panels[i], i));
    const auto missing =
        static_cast<std::uint64_t>(std::count(content_.images.begin(), content_.images.end(), std::string()));
    if (missing > 0)
      out += fmt::format(
          "<p>{} of {} could not be read again when the page was made, because the file is gone or the "
          "source "
          "cannot be read twice: names stand in their place.</p>",
          count(missing), plural_count(content_.images.size(), "image", "images"));
    if (content_.panels.size() > shown.size())
      out += fmt::format("<p>results.json also has the scores of {}.</p>",
                         plural(content_.panels.size() - shown.size(), "other learner"));
    return out;
  }

  /// The learners that have a panel: the first ones, and the best in any case.
  std::vector<std::size_t> detailed() const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < content_.panels.size(); ++i)
      if (out.size() < kDetailedPanels)
        out.push_back(i);
      else if (content_.panels[i].learner == content_.best)
        out.back() = i;
    return out;
  }

  std::string panel(const Panel& p, std::size_t index) {
    if (p.split.empty())
      return fmt::format("<p>{} has no labelled val or test inputs: there is nothing to show.</p>",
                         name_in_text(p.learner));
    std::string out = fmt::format("<h3>{} on {}</h3>", name_in_text(p.learner), p.split);
    if (!p.improper.empty())
      out += fmt::format(
          "<p class=\"warnings\">Its {}. {}</p>", escaped(p.improper),
          p.per_class.empty()
              ? "Nothing says which class it takes an input for, so its decisions are not shown."
              : "What follows goes by the order of its scores; what needs probabilities is left out.");
    out += confusion_of(p, index);
    if (!p.mistakes.empty() || !p.unsure.empty())
      out +=
          "<p class=\"hint\">Below an image: the predicted class and its score, then the true class where it "
          "is "
          "another one.</p>";
    out += gallery_of("Most confident mistakes", p.mistakes);
    out += gallery_of("Least certain", p.unsure);
    out += classes_of(p);
    std::vector<Drawing> drawn = reliability(content_, p);
    const std::vector<Drawing> trained = training(p);
    drawn.insert(drawn.end(), trained.begin(), trained.end());
    if (drawn.empty()) return out;
    out += "<h4>Calibration and training</h4>" + figures_of(drawn);
    if (!p.calibration.empty())
      out += fmt::format(
          "<p class=\"hint\">Confidence is the score of the predicted class. On the straight dashed line the "
          "learner is right as often as it says. Where a point stands for few inputs, chance moves it: "
          "reports/<i>stage</i>/reliability_{}.csv has their numbers.</p>",
          escaped(shortened(p.learner)));
    return out;
  }

  std::string confusion_of(const Panel& p, std::size_t index) {
    if (p.confusion.empty()) return {};
    for (const auto& [cell, items] : p.cells) {
      Value& positions = cells_[std::to_string(index)][fmt::format("{},{}", cell.first, cell.second)];
      positions = Value::list();
      for (const Item& item : items) positions.push(position_of(item));
    }
    std::string out = "<h4>What is taken for what</h4>";
    const char* choice = "cell";
    if (const std::vector<Drawing> drawn = confusion(p); !drawn.empty()) {
      out += fmt::format(
          "<p><label><input type=\"checkbox\" class=\"by-row\"> in percent of the true class</label></p><div "
          "class=\"scroll\">{}</div>",
          drawn[0].svg);
    } else {
      out += pairs_of(p);
      choice = "number of inputs";
    }
    return out + fmt::format(
                     "<div class=\"cell-images\" aria-live=\"polite\"><p class=\"hint\">Choose a {} to see "
                     "images.</p></div>",
                     choice);
  }

  static std::string pairs_of(const Panel& p) {
    std::vector<metrics::ConfusionCell> pairs = p.confusion;
    std::erase_if(pairs, [](const metrics::ConfusionCell& c) { return c.truth == c.predicted; });
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const auto& a, const auto& b) { return a.rows > b.rows; });
    if (pairs.empty()) return "<p>Nothing is confused.</p>";
    const std::size_t shown = std::min(pairs.size(), kPairRows);
    std::string out = fmt::format("<p>The {} most frequent of {} confused pairs.</p>", shown, pairs.size());
    out +=
        "<div class=\"scroll tall\"><table class=\"sortable\"><thead><tr><th scope=\"col\">true</th><th "
        "scope=\"col\" class=\"t\">predicted</th><th scope=\"col\">inputs</th><th scope=\"col\">of the "
        "class</th></tr></thead><tbody>";
    for (std::size_t i = 0; i < shown; ++i) {
      const metrics::ConfusionCell& c = pairs[i];
      out += fmt::format(
          "<tr><td>{}</td><td class=\"t\">{}</td><td><button type=\"button\" "
          "data-cell=\"{},{}\">{}</button></td><td>{:.1f}&nbsp;"
          "%</td></tr>",
          name_in_text(shortened(p.classes[c.truth])), name_in_text(shortened(p.classes[c.predicted])),
          c.truth, c.predicted, c.rows,
          100.0 * static_cast<double>(c.rows) / static_cast<double>(p.per_class[c.truth].support));
    }
    return out + "</tbody></table></div>";
  }

  std::string classes_of(const Panel& p) const {
    if (p.per_class.empty()) return {};
    std::vector<std::size_t> order;
    for (std::size_t c = 0; c < p.classes.size(); ++c) order.push_back(c);
    const std::size_t most =
        std::max<std::size_t>(50, kClassRows / std::min(content_.panels.size(), kDetailedPanels));
    std::string note;
    if (order.size() > most) {
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const auto rank = [&](std::size_t c) {
          return p.per_class[c].support > 0 ? p.per_class[c].f1() : 2.0;  // those without rows last
        };
        return rank(a) < rank(b);
      });
      order.resize(most);
      note = fmt::format("<p>The {} worst of {} classes; results.json has all.</p>", most, p.classes.size());
    }
    std::string out = "<h4>Classes</h4>" + note;
    out +=
        "<div class=\"scroll tall\"><table class=\"sortable\"><thead><tr><th scope=\"col\">class</th><th "
        "scope=\"col\">inputs</th><th scope=\"col\">predicted</th><th scope=\"col\">precision</th><th "
        "scope=\"col\">recall</th><th scope=\"col\">F1</th></tr></thead><tbody>";
    for (const std::size_t c : order) {
      const metrics::ClassCounts& k = p.per_class[c];
      out += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>",
                         name_in_text(shortened(p.classes[c])), k.support, k.predicted);
      for (const double v : {k.precision(), k.recall(), k.f1()})
        out += k.support + k.predicted == 0 ? "<td>-</td>" : "<td>" + number(v) + "</td>";
      out += "</tr>";
    }
    return out + "</tbody></table></div>";
  }

  // Images.

  std::int64_t position_of(const Item& item) {
    Value v = Value::map();
    v["k"] = printable(shortened(item.key));
    v["t"] = printable(shortened(item.truth));
    v["p"] = printable(shortened(item.predicted));
    v["s"] = number(item.score);
    v["r"] = item.right;
    if (item.thumbnail) v["i"] = Value(std::uint64_t{*item.thumbnail});
    items_.push(std::move(v));
    return static_cast<std::int64_t>(items_.as_list().size()) - 1;
  }

  static std::string image_of(const Item& item) {
    const std::string alt = escaped("image of " + shortened(item.truth));
    return item.thumbnail ? fmt::format("<img data-image=\"{}\" alt=\"{}\">", *item.thumbnail, alt)
                          : "<span class=\"no-image\">" + escaped(printable(shortened(item.key))) + "</span>";
  }

  static std::string figure_of(const Item& item, const std::string& caption) {
    return fmt::format("<figure class=\"item{}\" title=\"{}\">{}<figcaption>{}</figcaption></figure>",
                       item.right ? "" : " wrong", escaped(printable(shortened(item.key))), image_of(item),
                       caption);
  }

  static std::string caption_of(const Item& item) {
    const std::string score = fmt::format(" <span class=\"score\">{}</span>", number(item.score));
    if (item.right) return name_in_text(shortened(item.truth)) + score;
    return name_in_text(shortened(item.predicted)) + score + "<span class=\"truth\">is " +
           name_in_text(shortened(item.truth)) + "</span>";
  }

  static std::string gallery_of(const char* title, const std::vector<Item>& items) {
    if (items.empty()) return {};
    std::string out = fmt::format("<h4>{}</h4><div class=\"gallery\">", title);
    for (const Item& item : items) out += figure_of(item, caption_of(item));
    return out + "</div>";
  }

  std::string map_section() {
    for (const Item& item : content_.map_items) points_.push(position_of(item));
    std::string out =
        "<p>Each point is an input, in the colour of its class. Rings are mistakes. Point at one to see its "
        "image, or go from one to the next with the arrow keys. On the first map neighbours have similar "
        "features, and distances between groups mean little; "
        "the "
        "second one shows the two directions in which features differ most.</p><div class=\"map\">" +
        figures_of(map(content_)) + "<div class=\"card\" id=\"card\" aria-live=\"polite\"></div></div>";
    const std::vector<std::string>& classes = content_.panels[0].classes;
    if (classes.size() > kColors) return out;
    out += "<p class=\"legend\">";
    for (std::size_t c = 0; c < classes.size(); ++c)
      out += fmt::format("<span class=\"key c{}\">{}</span> ", c, name_in_text(shortened(classes[c])));
    return out + "</p>";
  }

  std::string neighbours() {
    std::string out =
        "<p>The most confident mistakes, each beside the training inputs with the most similar features; "
        "their numbers are the cosine of both features, 1 for equal ones.</p>";
    for (const Content::Neighbourhood& n : content_.neighbourhoods) {
      out += "<div class=\"gallery row\">" + figure_of(n.query, caption_of(n.query));
      for (const Item& item : n.nearest)
        out += figure_of(item, name_in_text(shortened(item.truth)) +
                                   fmt::format(" <span class=\"score\">{}</span>", number(item.score)));
      out += "</div>";
    }
    return out;
  }

  std::string page() {
    const std::string name = escaped(text_at(content_.results, {"name"}));
    std::string out = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width, initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" "
        "content=\"default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; "
        "base-uri "
        "'none'; form-action 'none'\"><meta name=\"color-scheme\" content=\"light dark\"><title>{} - Graft "
        "report</title><style>{}</style></head>\n<body><header><h1>{}</h1><p class=\"hint\">{}</p><nav "
        "aria-label=\"Sections\">",
        digest_of(kStyle), digest_of(kScript), name, kStyle, name, what_ran());
    for (const Section& s : sections_) out += fmt::format("<a href=\"#{}\">{}</a> ", s.id, s.title);
    out += "</nav></header>\n<main>";
    for (const Section& s : sections_)
      out +=
          fmt::format("<section id=\"{}\" aria-labelledby=\"h-{}\"><h2 id=\"h-{}\">{}</h2>\n{}</section>\n",
                      s.id, s.id, s.id, s.title, s.body);
    Value data = Value::map();
    data["items"] = std::move(items_);
    data["cells"] = std::move(cells_);
    data["points"] = std::move(points_);
    data["images"] = Value::list();
    for (const std::string& image : content_.images) data["images"].push(image);
    out +=
        "</main>\n<noscript><p>Images need the script of this page.</p></noscript>\n<script "
        "type=\"application/json\" id=\"data\">" +
        script_json(data) + "</script>\n<script>";
    out += kScript;
    return out + "</script></body></html>\n";
  }

  static std::string plural_count(std::uint64_t n, const char* one, const char* many) {
    return count(n) + " " + (n == 1 ? one : many);
  }

  /// "397 inputs in 2 classes, by 2 learners, finished 2026-...".
  std::string what_ran() const {
    std::string out = plural_count(count_at(content_.results, {"inputs", "total"}), "input", "inputs");
    if (!content_.panels.empty())
      out += fmt::format(", {}, {}", plural_count(content_.panels[0].classes.size(), "class", "classes"),
                         plural(content_.panels.size(), "learner"));
    return out + (text_at(content_.manifest, {"error"}).empty() ? "; finished " : "; failed ") +
           escaped(text_at(content_.manifest, {"finished"}));
  }

  const Content& content_;
  std::vector<Section> sections_;
  Value items_ = Value::list(), cells_ = Value::map(), points_ = Value::list();
};

}  // namespace

const Panel* Content::panel(const std::string& learner) const {
  for (const Panel& p : panels)
    if (p.learner == learner) return &p;
  return nullptr;
}

const Figure* Content::figure(const std::string& learner, const std::string& split,
                              const std::string& name) const {
  for (const Figure& f : figures)
    if (f.learner == learner && f.name == name && split == to_string(f.split)) return &f;
  return nullptr;
}

std::string to_html(const Content& content) {
  return Composer(content).html();
}

}  // namespace graft::page
