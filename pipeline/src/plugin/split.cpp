#include "plugin/split.h"

#include <algorithm>

#include <re2/re2.h>
#include <re2/stringpiece.h>

#include <graft/hash.h>
#include <graft/printable.h>

namespace graft {
namespace {

// Position of a key in [0, 1). The salt keeps "val out of train" independent of "test out of everything".
double position(std::string_view key, std::uint64_t salt) {
  return static_cast<double>(hash64(key, salt) >> 11) * 0x1.0p-53;
}
constexpr std::uint64_t kTestSalt = 1, kValSalt = 2;

RE2::Options options_for(RE2::Options::Encoding encoding) {
  RE2::Options options;
  options.set_encoding(encoding);
  options.set_log_errors(false);
  return options;
}

/// Why a pattern is none, in words of our own where people come from engines that backtrack.
std::string fault_of_pattern(const std::string& pattern, const RE2& compiled) {
  const std::string& at = compiled.error_arg();
  std::string why = compiled.error();
  const bool around = at.starts_with("(?=") || at.starts_with("(?!") || at.starts_with("(?<");
  const bool back =
      compiled.error_code() == RE2::ErrorBadEscape && at.size() > 1 && at[1] >= '0' && at[1] <= '9';
  if (around)
    why = "look-ahead and look-behind, '" + at +
          "', are not supported; put what is to be compared into parentheses";
  else if (back)
    why = "back-references, '" + at + "', are not supported; write the text out, or group by less of the key";
  else if (compiled.error_code() == RE2::ErrorPatternTooLarge)
    why = "it needs too much memory; repeat less, or with * and +";
  return "'" + pattern + "' is not a regular expression (" + why + ")";
}

}  // namespace

/// Keys are UTF-8 as a rule. In those that are not, every byte is a character: `.` must not stop at it.
struct SplitRule::Group {
  explicit Group(const std::string& pattern)
      : characters(pattern, options_for(RE2::Options::EncodingUTF8)),
        bytes(pattern, options_for(RE2::Options::EncodingLatin1)) {}

  RE2 characters, bytes;
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
                                   "it) share a split, for example '^(patient[0-9]+)_'. Syntax of RE2: no "
                                   "back-references, no look-around.")};
}

std::optional<std::string> SplitRule::fault_of_group(const std::vector<ParamSpec>& declared,
                                                     const Value& given) {
  static const std::vector<ParamSpec> kOwn = parameters();
  for (const ParamSpec& own : kOwn)
    if (std::none_of(declared.begin(), declared.end(),
                     [&](const ParamSpec& p) { return p.name == own.name && p.kind == own.kind; }))
      return {};
  const Value* pattern = given.find("group");
  if (pattern == nullptr || !pattern->is_string()) return {};
  const RE2 compiled(pattern->as_string(), options_for(RE2::Options::EncodingUTF8));
  if (compiled.ok()) return {};
  return fault_of_pattern(pattern->as_string(), compiled);
}

SplitRule::SplitRule(const Params& params, const std::vector<Split>& given)
    : val_fraction_(params.get<double>("val_fraction")),
      test_fraction_(params.get<double>("test_fraction")),
      carve_val_(std::find(given.begin(), given.end(), Split::Val) == given.end()) {
  if (!params.has("group")) return;
  const auto pattern = params.get<std::string>("group");
  auto group = std::make_shared<const Group>(pattern);
  if (!group->characters.ok()) throw Error("group: " + fault_of_pattern(pattern, group->characters));
  group_ = std::move(group);
}

std::string SplitRule::group_of(std::string_view key) const {
  if (!group_) return std::string(key);
  const RE2& pattern = is_utf8(key) || !group_->bytes.ok() ? group_->characters : group_->bytes;
  re2::StringPiece found[2];
  const int groups = std::min(pattern.NumberOfCapturingGroups(), 1) + 1;
  if (!pattern.Match(re2::StringPiece(key.data(), key.size()), 0, key.size(), RE2::UNANCHORED, found, groups))
    return std::string(key);
  const re2::StringPiece& text = groups > 1 && found[1].data() != nullptr ? found[1] : found[0];
  return std::string(text.data(), text.size());
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
