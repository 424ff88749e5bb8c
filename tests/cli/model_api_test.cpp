// Trained models from C++, C and Python: the bits of the run, from any number of threads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <graft/error.h>
#include <graft/model.h>
#include <graft/testing/error_of.h>

#include "program.h"
#include "sanitizers.h"
#include "stripes.h"

extern "C" int check_model_from_c(const char* model, const char* image, float* scores, char* text,
                                  unsigned text_size);

namespace graft::test {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ModelApiTest : public StripesTest {
 protected:
  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  /// Scores of the run on test, by path.
  static std::map<std::string, std::vector<float>> wanted(const std::string& learner) {
    std::map<std::string, std::vector<float>> out;
    for (const auto& [key, fields] : test_scores(*folder_, learner))
      out[path(key)] = {std::stof(fields.at(1)), std::stof(fields.at(2))};
    return out;
  }
};

std::vector<std::uint8_t> bytes_of_file(const std::string& file) {
  const std::string content = slurp(file);
  return {content.begin(), content.end()};
}

TEST_F(ModelApiTest, ScoresHaveTheBitsOfTheRunHoweverTheImageComes) {
  for (const std::string& learner : kStripesLearners) {
    ModelOptions options;
    options.learner = learner;
    const Model model(path("run"), options);
    EXPECT_EQ(model.learner(), learner);
    EXPECT_EQ(model.classes(), (std::vector<std::string>{"across", "along"}));
    EXPECT_FALSE(model.multi_label());
    std::vector<ImageInput> files;
    std::vector<std::vector<float>> scores;
    for (const auto& [file, s] : wanted(learner)) {
      files.push_back(ImageInput::file(file));
      scores.push_back(s);
    }
    const std::vector<ImagePrediction> all = model.predict(files);
    ASSERT_EQ(all.size(), scores.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].scores, scores[i]) << learner << " " << files[i].name;
      const std::vector<std::uint8_t> encoded = bytes_of_file(files[i].name);
      EXPECT_EQ(model.predict(ImageInput::bytes("b", encoded)).scores, scores[i]) << learner;
      // P6 20 16 255, and the pixels.
      EXPECT_EQ(model.predict(ImageInput::pixels("p", encoded.data() + 13, 20, 16, 60)).scores, scores[i])
          << learner;
    }
  }
}

TEST_F(ModelApiTest, AnImageThatCannotBeUsedDisturbsNoOther) {
  ModelOptions options;
  options.learner = "both";
  const Model model(path("run"), options);
  const auto scores = wanted("both");
  const std::string good = scores.begin()->first;
  const std::vector<std::uint8_t> text{'n', 'o'};
  const std::vector<ImageInput> images{ImageInput::file("/nowhere"),    ImageInput::file(good),
                                       ImageInput::bytes("text", text), ImageInput::bytes("empty", {}),
                                       ImageInput::file(good),          ImageInput::file("/dev/zero")};
  const std::vector<ImagePrediction> made = model.predict(images, {true, 0});
  ASSERT_EQ(made.size(), 6u);
  ASSERT_TRUE(made[0].rejected && made[2].rejected && made[3].rejected && made[5].rejected);
  EXPECT_EQ(made[0].rejected->code, "missing");
  EXPECT_EQ(made[0].rejected->text, "cannot open the file: No such file or directory");
  EXPECT_EQ(made[2].rejected->code, "not-an-image");
  EXPECT_EQ(made[2].rejected->stage, "pixels");
  EXPECT_EQ(made[5].rejected->code, "not-a-file");
  EXPECT_TRUE(made[0].scores.empty() && made[0].features.empty());
  EXPECT_EQ(made[1].scores, scores.at(good));
  EXPECT_EQ(made[4].scores, scores.at(good));
  EXPECT_EQ(made[1].features, made[4].features);
  EXPECT_EQ(made[1].features.size() % 5, 0u) << "five crops";
  EXPECT_TRUE(model.predict(std::vector<ImageInput>{}).empty());
}

