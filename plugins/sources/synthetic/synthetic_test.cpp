#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

using ::testing::HasSubstr;
using testing::StageHarness;

Image load(StageHarness& stage, const Entry& entry) {
  return std::get<Image>(stage.load(entry));
}

std::string pixels(const Image& image) {
  return {image.data, image.data + image.bytes()};
}

std::string fault(const std::string& params) {
  try {
    StageHarness stage("synthetic", params);
    return "ok";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Synthetic, ListsBalancedSplits) {
  StageHarness stage("synthetic", "{train: 30, val: 20, test: 50}");
  EXPECT_EQ(stage.as<Source>().count(), 100u);
  const auto classes = stage.as<Source>().classes();
  EXPECT_EQ(classes.size(), 10u);
  EXPECT_EQ(std::set<std::string>(classes.begin(), classes.end()).size(), 10u);
  const std::vector<Entry> entries = stage.list();
  ASSERT_EQ(entries.size(), 100u);
  std::map<std::pair<Split, int>, int> counts;
  for (const Entry& e : entries) ++counts[{e.split, e.labels.at(0)}];
  for (const auto& [what, count] : counts)
    EXPECT_EQ(count, what.first == Split::Train ? 3 : what.first == Split::Val ? 2 : 5);
  EXPECT_EQ(entries[0].key, "target/train/000000");
  EXPECT_EQ(entries[30].key, "target/val/000000");
  EXPECT_EQ(entries[99].key, "target/test/000049");
}

TEST(Synthetic, TasksShareNoOutline) {
  const auto outlines = [](const std::string& task) {
    StageHarness stage("synthetic", "{task: " + task + "}");
    std::set<std::string> names;
    for (const std::string& name : stage.as<Source>().classes())
      names.insert(name.substr(name.find('-') + 1));
    return names;
  };
  const auto source = outlines("source"), target = outlines("target");
  EXPECT_EQ(source.size(), 8u);
  EXPECT_EQ(target.size(), 5u);
  for (const std::string& name : target) EXPECT_FALSE(source.contains(name)) << name;
}

TEST(Synthetic, PixelsAreTheSameOnEveryMachine) {
  StageHarness target("synthetic", "{train: 20, val: 0, test: 0}"),
      source("synthetic", "{task: source, size: 48}");
  std::string all;
  for (const Entry& e : target.list()) all += pixels(load(target, e));
  for (const Entry& e : source.list()) all += pixels(load(source, e));
  // A new value here needs a new number in kDrawing: cached features of the old pixels must not be taken.
  EXPECT_EQ(digest(all).hex(), "b12e7b26ed02e162a410112f9863bb66");
}

TEST(Synthetic, AnImageDependsOnlyOnItsNameTheSeedAndTheLook) {
  StageHarness few("synthetic", "{train: 10, val: 0, test: 20}"),
      many("synthetic", "{train: 40, val: 10, test: 20}");
  StageHarness other("synthetic", "{train: 10, val: 0, test: 20}", 43);
  StageHarness plain("synthetic", "{train: 10, val: 0, test: 20, noise: 0}");
  const auto a = few.list(), b = many.list(), c = other.list(), d = plain.list();
  std::set<std::string> contents;
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(a[10 + i].key, b[50 + i].key);
    EXPECT_EQ(a[10 + i].content, b[50 + i].content);
    EXPECT_EQ(pixels(load(few, a[10 + i])), pixels(load(many, b[50 + i])));
    EXPECT_NE(pixels(load(few, a[10 + i])), pixels(load(other, c[10 + i])));
    for (const auto* list : {&a, &c, &d}) contents.insert((*list)[10 + i].content.value().hex());
  }
  EXPECT_EQ(contents.size(), 60u);
  EXPECT_TRUE(few.schema().output_depends_on_seed);
}

TEST(Synthetic, NoiseAndClutterLeaveTheObjectWhereItIs) {
  StageHarness bare("synthetic", "{train: 30, val: 0, test: 0, noise: 0, clutter: 0}");
  StageHarness noisy("synthetic", "{train: 30, val: 0, test: 0, noise: 0.1, clutter: 0}");
  for (const Entry& e : bare.list()) {
    const std::string a = pixels(load(bare, e)), b = pixels(load(noisy, e));
    double sum = 0, squares = 0;
    int n = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const int v = static_cast<std::uint8_t>(a[i]);
      if (v < 30 || v > 225) continue;  // clipped values are not centred
      const double diff = static_cast<std::uint8_t>(b[i]) - v;
      sum += diff;
      squares += diff * diff;
      ++n;
    }
    EXPECT_NEAR(sum / n, 0, 0.6);
    EXPECT_NEAR(std::sqrt(squares / n), 6.0, 0.5);
  }
}

TEST(Synthetic, DrawsTheSameOnAnyThread) {
  StageHarness stage("synthetic", "{task: source, train: 64, val: 0, test: 0}");
  const auto entries = stage.list();
  std::vector<std::string> alone, together(entries.size());
  for (const Entry& e : entries) alone.push_back(pixels(load(stage, e)));
  testing::Threads(4).for_each(entries.size(), [&](std::size_t i) {
    together[i] = pixels(std::get<Image>(stage.as<Source>().load(entries[i])));
  });
  EXPECT_EQ(alone, together);
}

