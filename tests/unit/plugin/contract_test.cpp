// Every plugin of the tree against the contract of its kind, by the check that authors of other plugins have,
// and plugins that break the contract on purpose.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/videoio.hpp>

#include <graft/error.h>
#include <graft/testing/contract.h>

#include "http_server.h"
#include "sanitizers.h"
#include "temp_folder.h"

namespace graft::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Files that the sources of the tree read, made once.
class Inputs {
 public:
  static const fs::path& folder() {
    static const Inputs kInputs;
    return kInputs.folder_.path();
  }

 private:
  Inputs() {
    std::string list = "path,label\n";
    for (int i = 0; i < 8; ++i) {
      const fs::path image = fs::path(i % 2 == 0 ? "cats" : "dogs") / (std::to_string(i) + ".ppm");
      folder_.write("photos" / image, "P6 2 1 255\n" + std::string(6, static_cast<char>(40 + i)));
      list += image.string() + (i % 2 == 0 ? ",cat\n" : ",dog\n");
    }
    folder_.write("photos/list.csv", list);
    folder_.write("idx/train-images-idx3-ubyte",
                  std::string("\0\0\x08\x03\0\0\0\4\0\0\0\2\0\0\0\2", 16) + "0123456789abcdef");
    folder_.write("idx/train-labels-idx1-ubyte", std::string("\0\0\x08\x01\0\0\0\4\0\1\0\1", 12));
    std::string records;
    for (int i = 0; i < 4; ++i)
      records += std::string(1, static_cast<char>(i)) + std::string(3072, static_cast<char>(i));
    folder_.write("cifar/data_batch_1.bin", records);
    folder_.write("cifar/test_batch.bin", records);
    const std::string tar = "tar -C " + (folder_.path() / "photos").string() + " -cf " +
                            (folder_.path() / "photos.tar").string() + " cats dogs";
    if (std::system(tar.c_str()) != 0) throw Error("cannot make an archive: " + tar);
    std::string urls = "url,label\n";
    for (int i = 0; i < 6; ++i)
      urls += server_.url() + "/" + std::to_string(i) + (i % 2 == 0 ? ",cat\n" : ",dog\n");
    folder_.write("urls.csv", urls);
    for (const char* name : {"cats", "dogs"}) {
      fs::create_directories(folder_ / "films" / name);
      cv::VideoWriter film((folder_ / "films" / name / "film.avi").string(), cv::CAP_OPENCV_MJPEG,
                           cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 10, {16, 16});
      for (int i = 0; i < 4; ++i) film.write(cv::Mat(16, 16, CV_8UC3, cv::Scalar(60 * i, 90, *name)));
    }
  }
  test::TempFolder folder_;
  const test::HttpServer server_{
      [](const std::string& path) { return test::HttpServer::ok("file " + path); }};
};

std::string at(const std::string& name) {
  return (Inputs::folder() / name).string();
}

/// What a plugin of the tree is tried with; a plugin that is not here is tried as it is.
ContractTrial trial_of(const std::string& plugin) {
  ContractTrial trial;
  if (plugin == "image_folder") trial.params = "{root: " + at("photos") + "}";
  if (plugin == "image_list") trial.params = "{file: " + at("photos/list.csv") + "}";
  if (plugin == "files") trial.params = "{paths: [" + at("photos/cats") + ", " + at("photos.tar") + "]}";
  if (plugin == "archive") trial.params = "{root: " + Inputs::folder().string() + "}";
  if (plugin == "idx") trial.params = "{root: " + at("idx") + ", test: {images: null}}";
  if (plugin == "cifar") trial.params = "{root: " + at("cifar") + "}";
  if (plugin == "url_list") trial.params = "{file: " + at("urls.csv") + "}";
  if (plugin == "video") trial.params = "{root: " + at("films") + "}";
  if (plugin == "table_file") trial.params = "{files: " GRAFT_SOURCE_DIR "/configs/table_file.h5}";
  if (plugin == "synthetic") trial.params = "{train: 8, test: 4, size: 16}";
  if (plugin == "augment") trial.params = "{views: 3}";
  if (plugin == "stdin") {
    trial.params = "{root: " + at("photos") + ", label_from: parent_folder}";
    trial.prepare = [] {
      static std::stringbuf paths;
      paths.str("cats/0.ppm\ndogs/1.ppm\ncats/2.ppm\ndogs/3.ppm\n");
      std::cin.rdbuf(&paths);
      std::cin.clear();
    };
  }
  if (plugin == "compare") trial.params = "{cv: 3, resamples: 100}";
  // Learners of pixels: networks that are small enough to be trained several times.
  if (plugin == "finetune" || plugin == "pretrain") trial.row = {16, 16, 3};
  if (plugin == "pretrain") trial.params = "{architecture: resnet8, width: 4, epochs: 1, batch: 32}";
  if (plugin == "finetune")
    trial.params =
        "{model: " GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors, epochs: 1, batch: 32}";
  if (plugin == "backbone")
    trial.params = "{model: " GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors, batch: 4}";
  return trial;
}

