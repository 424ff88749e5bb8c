// The parts of the page that are not drawing.

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include <graft/chart.h>
#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include "chart.h"
#include "feature_map.h"
#include "markup.h"
#include "thumbnail.h"

namespace graft::page {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Markup, IsTextWhateverItSays) {
  EXPECT_EQ(escaped("a<b>&\"'\n"), "a&lt;b&gt;&amp;&quot;&#39;\n");
  EXPECT_EQ(escaped("\xC3\xA9\xF0\x9F\x90\x9D"), "\xC3\xA9\xF0\x9F\x90\x9D");
  // Half a character, an overlong slash, a surrogate, an escape sequence.
  EXPECT_EQ(escaped("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(escaped("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(escaped("\xED\xA0\x80!"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD!");
  EXPECT_EQ(escaped("\x1b[31m"), "\xEF\xBF\xBD[31m");
  // What turns the direction of text would make evil.exe look like exe.live: a name shows it.
  EXPECT_EQ(escaped("\xE2\x80\xAE"
                    "a"),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(name_in_text("\xE2\x80\xAE"
                         "exe.live<"),
            "<bdi>\\u202eexe.live&lt;</bdi>");
  EXPECT_EQ(name_in_text("\xD7\xA9\xFF"), "<bdi>\xD7\xA9\\xff</bdi>");
  EXPECT_EQ(script_json(Value("</script><!--")), "\"\\u003c/script\\u003e\\u003c!--\"");
}

TEST(Markup, NumbersAreForPeople) {
  EXPECT_EQ(number(0.92814), "0.9281");
  EXPECT_EQ(number(-12.345), "-12.35");
  EXPECT_EQ(number(12345), "12345");
  EXPECT_EQ(number(0.0000123), "1.23e-05");
  EXPECT_EQ(number(std::nan("")), "-");
  EXPECT_EQ(large_number(11'689'512), "11.7 M");
  EXPECT_EQ(large_number(999), "999");
  EXPECT_EQ(large_number(0), "0");
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(1234567), "1,234,567");
}

// RFC 4648, section 10.
TEST(Chart, AnAxisOfFractionsEndsAtOne) {
  IntervalChart intervals;
  intervals.rows = {{"probe", 1, std::nullopt, "1", false}};
  LineChart lines;
  lines.series = {{"accuracy", {{10, 1}, {20, 1}}, false}};
  for (const std::string& svg : {svg_of(intervals), svg_of(lines)}) {
    EXPECT_THAT(svg, HasSubstr(">1</text>"));
    EXPECT_THAT(svg, Not(HasSubstr(">1.1</text>")));
    EXPECT_THAT(svg, Not(HasSubstr(">1.2</text>")));
  }
}

TEST(Base64, EqualsTheStandard) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Thumbnail, IsAJpegOfTheLongerSide) {
  const std::string jpeg = thumbnail(testing::StageHarness::image(500, 30, {10, 200, 10}), 50);
  ASSERT_EQ(jpeg.substr(0, 3), "\xFF\xD8\xFF");
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(jpeg[frame + i]); };
  EXPECT_EQ(byte(5) * 256 + byte(6), 3);
  EXPECT_EQ(byte(7) * 256 + byte(8), 50);
  EXPECT_EQ(thumbnail(testing::StageHarness::image(1, 1, {0, 0, 0}), 50).substr(0, 2), "\xFF\xD8");
}

/// Rows around the origin, of which one direction has a standard deviation of 3, another one of 2, all others
/// of 0.1.
MemoryRows ellipse(std::size_t n, std::size_t dim) {
  Random random(4);
  std::vector<float> values;
  for (std::size_t r = 0; r < n; ++r) {
    const double a = 3 * random.normal(), b = 2 * random.normal();
    for (std::size_t i = 0; i < dim; ++i)
      values.push_back(static_cast<float>(5 + (i == 1 ? a : i == 4 ? b : 0.1 * random.normal())));
  }
  return {std::move(values), dim, std::vector<std::int32_t>(n, 0)};
}

struct Threads {
  Sequential one;
  std::atomic<bool> interrupted{false};
  Interruptible parallel{one, interrupted};
};

TEST(FeatureMap, HasTheTwoDirectionsOfLargestVariance) {
  const MemoryRows rows = ellipse(400, 8);
  std::vector<std::size_t> all(400);
  for (std::size_t i = 0; i < 400; ++i) all[i] = i;
  Threads threads;
  const FeatureMap map = feature_map(rows, all, 1000, threads.parallel);
  ASSERT_EQ(map.points.size(), 400U);
  EXPECT_NEAR(map.explained[0], 9 / 13.06, 0.05);
  EXPECT_NEAR(map.explained[1], 4 / 13.06, 0.05);
  std::vector<float> row(8);
  for (const FeatureMap::Point& p : map.points) {
    rows.read(p.row, 1, row.data());
    EXPECT_NEAR(std::abs(p.x), std::abs(static_cast<double>(row[1]) - 5), 0.5);
  }
  const FeatureMap few = feature_map(rows, all, 10, threads.parallel);
  ASSERT_EQ(few.points.size(), 10U);
  EXPECT_EQ(few.points[9].row, 360U);
}

TEST(FeatureMap, IsEmptyWhereThereIsNothingToDraw) {
  Threads threads;
  const MemoryRows rows = ellipse(10, 3);
  EXPECT_TRUE(feature_map(rows, {0, 1}, 10, threads.parallel).points.empty());
  const MemoryRows equal(std::vector<float>(30, 2), 3, std::vector<std::int32_t>(10, 0));
  EXPECT_TRUE(feature_map(equal, {0, 1, 2, 3}, 10, threads.parallel).points.empty());
  const MemoryRows pixels(std::vector<float>(4 * 10'000, 1), 10'000, std::vector<std::int32_t>(4, 0));
  EXPECT_TRUE(feature_map(pixels, {0, 1, 2}, 10, threads.parallel).points.empty());
  threads.interrupted = true;
  EXPECT_THROW(feature_map(rows, {0, 1, 2}, 10, threads.parallel), Interrupted);
}

/// Ten groups in ten directions of 20: on any plane some lie over each other.
MemoryRows groups(std::size_t n) {
  Random random(8);
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (std::size_t r = 0; r < n; ++r) {
    labels.push_back(static_cast<std::int32_t>(r % 10));
    for (std::size_t i = 0; i < 20; ++i)
      values.push_back(static_cast<float>((i == r % 10 ? 4 : 0) + 0.5 * random.normal()));
  }
  return {std::move(values), 20, labels};
}

/// The fraction of each point's 10 nearest that are of its group.
double kept(const std::vector<std::pair<double, double>>& places) {
  std::size_t own = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::vector<std::pair<double, std::size_t>> near;
    for (std::size_t j = 0; j < places.size(); ++j)
      if (j != i)
        near.emplace_back(std::hypot(places[i].first - places[j].first, places[i].second - places[j].second),
                          j);
    std::sort(near.begin(), near.end());
    for (std::size_t k = 0; k < 10; ++k) own += near[k].second % 10 == i % 10 ? 1 : 0;
  }
  return static_cast<double>(own) / static_cast<double>(10 * places.size());
}

TEST(NeighbourMap, KeepsNeighboursThatThePcaLoses) {
  const MemoryRows rows = groups(300);
  std::vector<std::size_t> all(300);
  for (std::size_t i = 0; i < 300; ++i) all[i] = i;
  Threads threads;
  const FeatureMap map = feature_map(rows, all, 1000, threads.parallel);
  std::vector<std::pair<double, double>> pca;
  for (const FeatureMap::Point& p : map.points) pca.emplace_back(p.x, p.y);
  const auto places = neighbour_map(rows, map, threads.parallel);
  ASSERT_EQ(places.size(), 300U);
  EXPECT_LT(kept(pca), 0.6);
  EXPECT_GT(kept(places), 0.95);
  EXPECT_EQ(places, neighbour_map(rows, map, threads.parallel)) << "the same each time";
}

TEST(NeighbourMap, TakesEqualRowsAndFewPoints) {
  Threads threads;
  std::vector<float> values;
  for (int i = 0; i < 40; ++i) values.insert(values.end(), {i < 20 ? 1.0F : 2.0F, 3.0F});
  const MemoryRows rows(std::move(values), 2, std::vector<std::int32_t>(40, 0));
  std::vector<std::size_t> all(40);
  for (std::size_t i = 0; i < 40; ++i) all[i] = i;
  const auto places = neighbour_map(rows, feature_map(rows, all, 100, threads.parallel), threads.parallel);
  ASSERT_EQ(places.size(), 40U);
  for (const auto& [x, y] : places) EXPECT_TRUE(std::isfinite(x) && std::isfinite(y));
  const MemoryRows few = ellipse(5, 3);
  EXPECT_TRUE(
      neighbour_map(few, feature_map(few, {0, 1, 2, 3, 4}, 10, threads.parallel), threads.parallel).empty());
  threads.interrupted = true;
  FeatureMap map;
  for (std::size_t i = 0; i < 40; ++i) map.points.push_back({i, 0, 0});
  EXPECT_THROW(neighbour_map(rows, map, threads.parallel), Interrupted);
}

TEST(NearestRows, AreThoseOfTheLargestCosine) {
  const MemoryRows rows({1, 0, 2, 2, 0, 3, 5, 1, 0, 0, 1, 0}, 2, std::vector<std::int32_t>(6, 0));
  Threads threads;
  const auto near = nearest_rows(rows, {0}, {1, 2, 3, 4, 5}, 3, threads.parallel);
  ASSERT_EQ(near.size(), 1U);
  ASSERT_EQ(near[0].size(), 3U);  // the row of zeros is like none
  EXPECT_EQ(near[0][0].row, 5U);
  EXPECT_DOUBLE_EQ(near[0][0].cosine, 1);
  EXPECT_EQ(near[0][1].row, 3U);
  EXPECT_EQ(near[0][2].row, 1U);
  EXPECT_NEAR(near[0][2].cosine, std::sqrt(0.5), 1e-12);
}

}  // namespace
}  // namespace graft::page
