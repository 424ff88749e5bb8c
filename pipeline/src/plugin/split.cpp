#include <graft/split.h>

#include <algorithm>

#include <graft/hash.h>

namespace graft {
namespace {

// Position of a key in [0, 1). The salt keeps "val out of train" independent of "test out of everything".
double position(std::string_view key, std::uint64_t salt) {
  return static_cast<double>(hash64(key, salt) >> 11) * 0x1.0p-53;
}
constexpr std::uint64_t kTestSalt = 1, kValSalt = 2;

}  // namespace

std::vector<ParamSpec> SplitRule::parameters() {
  return {
      number("val_fraction", 0.2)
          .range(0, 0.9)
          .doc("Share of train that becomes val, by a hash of the key, when the data name no val split."),
      number("test_fraction", 0.2)
          .range(0, 0.9)
          .doc(
              "Share of all entries that becomes test, by a hash of the key, when the data name no splits.")};
}

SplitRule::SplitRule(const Params& params, const std::vector<Split>& given)
    : val_fraction_(params.get<double>("val_fraction")),
      test_fraction_(params.get<double>("test_fraction")),
      carve_val_(std::find(given.begin(), given.end(), Split::Val) == given.end()) {}

Split SplitRule::hashed(std::string_view key) const {
  if (position(key, kTestSalt) < test_fraction_) return Split::Test;
  return given(key, Split::Train);
}

Split SplitRule::given(std::string_view key, Split split) const {
  if (split == Split::Train && carve_val_ && position(key, kValSalt) < val_fraction_) return Split::Val;
  return split;
}

}  // namespace graft
