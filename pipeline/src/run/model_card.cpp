#include "run/model_card.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/text.h>
#include <graft/value_path.h>

#include "run/figures.h"

namespace graft {
namespace {

/// Classes that a card lists: those with the lowest recall.
constexpr std::size_t kWorstClasses = 10;

/// A name in Markdown: nothing in it is markup, and it stays in its cell and on its line. Any mark of ASCII
/// may be escaped there.
std::string name_in_markdown(const std::string& name) {
  std::string out;
  for (const char c : printable(shortened(name))) {
    if (std::string_view("\\`*_[]<>|&~$#!@:{}()\"'").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// The same, set as code: between more backticks than any row of them in it.
std::string code_in_markdown(const std::string& text) {
  const std::string shown = printable(shortened(text));
  std::string fence = "`";
  while (shown.find(fence) != std::string::npos) fence += '`';
  const char* const space = fence.size() > 1 ? " " : "";
  return fence + space + shown + space + fence;
}

struct ClassScore {
  std::string name;
  double recall, precision;
  std::int64_t support;
};

std::vector<ClassScore> class_scores(const Value& split) {
  std::vector<ClassScore> out;
  for (const Value& c : list_at(split, {"per_class"})) {
    const auto recall = number_at(c, {"recall"}), precision = number_at(c, {"precision"}),
               support = number_at(c, {"support"});
    if (recall && precision && support && *support > 0)
      out.push_back({text_at(c, {"class"}), *recall, *precision, static_cast<std::int64_t>(*support)});
  }
  return out;
}

void add_scores(std::string& out, const Value& facts) {
  struct Row {
    const char* name;
    const char* title;
  };
  constexpr Row kRows[] = {{"n", "images"},
                           {"accuracy", "accuracy"},
                           {"balanced_accuracy", "balanced accuracy"},
                           {"mean_average_precision", "mean average precision"},
                           {"macro_f1", "macro F1"},
                           {"log_loss", "log loss"},
                           {"ece", "expected calibration error"}};
  const Value* scores = facts.find("scores");
  out += "\n## How good it is\n\n";
  if (scores == nullptr || !scores->is_map()) {
    out += "The run did not measure it.\n";
    return;
  }
  const Value nothing;
  const auto split = [&](const char* name) -> const Value& {
    const Value* v = scores->find(name);
    return v == nullptr ? nothing : *v;
  };
  const Value &val = split("val"), &test = split("test");
  out += "| | test | val |\n|---|---|---|\n";
  for (const Row& row : kRows) {
    const auto cell = [&](const Value& of) -> std::string {
      const auto v = number_at(of, {row.name});
      if (!v) return "";
      if (std::string_view(row.name) == "n") return fmt::format("{}", *v);
      std::string shown = fmt::format("{:.4f}", *v);
      const auto interval =
          std::string_view(row.name) == "accuracy" ? interval_from(of, row.name) : std::nullopt;
      if (interval) shown += fmt::format(" (95 %: {:.3f}-{:.3f})", interval->first, interval->second);
      return shown;
    };
    if (!cell(val).empty() || !cell(test).empty())
      out += fmt::format("| {} | {} | {} |\n", row.title, cell(test), cell(val));
  }
  out +=
      "\nThe scores on val are of the model that was chosen on val. This file holds it fitted again, with "
      "train and val together: it has seen the images of val, so that it looks better on them than it is. "
      "Test was scored once, by this model, after every choice.\n";

  const bool of_test = !class_scores(test).empty();
  std::vector<ClassScore> classes = class_scores(of_test ? test : val);
  if (classes.empty()) return;
  std::stable_sort(classes.begin(), classes.end(),
                   [](const ClassScore& a, const ClassScore& b) { return a.recall < b.recall; });
  const std::size_t shown = std::min(classes.size(), kWorstClasses);
  out += fmt::format(
      "\n## Where it fails\n\n{} of {} classes, the lowest recall on {} first.\n\n"
      "| class | recall | precision | images |\n|---|---|---|---|\n",
      shown, classes.size(), of_test ? "test" : "val");
  for (std::size_t c = 0; c < shown; ++c)
    out += fmt::format("| {} | {:.3f} | {:.3f} | {} |\n", name_in_markdown(classes[c].name),
                       classes[c].recall, classes[c].precision, classes[c].support);
}

}  // namespace

std::string model_card(const Value& facts, const TrainedModel& model) {
  const std::vector<std::string> classes = model.classes();
  std::string out = fmt::format("# {}\n\n", name_in_markdown(text_at(facts, {"run"}) + " / " + model.stage));
  out += fmt::format("Classifies images into {} classes", classes.size());
  out += model.multi_label() ? ", any number of which an image may show: " : ": ";
  std::vector<std::string> names;
  for (const std::string& name : classes) names.push_back(name_in_markdown(name));
  out += joined(names) + ".\n";
  out += fmt::format("The learner is {}{}.\n", code_in_markdown(text_at(facts, {"plugin"})),
                     model.bundle.facts.find("base") == nullptr ? "" : ", its scores are calibrated on val");
  if (!model.neighbours.empty())
    out += fmt::format(
        "The nearest training images are found by the learner `{}`, whose rows and names of training images "
        "are in the file.\n",
        model.neighbours);
  if (const Value* inputs = facts.find("inputs"))
    out += fmt::format(
        "\n## What it was trained on\n\nThe run had {} images, {} of them rejected; "
        "`provenance/config.yaml` names them and their splits.\n",
        text_at(*inputs, {"total"}), text_at(*inputs, {"rejected"}));
  add_scores(out, facts);
  out += "\n## What it is made of\n\n| stage | plugin | version |\n|---|---|---|\n";
  for (const auto& [id, stage] : map_at(facts, {"stages"}))
    out +=
        fmt::format("| {} | {} | {} |\n", name_in_markdown(id), name_in_markdown(text_at(stage, {"plugin"})),
                    name_in_markdown(text_at(stage, {"version"})));
  for (const Value& file : list_at(facts, {"files"})) {
    const auto add = [&](const std::string& subject, const Value& digest) {
      out += fmt::format("\n{} has the xxHash3-128 {}.\n", subject,
                         digest.is_string() ? digest.as_string() : "");
    };
    const std::string address =
        code_in_markdown(text_at(file, {"stage"}) + "." + text_at(file, {"parameter"}));
    const Value* digest = file.find("digest");
    if (digest != nullptr && digest->is_map())
      for (const auto& [name, one] : digest->as_map()) add(name_in_markdown(name) + " of " + address, one);
    else if (digest != nullptr)
      add(address, *digest);
  }
  out += flag_at(facts, {"has_code"})
             ? "\n**It holds code**: a network in TorchScript. Use it only if you trust where it comes from "
               "(`--allow-code`).\n"
             : "\nIt holds no code.\n";
  if (facts.find("other_plugins") != nullptr) {
    std::vector<std::string> needed;
    for (const Value& name : list_at(facts, {"other_plugins"}))
      needed.push_back(name_in_markdown(name.as_string()));
    out += fmt::format(
        "\n**It needs plugins that do not come with Graft and are not in this file**: {}. Get them from "
        "whoever trained it, and name their folder with `--plugin-dir`.\n",
        joined(needed));
  }
  out += fmt::format(
      "\nTrained {} by graft {} on a processor with {}. Another kind of processor may change the "
      "last digits of scores.\n",
      name_in_markdown(text_at(facts, {"trained"})), name_in_markdown(text_at(facts, {"trained_by_graft"})),
      name_in_markdown(text_at(facts, {"cpu_isa"})));
  out += "\nTo use it: `graft predict FILE images/`\n";
  return out;
}

}  // namespace graft