TEST_F(ModelApiTest, ManyThreadsShareAModel) {
  ModelOptions options;
  options.learner = "probe";
  options.settings = {"run.threads=2"};
  options.gather = std::chrono::milliseconds(1);
  const Model model(path("run"), options);
  EXPECT_EQ(model.threads(), 2);
  const auto scores = wanted("probe");
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::string> wrong;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      std::size_t at = 0;
      for (const auto& [file, s] : scores) {
        const bool bad = (t + at++) % 4 == 0;
        const ImagePrediction p = model.predict(ImageInput::file(bad ? file + ".none" : file));
        const std::lock_guard lock(mutex);
        if (bad ? !p.rejected : p.scores != s) wrong.push_back(file);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(wrong.empty()) << wrong.size();
}

TEST_F(ModelApiTest, WhatWasSubmittedIsPredictedBeforeTheModelGoes) {
  std::vector<std::future<std::vector<ImagePrediction>>> waiting;
  const auto scores = wanted("probe");
  {
    ModelOptions options;
    options.learner = "probe";
    const Model model(path("run"), options);
    for (const auto& [file, s] : scores) waiting.push_back(model.submit({ImageInput::file(file)}));
  }
  auto s = scores.begin();
  for (auto& result : waiting) EXPECT_EQ(result.get().at(0).scores, (s++)->second);
}

TEST_F(ModelApiTest, NamesTheTrainingImagesThatAreMostAlike) {
  for (const std::string learner : {"knn", "surer", "both"}) {
    ModelOptions options;
    options.learner = learner;
    const Model model(path("run"), options);
    ASSERT_TRUE(model.knows_neighbours());
    // What the run has listed for test, by its knn: the nearest images by the first view, without the image.
    const ImagePrediction p = model.predict(ImageInput::file(path("photos/train/along/3.ppm")), {false, 3});
    ASSERT_EQ(p.neighbours.size(), 3u);
    EXPECT_EQ(p.neighbours[0].key, "train/along/3.ppm") << "the image itself is the nearest one";
    EXPECT_NEAR(p.neighbours[0].similarity, 1, 1e-5);
    EXPECT_GE(p.neighbours[0].similarity, p.neighbours[1].similarity);
    EXPECT_NE(p.neighbours[1].key, p.neighbours[0].key);
    EXPECT_TRUE(model.predict(ImageInput::file(path("photos/train/along/3.ppm"))).neighbours.empty());
  }
  ModelOptions options;
  options.learner = "mlp";
  const Model model(path("run"), options);
  EXPECT_FALSE(model.knows_neighbours());
  EXPECT_EQ(error_of([&] {
              model.predict(ImageInput::file("x"), {false, 3});
            }),
            "'mlp' keeps no training images to compare with, nor does another learner of its run on the same "
            "table: add one, such as knn, or pack with --with-neighbors");
  // Of the same table as `knn` and `both`.
  options.learner = "probe";
  const Model probe(path("run"), options);
  EXPECT_TRUE(probe.knows_neighbours());
  const ImageInput image = ImageInput::file(path("photos/train/along/3.ppm"));
  const ImagePrediction near = probe.predict(image, {false, 1}), plain = probe.predict(image);
  ASSERT_EQ(near.neighbours.size(), 1u);
  EXPECT_EQ(near.neighbours[0].key, "train/along/3.ppm");
  EXPECT_EQ(near.scores, plain.scores);
}

TEST_F(ModelApiTest, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(error_of([&] { Model(path("photos")); }), HasSubstr("photos holds no models"));
  ModelOptions options;
  options.learner = "prob";
  EXPECT_THAT(error_of([&] { Model(path("run"), options); }),
              StartsWith("--learner prob: no such model in "));
  options.learner = "probe";
  options.settings = {"pixels.crop=8"};
  EXPECT_THAT(
      error_of([&] { Model(path("run"), options); }),
      StartsWith("the features of 'probe' are no longer those that the model was trained on: pixels.crop"));
  const std::uint8_t pixel[3] = {};
  EXPECT_EQ(error_of([&] { ImageInput::pixels("p", pixel, 0, 1, 3); }),
            "pixels of 'p': expected sides from 1 to 65535, got 0 x 1");
  EXPECT_EQ(error_of([&] { ImageInput::pixels("p", pixel, 2, 1, 3); }),
            "pixels of 'p': a row of 2 RGB pixels has 6 bytes, got 3");
}

TEST(ModelApi, AnImageOfAnotherSizeThanTheLearnerTakesIsARejectBesideOthers) {
  const TempFolder folder;
  folder.write("config.yaml", R"(name: drawn
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 10}}
  rows: {plugin: pixel_table, from: images}
  probe: {plugin: linear_probe, from: rows}
  report: {plugin: evaluate, from: probe}
)");
  ASSERT_EQ(run_program({"run", "config.yaml", "--out", "run", "--quiet"}, folder.path()).exit_code, 0);
  const Model model((folder / "run").string());
  const std::vector<std::uint8_t> grey(std::size_t{3} * 24 * 24, 120);
  const std::vector<ImageInput> images{ImageInput::pixels("other", grey.data(), 20, 24, 60),
                                       ImageInput::pixels("fits", grey.data(), 24, 24, 72)};
  const std::vector<ImagePrediction> made = model.predict(images);
  ASSERT_TRUE(made[0].rejected);
  EXPECT_EQ(made[0].rejected->code, "model-input");
  EXPECT_EQ(made[0].rejected->stage, "probe");
  EXPECT_FALSE(made[1].rejected);
  EXPECT_EQ(made[1].scores, model.predict(images[1]).scores);
}

