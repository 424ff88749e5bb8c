#include "run/key_check.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace graft {
namespace {

/// Whether the last key repeats one before it, which no other does.
bool last_repeats(const std::vector<std::string>& keys) {
  Listing listing;
  KeyCheck check;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    listing.add(keys[i], Split::Train, {}, false);
    const bool repeats = check.repeats(listing);
    if (i + 1 == keys.size()) return repeats;
    EXPECT_FALSE(repeats) << keys[i];
  }
  return false;
}

TEST(KeyCheck, FindsARepeatedKeyInAnyOrder) {
  EXPECT_FALSE(last_repeats({"a"}));
  EXPECT_FALSE(last_repeats({"a", "b", "c"}));
  EXPECT_TRUE(last_repeats({"a", "a"}));
  EXPECT_TRUE(last_repeats({"a", "b", "c", "c"}));
  EXPECT_TRUE(last_repeats({"a", "b", "c", "a"}));
  EXPECT_FALSE(last_repeats({"b", "c", "a", "d"}));
  EXPECT_TRUE(last_repeats({"b", "c", "a", "d", "c"}));
  EXPECT_TRUE(last_repeats({"b", "c", "a", "d", "d"}));
  EXPECT_TRUE(last_repeats({"c", "b", "a", "b"}));
  EXPECT_FALSE(last_repeats({"c", "b", "a", ""}));
}

}  // namespace
}  // namespace graft