std::vector<std::string> plugins_of_the_tree() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(GRAFT_TREE_PLUGINS))
    if (entry.path().extension() == ".json") out.push_back(entry.path().stem());
  std::sort(out.begin(), out.end());
  return out;
}

class PluginContract : public ::testing::TestWithParam<std::string> {};

TEST_P(PluginContract, Holds) {
  EXPECT_EQ(check_contract(GetParam(), trial_of(GetParam())), "");
}

INSTANTIATE_TEST_SUITE_P(Tree, PluginContract, ::testing::ValuesIn(plugins_of_the_tree()),
                         [](const auto& plugin) { return plugin.param; });

/// Learners of the tree that take inputs with several labels, or with none of the classes.
class ContractOfSeveralLabels : public ::testing::TestWithParam<std::string> {};

TEST_P(ContractOfSeveralLabels, Holds) {
  ContractTrial trial = trial_of(GetParam());
  trial.multi_label = true;
  EXPECT_EQ(check_contract(GetParam(), trial), "");
}

INSTANTIATE_TEST_SUITE_P(Tree, ContractOfSeveralLabels,
                         ::testing::Values("linear_probe", "mlp", "temperature", "evaluate", "compare"),
                         [](const auto& plugin) { return plugin.param; });

/// What check_contract says of a breaking plugin (tests/support/breaking.cpp).
std::string broken(const std::string& kind, const std::string& rule, ContractTrial trial = {}) {
  trial.params = "{breaks: " + rule + "}";
  return check_contract("breaking_" + kind, trial);
}

class BrokenContract : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ::setenv("GRAFT_PLUGIN_PATH", GRAFT_TEST_PLUGINS, 1); }
};

TEST_F(BrokenContract, OfNothingIsSilent) {
  for (const char* kind : {"source", "transform", "batch", "collector", "report"})
    EXPECT_EQ(broken(kind, "nothing"), "") << kind;
  EXPECT_EQ(broken("learner", "nothing"), "the text of port 'out' is not a sentence\n");
}

TEST_F(BrokenContract, OfSources) {
  EXPECT_EQ(broken("source", "count"), "count() is 9, but next() gives 3 entries\n");
  EXPECT_EQ(broken("source", "keys"), "the key 'same' occurs twice\nthe key 'same' occurs twice\n");
  EXPECT_THAT(broken("source", "label"), ::testing::StartsWith("'0' has label 2 of 2 classes\n"));
  EXPECT_EQ(broken("source", "list"), "a second instance lists other entries\n");
  EXPECT_EQ(broken("source", "load"), "load gives other payloads in another order or on 8 threads\n");
}

TEST_F(BrokenContract, OfTransforms) {
  EXPECT_EQ(broken("transform", "constructor"),
            "the constructor with {n: 9} throws something else than graft::Error: nine\n");
  EXPECT_THAT(broken("transform", "changes"), ::testing::StartsWith("apply changes its input\n"));
  EXPECT_THAT(broken("transform", "counts"),
              ::testing::StartsWith("apply gives another result for the same item in a second call\n"));
  EXPECT_EQ(broken("transform", "instances"), "apply gives other results in another instance on 8 threads\n");
  EXPECT_EQ(broken("transform", "keeps"), "apply keeps its input after the call\n");
  EXPECT_EQ(broken("transform", "refuses"),
            "apply refuses every item of the trial (throws not today): give check_contract items that it "
            "takes\n");
  EXPECT_EQ(
      broken("transform", "rounding"),
      "the plugin changes the floating-point mode of its thread (-ffast-math does, also in a library that "
      "is linked)\n");
  EXPECT_EQ(broken("transform", "denormals"), broken("transform", "rounding"));
}

TEST_F(BrokenContract, OfBatchTransforms) {
  EXPECT_EQ(broken("batch", "forgets"), "apply has neither a result nor a reject for some item\n");
  EXPECT_EQ(broken("batch", "mixes"), "an item alone in a batch gives another result than beside others\n");
}

TEST_F(BrokenContract, OfCollectors) {
  EXPECT_EQ(broken("collector", "leaves"),
            "encode leaves bytes of its row as they were, or differs from call to call\n");
  EXPECT_EQ(broken("collector", "beside"), "encode writes outside of its row\n");
  EXPECT_EQ(broken("collector", "keeps"), "encode keeps its input after the call\n");
}

