#include <map>

#include "assets.h"
#include "content.h"
#include "drawings.h"

namespace graft::page {
namespace {

/// A drawing that stands alone: with the style in it.
std::string alone(const Drawing& drawing) {
  std::string svg = drawing.svg;
  // The style of the page is CSS without `]]>`; its colours are those of a light page.
  svg.insert(svg.find('>') + 1, std::string("<style><![CDATA[") + kStyle + "]]></style>");
  return svg;
}

}  // namespace

std::map<std::string, std::string> to_files(const Content& content) {
  std::vector<Drawing> drawings;
  const auto add = [&](std::vector<Drawing> more) {
    for (Drawing& d : more) drawings.push_back(std::move(d));
  };
  add(comparison(content));
  for (const Panel& panel : content.panels) {
    add(reliability(content, panel));
    add(confusion(panel));
    add(training(panel));
  }
  add(shots(content));
  add(map(content));
  for (std::size_t i = 0; i < content.sections.size(); ++i) add(section_figures(content.sections[i], i));
  add(networks(content));
  add(stage_graph(content));
  std::map<std::string, std::string> files;
  for (const Drawing& d : drawings) {
    if (d.svg.empty()) continue;
    files[d.name + ".svg"] = alone(d);
    files[d.name + ".csv"] = d.csv;
  }
  return files;
}

}  // namespace graft::page
