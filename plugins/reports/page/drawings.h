#pragma once

#include <optional>
#include <string>
#include <vector>

#include "content.h"

namespace graft::page {

/// A drawing with what it shows in words, and its numbers.
struct Drawing {
  std::string name;   ///< Of its file: "reliability".
  std::string title;  ///< Plain text.
  std::string svg;
  std::string csv;
  std::vector<std::string> legend = {};  ///< Names of the colours, where there are several.
};

/// Learners side by side by the criterion, with intervals; nothing where nobody has scores.
std::vector<Drawing> comparison(const Content& content);
/// Accuracy by confidence, of a calibrator beside what it corrects.
std::vector<Drawing> reliability(const Content& content, const Panel& panel);
/// Of at most this many classes; with more, pairs are listed.
inline constexpr std::size_t kDrawnClasses = 30;
std::vector<Drawing> confusion(const Panel& panel);
/// What learners have noted while they trained (`curve`) and chose (`path`): whatever numbers they name.
std::vector<Drawing> training(const Panel& panel);
/// Accuracy by the number of labelled inputs, of `compare`.
std::vector<Drawing> shots(const Content& content);
std::vector<Drawing> map(const Content& content);
/// What the parts of the networks cost, of stages whose facts have a `network`.
std::vector<Drawing> networks(const Content& content);
/// The facts of these stages, with their ids, in the order of the drawings.
std::vector<std::pair<std::string, const Value*>> networks_of(const Content& content);
/// How long items have waited for a stage that takes batches, all together; nothing of other stages.
std::optional<double> waited_seconds(const Content& content, const RunRecord::StageRecord& stage);
std::vector<Drawing> stage_graph(const Content& content);
/// The figures of a section that another report has given, as many as it has; a drawing of nothing has no
/// SVG.
std::vector<Drawing> section_figures(const GivenSection& given, std::size_t number);

}  // namespace graft::page
