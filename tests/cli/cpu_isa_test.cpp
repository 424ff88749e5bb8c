// The program on less of the processor (GRAFT_MAX_CPU_ISA): the same pixels, and features within rounding.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;

/// Values of a file of NumPy with little-endian float32 in it.
std::vector<float> read_npy(const std::filesystem::path& file) {
  const std::string bytes = slurp(file);
  if (bytes.size() < 10 || bytes.find("'<f4'") == std::string::npos) return {};
  const std::size_t header =
      10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
  std::vector<float> out((bytes.size() - header) / sizeof(float));
  std::memcpy(out.data(), bytes.data() + header, out.size() * sizeof(float));
  return out;
}

/// The backbone of the quickstart on images that are resized before.
class CpuIsaTest : public ::testing::Test {
 protected:
  struct Outcome {
    std::vector<float> features, pixels;
    std::string isa;      ///< By the manifest.
    std::string printed;  ///< oneDNN names its kernels there.
  };

  void SetUp() override {
    folder_.write("isa.yaml",
                  "name: isa\nseed: 3\nrun: {threads: 2}\nstages:\n"
                  "  images: {plugin: synthetic, with: {train: 30, val: 10, test: 10, size: 45}}\n"
                  "  pixels: {plugin: resize, from: images, with: {resize: 32, crop: 32}}\n"
                  "  features: {plugin: backbone, from: pixels, with: {model: \"" +
                      std::string(GRAFT_SOURCE_DIR) +
                      "/configs/quickstart_backbone.safetensors\"}}\n"
                      "  table: {plugin: feature_table, from: features}\n"
                      "  pixel_rows: {plugin: pixel_table, from: pixels}\n");
  }

  Outcome run(const std::string& limit) const {
    const std::string name = limit.empty() ? "all" : limit;
    const std::vector<std::string> environment = {"GRAFT_MAX_CPU_ISA=" + limit, "ONEDNN_VERBOSE=1",
                                                  "DNNL_VERBOSE=1"};
    const std::string store = folder_ / (name + "-store"), out = folder_ / name;
    const ProgramResult r = run_program({"run", folder_ / "isa.yaml", "--out", out, "--store", store},
                                        folder_.path(), environment);
    EXPECT_EQ(r.exit_code, 0) << r.err;
    for (const char* table : {"table", "pixel_rows"}) {
      const ProgramResult exported = run_program({"store", "export", std::string("isa/") + table,
                                                  folder_ / (name + "-" + table + ".npy"), "--store", store},
                                                 folder_.path(), environment);
      EXPECT_EQ(exported.exit_code, 0) << exported.err;
    }
    const auto manifest = nlohmann::json::parse(slurp(folder_ / name / "manifest.json"));
    return {read_npy(folder_ / (name + "-table.npy")), read_npy(folder_ / (name + "-pixel_rows.npy")),
            manifest["host"]["cpu_isa"], r.out + r.err};
  }

  TempFolder folder_;
};

TEST_F(CpuIsaTest, FeaturesAreTheSameWithinRoundingAndPixelsToTheBit) {
  const Outcome all = run("");
  ASSERT_FALSE(all.features.empty());
  ASSERT_FALSE(all.pixels.empty());
  const float largest = std::abs(*std::max_element(
      all.features.begin(), all.features.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  const std::vector<std::string> order = {"baseline", "sse41", "avx2", "avx512", "avx512bf16"};
  const auto rank = [&](const std::string& isa) {
    return std::find(order.begin(), order.end(), isa) - order.begin();
  };
  for (const std::string limit : {"sse41", "avx2", "avx512"}) {
    const Outcome less = run(limit);
    EXPECT_EQ(less.isa, order.at(static_cast<std::size_t>(std::min(rank(limit), rank(all.isa)))));
    EXPECT_EQ(less.pixels, all.pixels) << limit;
    ASSERT_EQ(less.features.size(), all.features.size()) << limit;
    float difference = 0;
    for (std::size_t i = 0; i < all.features.size(); ++i)
      difference = std::max(difference, std::abs(less.features[i] - all.features[i]));
    EXPECT_LE(difference, 1e-5F * largest) << limit;
    RecordProperty(limit, std::to_string(difference / largest));
    if (less.isa == "sse41") {
      EXPECT_THAT(less.printed, HasSubstr("isa:Intel SSE4.1"));
    } else if (less.isa == "avx2") {
      EXPECT_THAT(less.printed, HasSubstr("isa:Intel AVX2\n"));
    }
  }
}

TEST_F(CpuIsaTest, ALimitThatDoesNotExistIsAnError) {
  const ProgramResult r = run_program({"check", folder_ / "isa.yaml"}, {}, {"GRAFT_MAX_CPU_ISA=mmx"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.err, "error: GRAFT_MAX_CPU_ISA: expected sse41, avx2 or avx512, got 'mmx'\n");
}

}  // namespace
}  // namespace graft::test