TEST_F(BrokenContract, OfLearners) {
  const std::string port = "the text of port 'out' is not a sentence\n";
  EXPECT_EQ(broken("learner", "remembers"),
            port + "fit gives another model after it was called for other rows\n");
  EXPECT_EQ(broken("learner", "threads"), port + "fit or predict give other scores with 8 threads\n");
  EXPECT_EQ(broken("learner", "bundle"), port + "the model that load makes from save gives other scores\n");
  EXPECT_EQ(broken("learner", "anything"),
            port + "load takes an empty bundle: name what is missing in an Error\n");
  EXPECT_EQ(broken("learner", "interruption"),
            port + "fit goes on to its end after an interruption: let Interrupted through\n");
  EXPECT_EQ(broken("learner", "translation"),
            port + "fit turns Interrupted into another exception: it was interrupted\n");
  EXPECT_EQ(broken("learner", "nan"),
            port +
                "the scores of val contain -1.000000: expected numbers from 0 to 1\n"
                "the scores of new rows contain -1.000000: expected numbers from 0 to 1\n");
  EXPECT_THAT(broken("learner", "sums"), ::testing::HasSubstr("the scores of val of a row add up to 0.8"));
}

TEST_F(BrokenContract, OfReports) {
  EXPECT_EQ(broken("report", "counts"), "report gives another result in a second call\n");
  EXPECT_EQ(broken("report", "file"), "the file '../report.txt' is outside of the report's folder\n");
  EXPECT_EQ(broken("report", "untested"), "report throws: division by zero\n");
}

TEST_F(BrokenContract, ThatHoldsMoreMemoryAfterEveryCall) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers have allocators, and a check of leaks, of their own";
  for (const auto& [kind, function] : {std::pair{"source", "load"},
                                       {"transform", "apply"},
                                       {"batch", "apply"},
                                       {"collector", "encode"},
                                       {"report", "report"}})
    EXPECT_EQ(broken(kind, "leaks"), std::string(function) + " holds more memory after every call\n");
}

TEST_F(BrokenContract, ThatAllocatesMoreThanItDeclares) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers have allocators of their own";
  const std::string text = broken("transform", "memory");
  // 64 KiB, and the 64 x 64 pixels of the input and the two of the output.
  const std::string wanted =
      "apply allocates more than working_memory declares: wanted at most 77830 bytes beside its input and "
      "output, got ";
  ASSERT_THAT(text, ::testing::StartsWith(wanted));
  const int got = std::stoi(text.substr(wanted.size()));
  EXPECT_GE(got, 1 << 20);
  EXPECT_LT(got, (1 << 20) + (64 << 10));
}

TEST_F(BrokenContract, OfTheProcess) {
  const std::string folder = fs::current_path().string();
  EXPECT_EQ(broken("transform", "folder"),
            "the plugin changes the working folder from " + folder + " to /\n");
  EXPECT_EQ(broken("transform", "locale"),
            "the plugin calls setlocale: the locale was C and is LC_CTYPE=C;LC_NUMERIC=C.UTF-8;LC_TIME=C;"
            "LC_COLLATE=C;LC_MONETARY=C;LC_MESSAGES=C;LC_PAPER=C;LC_NAME=C;LC_ADDRESS=C;LC_TELEPHONE=C;"
            "LC_MEASUREMENT=C;LC_IDENTIFICATION=C\n");
  EXPECT_EQ(broken("transform", "nothing"), "");
}

/// Inputs for which a call has to allocate: large ones, and files of several formats.
TEST(WorkingMemory, OfLargeInputsIsWhatPluginsOfTheTreeDeclare) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers have allocators of their own";
  std::vector<std::uint8_t> pixels(900 * 600 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * i >> 7U);
  const cv::Mat drawn(600, 900, CV_8UC3, pixels.data());
  Image large = Image::allocate(900, 600);
  std::copy(pixels.begin(), pixels.end(), large.data);
  const std::vector<Payload> images{large, large};
  for (const char* params : {"{crop: 224, resize: 256}", "{resize: 800, filter: lanczos}"}) {
    EXPECT_EQ(check_contract("resize", {.params = params, .items = images}), "") << params;
    for (const std::string format : {".jpg", ".png", ".bmp", ".tiff", ".webp", "with alpha.png",
                                     "with alpha.webp", "with 16 bits.png", "with 16 bits.tiff"}) {
      cv::Mat stored = drawn;
      if (format.starts_with("with alpha")) {
        const cv::Mat planes[] = {drawn, drawn};
        stored.create(600, 900, CV_8UC4);
        cv::mixChannels(planes, 2, &stored, 1, std::vector<int>{0, 0, 1, 1, 2, 2, 4, 3}.data(), 4);
      }
      if (format.starts_with("with 16")) drawn.convertTo(stored, CV_16U, 257);
      std::vector<std::uint8_t> file;
      cv::imencode(format.substr(format.find('.')), stored, file);
      const Bytes bytes = StageHarness::bytes({file.begin(), file.end()});
      EXPECT_EQ(check_contract("decode", {.params = params, .items = {bytes, bytes}}), "")
          << params << format;
    }
  }
  for (const char* params :
       {"{}", "{operations: [{random_resized_crop: {size: 224}}, flip, {color_jitter: {brightness: 0.4}}]}",
        "{operations: [rand_augment]}"})
    EXPECT_EQ(check_contract("augment", {.params = params, .items = images}), "") << params;
  EXPECT_EQ(check_contract("pixel_table", {.items = images}), "");
}

}  // namespace
}  // namespace graft::testing
