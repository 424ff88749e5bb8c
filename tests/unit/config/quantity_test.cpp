#include "config/quantity.h"

#include <gtest/gtest.h>

#include <graft/testing/error_of.h>

namespace graft {
namespace {

using graft::testing::error_of;

TEST(Quantity, SizesAreReadWithEveryUnit) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("7B"), 7u);
  EXPECT_EQ(parse_bytes("2kB"), 2000u);
  EXPECT_EQ(parse_bytes("1.5KiB"), 1536u);
  EXPECT_EQ(parse_bytes("512 MiB"), 512u << 20);
  EXPECT_EQ(parse_bytes("2GiB"), 2ull << 30);
  EXPECT_EQ(parse_bytes("3TB"), 3'000'000'000'000u);
  EXPECT_EQ(parse_bytes("8388607TiB"), 8388607ull << 40);
}

TEST(Quantity, ASizeThatCannotBeCountedIsAFaultNotASmallOne) {
  for (const char* text : {"8388608TiB", "17000000TiB", "1e300GiB", "1e999", "9223372036854775808"})
    EXPECT_EQ(error_of([&] { parse_bytes(text); }), "expected a size such as 512MiB or 2GiB, got '" +
                                                        std::string(text) +
                                                        "', which is more than can be counted (8 EiB)");
}

TEST(Quantity, WhatIsNoSizeIsNamed) {
  for (const char* text : {"", "MiB", "-1MiB", "2 potatoes", "2MiBs", "nan", "0x10", "1,5GiB"})
    EXPECT_EQ(error_of([&] { parse_bytes(text); }),
              "expected a size such as 512MiB or 2GiB, got '" + std::string(text) + "'");
}

TEST(Quantity, TimesAreReadWithEveryUnit) {
  EXPECT_EQ(parse_seconds("90s"), 90);
  EXPECT_EQ(parse_seconds("1.5min"), 90);
  EXPECT_EQ(parse_seconds("12h"), 12 * 3600);
  EXPECT_EQ(parse_seconds("30 d"), 30 * 86400);
  EXPECT_EQ(parse_seconds("8w"), 8 * 604800);
  EXPECT_EQ(error_of([&] { parse_seconds("3y"); }), "expected a time such as 12h, 30d or 8w, got '3y'");
  EXPECT_EQ(error_of([&] { parse_seconds("30"); }), "expected a time such as 12h, 30d or 8w, got '30'");
  EXPECT_EQ(
      error_of([&] { parse_seconds("1e18w"); }),
      "expected a time such as 12h, 30d or 8w, got '1e18w', which is more than can be counted (292 thousand "
      "million years)");
}

}  // namespace
}  // namespace graft
