#include "record.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/schema.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "drawings.h"
#include "markup.h"
#include "sections.h"

namespace graft::page {
namespace {

std::string rejects(const Content& content) {
  const Value::List& reasons = list_at(content.results, {"reject_reasons"});
  if (reasons.empty()) return {};
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">inputs</th><th scope=\"col\" "
      "class=\"t\">stage</th><th "
      "scope=\"col\" class=\"t\">reason</th><th scope=\"col\" class=\"t\">for "
      "example</th></tr></thead><tbody>";
  for (const Value& reason : reasons)
    out += fmt::format(
        "<tr><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td class=\"t w\">{}: {}</td></tr>",
        count(count_at(reason, {"count"})), escaped(text_at(reason, {"stage"})),
        escaped(text_at(reason, {"code"})), name_in_text(shortened(text_at(reason, {"key"}))),
        escaped(shortened(text_at(reason, {"text"}))));
  return out + "</tbody></table></div>";
}

/// Inputs of equal content: those in two splits make scores too good.
std::string duplicates(const Content& content) {
  std::string out, rows;
  std::uint64_t all = 0, leaks = 0, shown = 0;
  for (const auto& [source, found] : map_at(content.results, {"duplicates"})) {
    all += count_at(found, {"inputs"});
    leaks += count_at(found, {"in_other_splits"});
    for (const Value& pair : list_at(found, {"examples"})) {
      rows += "<tr>";
      for (const Value* side : {&pair, pair.find("of")})
        if (side != nullptr)
          rows += fmt::format("<td class=\"t w\">{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td>",
                              name_in_text(shortened(text_at(*side, {"key"}))),
                              escaped(text_at(*side, {"split"})),
                              name_in_text(shortened(text_at(*side, {"class"}))));
      rows += "</tr>";
      ++shown;
    }
  }
  if (map_at(content.results, {"duplicates"}).empty()) return out;
  out = "<h3>Duplicates and leaks</h3>";
  if (all == 0) return out + "<p>No two inputs that were used are known to have the same content.</p>";
  out += fmt::format("<p>{} the content of an earlier one; {}.</p>",
                     all == 1 ? "1 input has" : count(all) + " inputs have",
                     leaks == 0 ? "none of them is in another split"
                                : fmt::format("{} in another split, which makes scores too good",
                                              leaks == 1 ? "1 of them is" : count(leaks) + " of them are"));
  if (shown < all) out += fmt::format("<p class=\"hint\">{} of them; inputs.csv has all.</p>", count(shown));
  return out +
         "<div class=\"scroll tall\"><table><thead><tr><th scope=\"col\" class=\"t\">input</th><th "
         "scope=\"col\" class=\"t\">split</th><th scope=\"col\" class=\"t\">class</th><th scope=\"col\" "
         "class=\"t\">same content as</th><th scope=\"col\" class=\"t\">split</th><th scope=\"col\" "
         "class=\"t\">class</th></tr></thead><tbody>" +
         rows + "</tbody></table></div>";
}

std::string waited_of(const Content& content, const RunRecord::StageRecord& s) {
  const auto seconds = waited_seconds(content, s);
  return seconds ? number(*seconds / static_cast<double>(s.items)) : std::string();
}

/// "224 x 224", height and width.
std::string image_size(const Value& network) {
  const Value::List& image = list_at(network, {"image"});
  return image.size() != 2 ? "unknown size" : fmt::format("{} x {}", image[0].to_json(), image[1].to_json());
}

/// Of a network whose layers are not known.
std::string modules_table(const Value& network) {
  std::string out =
      "<details><summary>Its modules</summary><div class=\"scroll tall\"><table><thead><tr><th "
      "scope=\"col\">module</th><th scope=\"col\" class=\"t\">type</th><th "
      "scope=\"col\">parameters</th></tr></thead><tbody>";
  for (const Value& part : list_at(network, {"parts"}))
    out += fmt::format("<tr><th scope=\"row\">{}</th><td class=\"t\">{}</td><td>{}</td></tr>",
                       escaped(text_at(part, {"name"})), escaped(text_at(part, {"type"})),
                       large_number(static_cast<double>(count_at(part, {"parameters"}))));
  return out + "</tbody></table></div></details>";
}

}  // namespace

std::string inputs_html(const Content& content) {
  const std::uint64_t total = count_at(content.results, {"inputs", "total"}),
                      rejected = count_at(content.results, {"inputs", "rejected"});
  std::string out = fmt::format("<p>{} of {} inputs were used, {} rejected.</p>", count(total - rejected),
                                count(total), count(rejected));
  return out + rejects(content) + duplicates(content);
}

std::string stages_html(const Content& content) {
  std::string out;
  for (const Drawing& d : stage_graph(content)) out += "<div class=\"scroll\">" + d.svg + "</div>";
  out +=
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">stage</th><th scope=\"col\" "
      "class=\"t\">plugin</th><th "
      "scope=\"col\" class=\"t\">gives</th><th scope=\"col\">items</th><th scope=\"col\">items per busy "
      "second</th><th scope=\"col\">waited, seconds per item</th><th "
      "scope=\"col\">seconds</th></tr></thead><tbody>";
  for (const RunRecord::StageRecord& s : content.stages)
    out += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"t\">{}</td><td "
        "class=\"t\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escaped(s.id), escaped(s.plugin), escaped(s.shape), s.items > 0 ? count(s.items) : "",
        s.busy_seconds > 0 ? number(static_cast<double>(s.items) / s.busy_seconds) : "",
        waited_of(content, s),
        s.busy_seconds > 0 ? number(s.busy_seconds)
        : s.seconds > 0    ? number(s.seconds)
                           : "");
  return out +
         "</tbody></table></div><p class=\"hint\">Seconds of stages that items flow through are those of "
         "all threads together. Items wait for stages that take batches: for the others of the batch, and "
         "for a thread. Where every row was stored, nothing flowed.</p>";
}

