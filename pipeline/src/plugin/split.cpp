#include "plugin/split.h"

#include <algorithm>
#include <regex>

#include <graft/hash.h>

namespace graft {
namespace {

// Position of a key in [0, 1). The salt keeps "val out of train" independent of "test out of everything".
double position(std::string_view key, std::uint64_t salt) {
  return static_cast<double>(hash64(key, salt) >> 11) * 0x1.0p-53;
}
constexpr std::uint64_t kTestSalt = 1, kValSalt = 2;

}  // namespace

struct SplitRule::Group {
  std::regex pattern;
};

std::vector<ParamSpec> SplitRule::parameters() {
  return {
      number("val_fraction", 0.2)
          .range(0, 0.9)
          .doc("Fraction of train that becomes val, by a hash of the key, when the data name no val split."),
      number("test_fraction", 0.2)
          .range(0, 0.9)
          .doc("Fraction of all entries that becomes test, by a hash of the key, when the data name no "
               "splits."),
      text("group").optional().doc("Regular expression; entries in whose keys it finds the same text (its "
                                   "first parenthesis, or all of "
                                   "it) share a split, for example '^(patient[0-9]+)_'.")};
}

SplitRule::SplitRule(const Params& params, const std::vector<Split>& given)
    : val_fraction_(params.get<double>("val_fraction")),
      test_fraction_(params.get<double>("test_fraction")),
      carve_val_(std::find(given.begin(), given.end(), Split::Val) == given.end()) {
  if (!params.has("group")) return;
  const auto pattern = params.get<std::string>("group");
  try {
    group_ = std::make_shared<const Group>(Group{std::regex(pattern)});
  } catch (const std::regex_error& e) {
    throw Error("group: '" + pattern + "' is not a regular expression (" + e.what() + ")");
  }
}

std::string SplitRule::group_of(std::string_view key) const {
  std::match_results<std::string_view::const_iterator> found;
  if (!group_ || !std::regex_search(key.begin(), key.end(), found, group_->pattern)) return std::string(key);
  return found.size() > 1 && found[1].matched ? found[1].str() : found[0].str();
}

Split SplitRule::hashed(std::string_view key) const {
  if (position(group_of(key), kTestSalt) < test_fraction_) return Split::Test;
  return given(key, Split::Train);
}

Split SplitRule::given(std::string_view key, Split split) const {
  if (split != Split::Train || !carve_val_) return split;
  return position(group_of(key), kValSalt) < val_fraction_ ? Split::Val : split;
}

}  // namespace graft