TEST(ModelApi, AnImageWhoseViewsHaveRowsOfDifferentShapesIsARejectBesideOthers) {
  const TempFolder folder;
  folder.write("config.yaml", R"(name: drawn
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 10}}
  views: {plugin: uneven, from: images}
  rows: {plugin: pixel_table, from: views}
  probe: {plugin: linear_probe, from: rows}
  report: {plugin: evaluate, from: probe}
)");
  const ProgramResult r = run_program(
      {"run", "config.yaml", "--out", "run", "--quiet", "--plugin-dir", GRAFT_TEST_PLUGINS}, folder.path());
  ASSERT_EQ(r.exit_code, 0) << r.err;
  ModelOptions options;
  options.plugin_folders = {GRAFT_TEST_PLUGINS};
  const Model model((folder / "run").string(), options);
  const std::vector<std::uint8_t> grey(std::size_t{3} * 24 * 24, 120);
  std::vector<std::uint8_t> marked = grey;
  marked[0] = 1, marked[1] = 2, marked[2] = 3;
  // The first view of the second image is what the learner takes.
  const std::vector<ImageInput> images{ImageInput::pixels("even", grey.data(), 24, 24, 72),
                                       ImageInput::pixels("uneven", marked.data(), 24, 24, 72)};
  const std::vector<ImagePrediction> made = model.predict(images, {true, 0});
  EXPECT_FALSE(made[0].rejected);
  EXPECT_EQ(made[0].features.size(), std::size_t{2} * 24 * 24 * 3);
  ASSERT_TRUE(made[1].rejected);
  EXPECT_EQ(made[1].rejected->stage, "probe");
  EXPECT_EQ(made[1].rejected->code, "model-input");
  EXPECT_EQ(made[1].rejected->text,
            "its views have rows of different formats, u8[24,24,3] and u8[24,23,3]: a learner takes rows of "
            "one");
  EXPECT_TRUE(made[1].scores.empty() && made[1].features.empty());
  EXPECT_EQ(model.predict(images[0]).scores, made[0].scores);
}

TEST_F(ModelApiTest, FromC) {
  const auto scores = wanted("probe");
  float made[2] = {};
  char text[2000] = {};
  EXPECT_EQ(check_model_from_c(path("run/models/probe").c_str(), scores.begin()->first.c_str(), made, text,
                               sizeof text),
            0)
      << text;
  EXPECT_EQ((std::vector<float>{made[0], made[1]}), scores.begin()->second);
}

TEST_F(ModelApiTest, FromPython) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer must be in the program from its start";
  const TempFolder out;
  const pid_t pid = start("/usr/bin/python3", out,
                          {GRAFT_SOURCE_DIR "/tests/cli/model_python_test.py", folder_->path().string()}, {},
                          {"GRAFT_LIBRARY=" GRAFT_CORE_LIBRARY,
                           "PYTHONPATH=" GRAFT_SOURCE_DIR "/pipeline/python", "PYTHONDONTWRITEBYTECODE=1"});
  const ProgramResult r = wait_for(out, pid);
  if (r.exit_code == 127 || r.exit_code == 77) GTEST_SKIP() << "python3 with numpy is not there";
  EXPECT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("70 images have the bits of the run\n"));
}

}  // namespace
}  // namespace graft::test