std::string network_html(const Content& content) {
  std::string out;
  const std::vector<Drawing> drawn = networks(content);
  const auto all = networks_of(content);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [id, facts] = all[i];
    const auto large = [](const Value& of, const char* name) {
      return large_number(static_cast<double>(count_at(of, {name})));
    };
    const bool is_described = facts->find("multiply_adds") != nullptr;
    out += fmt::format("<h3>{}: {}</h3><p>{} parameters{}.</p>", escaped(id),
                       escaped(text_at(*facts, {"name"})), large(*facts, "parameters"),
                       is_described ? fmt::format("; {} multiply-adds for an image of {}",
                                                  large(*facts, "multiply_adds"), image_size(*facts))
                                    : "");
    if (!is_described)
      out +=
          "<p class=\"hint\">The engine has run this TorchScript file as it is, and its layers are not "
          "known: "
          "these are its modules that have parameters.</p>";
    out += figures_of({drawn[i]});
    if (!is_described) {
      out += modules_table(*facts);
      continue;
    }
    out +=
        "<details><summary>Its parts</summary><div class=\"scroll tall\"><table><thead><tr><th "
        "scope=\"col\">part</th><th scope=\"col\" class=\"t\">type</th><th scope=\"col\">layers</th><th "
        "scope=\"col\">output</th><th scope=\"col\">parameters</th><th "
        "scope=\"col\">multiply-adds</th></tr></thead><tbody>";
    for (const Value& part : facts->find("parts")->as_list())
      out += fmt::format(
          "<tr><th scope=\"row\">{}</th><td class=\"t\">{}</td><td>{}</td><td>{}</td><td>{}</td>"
          "<td>{}</td></tr>",
          escaped(text_at(part, {"name"})), escaped(text_at(part, {"type"})), count_at(part, {"layers"}),
          escaped(text_at(part, {"output"})), large(part, "parameters"), large(part, "multiply_adds"));
    out += "</tbody></table></div></details>";
  }
  const bool computes = std::any_of(content.stages.begin(), content.stages.end(), [](const auto& stage) {
    return stage.kind == to_string(StageKind::BatchTransform);
  });
  if (out.empty() && computes)
    out =
        "<p>Layers and cost are shown where rows were computed in this run. <code>graft model summary "
        "FILE</code> shows what is in a model file.</p>";
  return out;
}

std::string provenance_html(const Content& content) {
  const Value& m = content.manifest;
  std::string out = fmt::format(
      "<dl><dt>command</dt><dd><code>{}</code></dd><dt>finished</dt><dd>{}</dd><dt>graft</dt><dd>{}</"
      "dd><dt>host"
      "</dt><dd>{}, {}, {} cores</dd><dt>seed</dt><dd>{}</dd></dl>",
      escaped(text_at(m, {"command"})), escaped(text_at(m, {"finished"})), escaped(text_at(m, {"graft"})),
      escaped(text_at(m, {"host", "system"})), escaped(text_at(m, {"host", "cpu_isa"})),
      escaped(text_at(m, {"host", "cores"})), escaped(text_at(m, {"seed"})));
  const auto rows = [&](const char* name, const char* first, const char* second) {
    const Value::Map& all = map_at(m, {name});
    if (all.empty()) return;
    out += fmt::format("<details><summary>{}</summary><div class=\"scroll\"><table><tbody>", name);
    for (const auto& [id, of] : all)
      out += fmt::format("<tr><th scope=\"row\">{}</th><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>",
                         escaped(id), escaped(text_at(of, {first})), escaped(text_at(of, {second})));
    out += "</tbody></table></div></details>";
  };
  rows("plugins", "version", "libraries");
  rows("tables", "fingerprint", "folder");
  if (!map_at(m, {"stages"}).empty())
    out += "<details><summary>what the stages found out</summary><pre>" +
           escaped(m.find("stages")->to_json_pretty()) + "</pre></details>";
  return out + "<details><summary>the config, resolved</summary><pre>" + escaped(content.config) +
         "</pre></details>";
}

}  // namespace graft::page
