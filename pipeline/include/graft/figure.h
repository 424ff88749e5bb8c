#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <graft/item.h>

namespace graft {

/// A score that a report gives learners, declared once in the schema of the report (PluginSchema::figure):
///
///     .figure(graft::higher_is_better("accuracy").doc("Fraction of rows ...").criterion())
///
/// `graft sweep --metric` takes its name, results.json has it under that name, tables have its heading.
struct FigureSpec {
  /// How models are chosen by val, where nobody says by what: by the first Criterion that a learner has; ties
  /// go by the TieBreak.
  enum class Choice { None, Criterion, TieBreak };

  std::string name;  ///< "balanced_accuracy".
  bool is_higher_better = true;
  std::string heading;  ///< In tables; empty: the name, with spaces.
  std::string text;     ///< What it is, in one sentence.
  bool is_in_summary = false;
  Choice choice = Choice::None;

  /// For people: the heading.
  std::string title() const {
    std::string out = heading.empty() ? name : heading;
    for (char& c : out)
      if (c == '_') c = ' ';
    return out;
  }

  FigureSpec& titled(std::string words) { return heading = std::move(words), *this; }
  FigureSpec& doc(std::string sentence) { return text = std::move(sentence), *this; }
  /// Short tables have it, such as that of `graft sweep`.
  FigureSpec& in_summary() { return is_in_summary = true, *this; }
  FigureSpec& criterion() { return choice = Choice::Criterion, *this; }
  FigureSpec& tie_break() { return choice = Choice::TieBreak, *this; }
};

inline FigureSpec higher_is_better(std::string name) {
  FigureSpec spec;
  spec.name = std::move(name);
  return spec;
}
inline FigureSpec lower_is_better(std::string name) {
  FigureSpec spec = higher_is_better(std::move(name));
  spec.is_higher_better = false;
  return spec;
}

/// One score of one learner on one split.
struct Figure {
  std::string learner;
  Split split = Split::Test;
  std::string name;                  ///< That of a FigureSpec in the report's schema.
  std::size_t n = 0;                 ///< Rows that it was measured on; the same for all figures of a split.
  std::optional<double> value = {};  ///< Finite; nothing: it has no value for these rows.
  std::string undefined = {};        ///< Why it has none, in a few words: "all rows are of one class".
  std::optional<std::pair<double, double>> interval = {};  ///< 95 %: low and high.
};

}  // namespace graft
