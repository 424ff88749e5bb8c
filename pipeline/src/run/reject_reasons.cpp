#include "run/reject_reasons.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <graft/printable.h>
#include <graft/text.h>

namespace graft {
namespace {

constexpr std::size_t kMaxReasons = 3, kMaxClasses = 5;
constexpr std::array kSplits = {Split::Train, Split::Val, Split::Test};

/// Inputs of a class in one split, and what became of them.
struct Fate {
  std::size_t listed = 0, rejected = 0;
  const ListedInput* first = nullptr;  ///< Of those rejected.

  bool lost() const { return listed > 0 && rejected == listed; }
};

/// "ant (6), bee (6) and 3 more, e.g. ant/00.png: missing, cannot open the file".
std::string named(const std::vector<std::pair<std::string, Fate>>& lost) {
  std::vector<std::string> classes;
  for (const auto& [name, fate] : lost) classes.push_back(fmt::format("{} ({})", name, fate.rejected));
  const ListedInput& first = *lost[0].second.first;
  return fmt::format("{}, e.g. {}", joined(classes, kMaxClasses),
                     in_words(RejectReason{first.reject->stage, first.reject->code, 1, std::string(first.key),
                                           first.reject->text}));
}

}  // namespace

std::string in_words(const RejectReason& reason) {
  return fmt::format("{}: {}, {}", reason.key, reason.code, reason.text);
}

std::vector<RejectReason> reject_reasons(const std::vector<const Listing*>& listings,
                                         const std::function<bool(const ListedInput&)>& counted) {
  std::vector<RejectReason> reasons;
  std::map<std::pair<std::string, std::string>, std::size_t> known;
  for (const Listing* listing : listings)
    for (const ListedInput& input : listing->inputs) {
      if (!input.reject || (counted && !counted(input))) continue;
      const auto [place, fresh] =
          known.emplace(std::pair(input.reject->stage, input.reject->code), reasons.size());
      if (fresh)
        reasons.push_back(
            {input.reject->stage, input.reject->code, 0, std::string(input.key), input.reject->text});
      ++reasons[place->second].count;
    }
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const RejectReason& a, const RejectReason& b) { return a.count > b.count; });
  return reasons;
}

std::string frequent_reasons(const std::vector<RejectReason>& reasons) {
  std::string out;
  std::size_t shown = 0, more = 0, width = 0;
  for (const RejectReason& r : reasons) {
    if (shown == kMaxReasons) {
      more += r.count;
      continue;
    }
    ++shown;
    width = std::max(width, std::to_string(r.count).size());
    out += fmt::format("         {:>{}} {}, e.g. {}: {}\n", r.count, width, printable(r.code),
                       printable(r.key), printable(r.text));
  }
  if (more > 0) out += fmt::format("         {:>{}} for other reasons\n", more, width);
  return out;
}

Value to_value(const std::vector<RejectReason>& reasons) {
  Value list = Value::list();
  for (const RejectReason& r : reasons) {
    list.push(Value::Map{{"stage", r.stage},
                         {"code", r.code},
                         {"count", Value(std::uint64_t{r.count})},
                         {"key", r.key},
                         {"text", r.text}});
  }
  return list;
}

std::vector<std::string> lost_classes(const Listing& listing) {
  std::vector<std::array<Fate, kSplits.size()>> fates(listing.classes.size());
  for (const ListedInput& input : listing.inputs)
    for (const std::int32_t label : input.labels) {
      Fate& fate = fates.at(static_cast<std::size_t>(label))[static_cast<std::size_t>(input.split)];
      ++fate.listed;
      if (!input.reject) continue;
      ++fate.rejected;
      if (fate.first == nullptr) fate.first = &input;
    }
  std::vector<std::pair<std::string, Fate>> whole;
  std::array<std::vector<std::pair<std::string, Fate>>, kSplits.size()> of_split;
  for (std::size_t c = 0; c < fates.size(); ++c) {
    Fate all;
    for (const Fate& fate : fates[c]) {
      all.listed += fate.listed;
      all.rejected += fate.rejected;
      if (all.first == nullptr) all.first = fate.first;
    }
    if (all.lost()) {
      whole.emplace_back(listing.classes[c], all);
      continue;
    }
    for (std::size_t s = 0; s < kSplits.size(); ++s)
      if (fates[c][s].lost()) of_split[s].emplace_back(listing.classes[c], fates[c][s]);
  }
  std::vector<std::string> out;
  if (!whole.empty())
    out.push_back(fmt::format("all inputs of these classes were rejected: {}", named(whole)));
  for (std::size_t s = 0; s < kSplits.size(); ++s)
    if (!of_split[s].empty())
      out.push_back(fmt::format("all {} inputs of these classes were rejected: {}", to_string(kSplits[s]),
                                named(of_split[s])));
  return out;
}

}  // namespace graft
