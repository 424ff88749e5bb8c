#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "program.h"

namespace graft::test {

/// Photographs of two classes, as PNM: bright stripes along or across, with noise.
inline void write_photographs(const TempFolder& folder) {
  std::uint32_t state = 1;
  const auto noise = [&state] { return (state = state * 1664525u + 1013904223u) >> 26; };
  const std::pair<const char*, int> splits[] = {{"train", 12}, {"val", 6}, {"test", 5}};
  for (const auto& [split, count] : splits)
    for (const bool along : {false, true})
      for (int i = 0; i < count; ++i) {
        std::string pnm = "P6 20 16 255\n";
        for (int y = 0; y < 16; ++y)
          for (int x = 0; x < 20; ++x)
            for (int c = 0; c < 3; ++c)
              pnm += static_cast<char>(60 + noise() + ((along ? y : x) / 2 % 2 ? 40 : 0) + 10 * c);
        folder.write(
            "photos/" + std::string(split) + (along ? "/along/" : "/across/") + std::to_string(i) + ".ppm",
            pnm);
      }
}

inline constexpr const char* kStripes = R"(name: stripes
run: {threads: 2}
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 14, crop: 12, crops: five}}
  features: {plugin: backbone, from: pixels, with: {model: net.safetensors}}
  table: {plugin: feature_table, from: features}
  small: {plugin: resize, from: pixels, with: {resize: 6, crop: null}}
  rows: {plugin: pixel_table, from: small}
  probe: {plugin: linear_probe, from: table}
  knn: {plugin: knn, from: table, with: {k: [1, 5]}}
  sure: {plugin: temperature, from: knn}
  surer: {plugin: temperature, from: sure, with: {temperatures: [2]}}
  mlp: {plugin: mlp, from: rows, with: {hidden: [8], epochs: 5}}
  nearest: {plugin: prototypes, from: rows}
  both: {plugin: hybrid, from: table}
  report: {plugin: evaluate, from: [probe, knn, sure, surer, mlp, nearest, both]}
)";

/// The fields of a CSV file without quotes.
inline std::vector<std::vector<std::string>> csv_fields(const std::string& csv) {
  std::vector<std::vector<std::string>> out;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> fields;
    std::istringstream in(line + ",");
    for (std::string field; std::getline(in, field, ',');) fields.push_back(field);
    out.push_back(std::move(fields));
  }
  return out;
}

inline const std::vector<std::string> kStripesLearners{"probe", "knn",     "sure", "surer",
                                                       "mlp",   "nearest", "both"};

/// Photographs, config and a run in the folders photos and run; the network is net.safetensors.
inline void run_stripes(const TempFolder& folder) {
  write_photographs(folder);
  std::filesystem::copy_file(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors",
                             folder / "net.safetensors");
  folder.write("config.yaml", kStripes);
  const ProgramResult r = run_program({"run", "config.yaml", "--out", "run", "--quiet"}, folder.path());
  ASSERT_EQ(r.exit_code, 0) << r.err;
}

/// One such run for all tests of a suite.
class StripesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    run_stripes(*folder_);
  }
  static void TearDownTestSuite() { delete folder_; }
  inline static TempFolder* folder_ = nullptr;
};

/// What the run has predicted of test: by the path of an image, the predicted class and the scores, as text.
inline std::map<std::string, std::vector<std::string>> test_scores(const TempFolder& folder,
                                                                   const std::string& learner) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& fields : csv_fields(slurp(folder / "run/predictions" / (learner + ".csv"))))
    if (fields.at(1) == "test") out["photos/" + fields[0]] = {fields.begin() + 3, fields.end()};
  return out;
}

}  // namespace graft::test