TEST(Synthetic, ChecksItsParameters) {
  EXPECT_EQ(fault("{classes: 11}"), "classes: expected at most 10 for task: target, got 11");
  EXPECT_EQ(fault("{task: source, classes: 11}"), "ok");
  EXPECT_THAT(fault("{size: 8}"), HasSubstr("size: 8 is out of range: expected from 16 to 512 px"));
  EXPECT_THAT(fault("{train: 0}"), HasSubstr("train: 0 is out of range"));
  EXPECT_THAT(fault("{task: targte}"), HasSubstr("did you mean 'target'?"));
}

// Test accuracy of ridge regression on one-hot labels, solved in the space of the training rows, for the best
// of several penalties: an upper bound of what a linear model that is tuned honestly reaches.
double best_ridge_accuracy(const std::vector<std::vector<float>>& train, const std::vector<int>& train_labels,
                           const std::vector<std::vector<float>>& test, const std::vector<int>& test_labels,
                           int classes) {
  const std::size_t n = train.size();
  const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    float sum = 1;  // the constant feature
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return static_cast<double>(sum);
  };
  std::vector<std::vector<double>> gram(n, std::vector<double>(n)),
      cross(test.size(), std::vector<double>(n));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) gram[i][j] = gram[j][i] = dot(train[i], train[j]);
  for (std::size_t i = 0; i < test.size(); ++i)
    for (std::size_t j = 0; j < n; ++j) cross[i][j] = dot(test[i], train[j]);
  double trace = 0;
  for (std::size_t i = 0; i < n; ++i) trace += gram[i][i] / static_cast<double>(n);
  double best = 0;
  for (const double penalty : {0.01, 0.1, 1.0, 10.0}) {
    // Cholesky factor in place, then two triangular solves per class.
    auto l = gram;
    for (std::size_t j = 0; j < n; ++j) {
      l[j][j] += penalty * trace;
      for (std::size_t i = j; i < n; ++i) {
        double v = l[i][j];
        for (std::size_t k = 0; k < j; ++k) v -= l[i][k] * l[j][k];
        l[i][j] = i == j ? std::sqrt(v) : v / l[j][j];
      }
    }
    std::vector<std::vector<double>> scores(test.size(),
                                            std::vector<double>(static_cast<std::size_t>(classes)));
    for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) {
      std::vector<double> a(n);
      for (std::size_t i = 0; i < n; ++i) {
        a[i] = train_labels[i] == static_cast<int>(c);
        for (std::size_t k = 0; k < i; ++k) a[i] -= l[i][k] * a[k];
        a[i] /= l[i][i];
      }
      for (std::size_t i = n; i-- > 0;) {
        for (std::size_t k = i + 1; k < n; ++k) a[i] -= l[k][i] * a[k];
        a[i] /= l[i][i];
      }
      for (std::size_t t = 0; t < test.size(); ++t)
        for (std::size_t i = 0; i < n; ++i) scores[t][c] += cross[t][i] * a[i];
    }
    int right = 0;
    for (std::size_t t = 0; t < test.size(); ++t)
      right += std::max_element(scores[t].begin(), scores[t].end()) - scores[t].begin() == test_labels[t];
    best = std::max(best, right / static_cast<double>(test.size()));
  }
  return best;
}

struct Sets {
  std::vector<std::vector<float>> train, test;
  std::vector<int> train_labels, test_labels;
};

template <typename Features>
Sets sets(Features features) {
  StageHarness stage("synthetic", "{train: 700, val: 0, test: 500}");
  Sets out;
  for (const Entry& e : stage.list()) {
    const bool train = e.split == Split::Train;
    (train ? out.train : out.test).push_back(features(load(stage, e)));
    (train ? out.train_labels : out.test_labels).push_back(e.labels.at(0));
  }
  return out;
}

TEST(Synthetic, RawPixelsAreNotEnough) {
  const Sets s = sets([](const Image& image) {
    std::vector<float> out;
    for (std::size_t i = 0; i < image.bytes(); ++i)
      out.push_back(static_cast<float>(image.data[i]) / 255.0f - 0.5f);
    return out;
  });
  const double accuracy = best_ridge_accuracy(s.train, s.train_labels, s.test, s.test_labels, 10);
  EXPECT_LT(accuracy, 0.7);
  EXPECT_GT(accuracy, 0.13);  // there is something to learn
}

TEST(Synthetic, ColourSaysNothing) {
  const Sets s = sets([](const Image& image) {
    std::vector<float> mean(3);
    for (std::size_t i = 0; i < image.bytes(); ++i)
      mean[i % 3] += static_cast<float>(image.data[i]) / static_cast<float>(image.bytes() * 85);
    return mean;
  });
  EXPECT_LT(best_ridge_accuracy(s.train, s.train_labels, s.test, s.test_labels, 10), 0.19);
}

}  // namespace
}  // namespace graft
