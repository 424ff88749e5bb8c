#include "row_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <set>

#include <graft/error.h>

namespace graft {
namespace {

constexpr double kAllowed = 1e-3;

std::vector<Item> items(int first, int count) {
  std::vector<Item> out;
  for (int i = 0; i < count; ++i) {
    auto entry = std::make_shared<Entry>();
    entry->key = "image" + std::to_string(first + i);
    out.push_back({entry, 0, {}});
  }
  return out;
}

std::vector<std::size_t> all(std::size_t n) {
  std::vector<std::size_t> out(n);
  std::iota(out.begin(), out.end(), std::size_t{0});
  return out;
}

std::vector<std::vector<Tensor>> rows(std::size_t n, float value = 2) {
  std::vector<std::vector<Tensor>> out;
  for (std::size_t i = 0; i < n; ++i) {
    Tensor row = Tensor::allocate(DType::F32, {3});
    for (int k = 0; k < 3; ++k) row.as<float>()[k] = value * static_cast<float>(k + 1);
    out.push_back({row});
  }
  return out;
}

TEST(RowCheck, TheFirstEightRowsAreChosenHoweverTheyCome) {
  for (const int batch : {1, 3, 8, 100}) {
    RowCheck check(42, kAllowed, "");
    std::size_t chosen = 0;
    for (int first = 0; first < 24; first += batch) {
      const std::vector<Item> some = items(first, batch);
      chosen += check.choose(some, all(some.size()), 8, 8).size();
    }
    EXPECT_EQ(chosen, 8u) << batch;
  }
}

TEST(RowCheck, ThenOneInAThousandTheSameOnesInEveryRun) {
  const auto chosen_of = [](std::uint64_t seed, int batch) {
    RowCheck check(seed, kAllowed, "");
    std::set<std::string> keys;
    for (int first = 0; first < 100000; first += batch) {
      const std::vector<Item> some = items(first, batch);
      for (const std::size_t i : check.choose(some, all(some.size()), 8, 8)) keys.insert(some[i].key());
    }
    return keys;
  };
  const auto eights = chosen_of(1, 8), sixteens = chosen_of(1, 16);
  EXPECT_NEAR(static_cast<double>(eights.size()), 108, 40);
  // Except for the first rows, the batch changes nothing.
  std::size_t common = 0;
  for (const std::string& key : eights) common += sixteens.contains(key) ? 1 : 0;
  EXPECT_GE(common, eights.size() - 8);
  EXPECT_NE(eights, chosen_of(2, 8));
}

TEST(RowCheck, TheFirstBatchOfAnotherSizeIsLookedAt) {
  RowCheck check(1, kAllowed, "");
  const std::vector<Item> some = items(0, 8), more = items(8, 8);
  EXPECT_EQ(check.choose(some, all(8), 8, 8).size(), 8u);
  EXPECT_EQ(check.choose(more, all(8), 8, 9).size(), 1u);
  EXPECT_EQ(check.choose(more, all(8), 8, 9).size(), 0u);
}

TEST(RowCheck, ARowThatDiffersEndsTheRunAndIsNamed) {
  const std::vector<Item> some = items(0, 4);
  for (std::size_t wrong = 0; wrong < 4; ++wrong) {
    RowCheck check(1, kAllowed, "do this");
    auto again = rows(4);
    again[wrong][0].as<float>()[1] += 0.1f;
    try {
      check.compare(some, all(4), all(4), rows(4), again);
      FAIL();
    } catch (const FatalError& e) {
      EXPECT_EQ(
          std::string(e.what()),
          "item 'image" + std::to_string(wrong) +
              "': its features differ by 1.0e-01 of 6.0e+00 from the reference, which computes the image "
              "alone and layer by layer (rounding explains 1e-03 of the largest value): they are wrong, "
              "and rows that this run stored earlier may be wrong, too; do this");
    }
  }
}

TEST(RowCheck, WhatWasFoundIsInTheFacts) {
  RowCheck check(1, kAllowed, "");
  auto again = rows(4);
  again[2][0].as<float>()[2] += 0.003f;  // of 6
  check.compare(items(0, 4), all(4), all(4), rows(4), again);
  // A row of small values is compared with the largest value so far.
  auto small = rows(1, 1e-6f), also_small = rows(1, 2e-6f);
  check.compare(items(4, 1), all(1), all(1), small, also_small);
  const Value facts = check.facts();
  EXPECT_EQ(facts.find("rows")->as_int(), 5);
  EXPECT_NEAR(facts.find("largest_difference")->as_double(), 5e-4, 1e-5);
  EXPECT_EQ(facts.find("allowed")->as_double(), kAllowed);
}

}  // namespace
}  // namespace graft
