#include "run/leaks.h"

#include <algorithm>
#include <limits>
#include <vector>

#include <fmt/format.h>

namespace graft {
namespace {

/// "'a/0.png' (ants)"; the classes of several labels as in inputs.csv.
std::string with_labels(const Listing& listing, const ListedInput& input) {
  std::string labels;
  for (const std::int32_t label : input.labels)
    labels += (labels.empty() ? "" : ";") + listing.classes.at(static_cast<std::size_t>(label));
  return fmt::format("'{}' ({})", input.key, labels);
}

}  // namespace

std::string find_leaks(const Listing& listing) {
  const std::vector<std::uint32_t> first = first_of_content(listing);
  std::size_t leaks = 0;
  std::string pair;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const ListedInput &input = listing.inputs[i], &other = listing.inputs[first[i]];
    if (input.reject || other.split == input.split) continue;
    if (++leaks == 1)
      pair = fmt::format("'{}' ({}) and '{}' ({})", other.key, to_string(other.split), input.key,
                         to_string(input.split));
  }
  if (leaks == 0) return {};
  return fmt::format(
      "{} {} the content of an input of another split, {}: figures of val and test are then too good; remove "
      "the copies, or let them share a split (group, or their folder)",
      leaks, leaks == 1 ? "input has" : "inputs have", leaks == 1 ? pair : pair + " for one");
}

std::string find_contradictions(const Listing& listing) {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  const std::vector<std::uint32_t> first = first_of_content(listing);
  // The first with a label, by the first of its content: an input without labels contradicts none.
  std::vector<std::uint32_t> labelled(first.size(), kNone);
  std::size_t contradictions = 0;
  bool several = false;
  std::string pair;
  for (std::uint32_t i = 0; i < first.size(); ++i) {
    const ListedInput& input = listing.inputs[i];
    if (input.reject || input.labels.size() == 0) continue;
    several |= input.labels.size() > 1;
    std::uint32_t& other = labelled[first[i]];
    if (other == kNone) other = i;
    const InputLabels& labels = listing.inputs[other].labels;
    if (std::is_permutation(labels.begin(), labels.end(), input.labels.begin(), input.labels.end())) continue;
    if (++contradictions == 1)
      pair = with_labels(listing, listing.inputs[other]) + " and " + with_labels(listing, input);
  }
  if (contradictions == 0) return {};
  return fmt::format(
      "{} the same content as an input {}, for example {}: at most one of two is labelled "
      "correctly; correct the labels, or remove the copies",
      contradictions == 1 ? "1 input has" : fmt::format("{} inputs have", contradictions),
      several ? "with other labels" : "of another class", pair);
}

}  // namespace graft
