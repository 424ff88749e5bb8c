#include "run/leaks.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

namespace graft {
namespace {

/// The classes of several labels as in inputs.csv, "none of the classes" without any.
std::string labels_of(const Listing& listing, const ListedInput& input) {
  std::string labels;
  for (const std::int32_t label : input.labels)
    labels += (labels.empty() ? "" : ";") + listing.classes.at(static_cast<std::size_t>(label));
  return input.negative ? "none of the classes" : labels;
}

/// "'a/0.png' (ants)".
std::string with_labels(const Listing& listing, const ListedInput& input) {
  return fmt::format("'{}' ({})", input.key, labels_of(listing, input));
}

}  // namespace

std::string find_leaks(const Listing& listing, const PagedVector<std::uint32_t>& first) {
  std::size_t leaks = 0;
  std::string pair;
  auto first_of = first.begin();
  for (const ListedInput& input : listing.inputs) {
    const ListedInput& other = listing.inputs[*first_of++];
    if (input.reject || other.split == input.split) continue;
    if (++leaks == 1)
      pair = fmt::format("'{}' ({}) and '{}' ({})", other.key, to_string(other.split), input.key,
                         to_string(input.split));
  }
  if (leaks == 0) return {};
  return fmt::format(
      "{} {} the content of an input of another split, {}: val and test scores will be too optimistic; "
      "remove the copies, or let them share a split (group, or their folder)",
      leaks, leaks == 1 ? "input has" : "inputs have", leaks == 1 ? pair : "for example " + pair);
}

Value duplicates_in(const Listing& listing, const PagedVector<std::uint32_t>& first) {
  constexpr std::size_t kMostExamples = 50;
  std::uint64_t inputs = 0, in_other_splits = 0;
  Value::List leaks, others;
  const auto described = [&](const ListedInput& input) {
    Value v = Value::map();
    v["key"] = std::string(input.key);
    v["split"] = to_string(input.split);
    v["class"] = labels_of(listing, input);
    return v;
  };
  std::uint32_t i = 0;
  auto first_of = first.begin();
  for (const ListedInput& input : listing.inputs) {
    const std::uint32_t at = *first_of++;
    if (at == i++ || input.reject) continue;
    const ListedInput& other = listing.inputs[at];
    const bool leak = other.split != input.split;
    ++inputs;
    in_other_splits += leak ? 1 : 0;
    Value::List& examples = leak ? leaks : others;
    if (examples.size() == kMostExamples) continue;
    Value pair = described(input);
    pair["of"] = described(other);
    examples.push_back(std::move(pair));
  }
  for (Value& pair : others)
    if (leaks.size() < kMostExamples) leaks.push_back(std::move(pair));
  Value out = Value::map();
  out["inputs"] = Value(inputs);
  out["in_other_splits"] = Value(in_other_splits);
  out["examples"] = Value(std::move(leaks));
  return out;
}

std::string find_contradictions(const Listing& listing, const PagedVector<std::uint32_t>& first) {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  // The first that is labelled, by the first of its content: an unlabelled input contradicts none.
  PagedVector<std::uint32_t> labelled;
  std::size_t contradictions = 0;
  bool several = false;
  std::string pair;
  auto first_of = first.begin();
  for (const ListedInput& input : listing.inputs) {
    const auto i = static_cast<std::uint32_t>(labelled.size());
    labelled.push_back(kNone);
    std::uint32_t& other = labelled[*first_of++];
    if (input.reject || !input.labelled()) continue;
    several |= input.labels.size() > 1 || input.negative;
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

std::vector<std::string> find_unlabelled(const Listing& listing) {
  struct Count {
    std::size_t all = 0, unlabelled = 0, negative = 0;
  };
  constexpr std::array kSplits = {Split::Train, Split::Val, Split::Test};
  if (listing.classes.empty()) return {};
  std::array<Count, kSplits.size()> counts;
  for (const ListedInput& input : listing.inputs) {
    if (input.reject) continue;
    Count& count = counts[static_cast<std::size_t>(input.split)];
    ++count.all;
    count.unlabelled += input.labelled() ? 0 : 1;
    count.negative += input.negative ? 1 : 0;
  }
  const auto& [train, val, test] = counts;
  std::vector<std::string> out;
  if (const std::size_t sum = train.unlabelled + val.unlabelled + test.unlabelled; sum > 0) {
    std::string splits;
    std::size_t left = sum;
    for (const Split split : kSplits) {
      const Count& count = counts[static_cast<std::size_t>(split)];
      if (count.unlabelled == 0) continue;
      left -= count.unlabelled;
      splits += fmt::format("{}{} of {} {}",
                            splits.empty() ? ""
                            : left > 0     ? ", "
                                           : " and ",
                            count.unlabelled, count.all, to_string(split));
    }
    const char* const who = sum == train.unlabelled  ? "learners"
                            : sum == test.unlabelled ? "scores"
                                                     : "learners and scores";
    out.push_back(fmt::format("{} inputs {} no label: {} leave {} out", splits, sum == 1 ? "has" : "have",
                              who, sum == 1 ? "it" : "them"));
  }
  if (test.negative > 0 && !is_multi_label(listing))
    out.push_back(fmt::format(
        "{} of {} test inputs {} none of the classes, but no train or val input does: scores leave {} out",
        test.negative, test.all, test.negative == 1 ? "shows" : "show", test.negative == 1 ? "it" : "them"));
  return out;
}

}  // namespace graft
