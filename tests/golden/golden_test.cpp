// Reference outputs of other software, made with real photographs: skipped where the data are not there.

#include <hdf5.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

using testing::StageHarness;

/// The folder of the data, and beside it the reference outputs; empty where they are not there.
std::string data_folder() {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/../golden/resize_pillow.h5"))
    return {};
  return data;
}

#define SKIP_WITHOUT_DATA()                                                                       \
  if (data_folder().empty())                                                                      \
  GTEST_SKIP() << "set GRAFT_DATA to the folder with hymenoptera/ and weights/; reference files " \
                  "are looked for in ../golden beside it"

/// A reference file: photographs by their names, and a dataset with a row for each.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(H5Fopen((data_folder() + "/../golden/" + name).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
    const hid_t set = H5Dopen2(file_, "keys", H5P_DEFAULT);
    const hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    std::vector<char*> raw(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data());
    for (char* key : raw) keys_.emplace_back(key);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
  }
  ~Golden() { H5Fclose(file_); }
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  const std::vector<std::string>& keys() const { return keys_; }
  template <typename T>
  std::vector<T> read(const std::string& dataset, hid_t type) const {
    const hid_t set = H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT);
    const hid_t space = H5Dget_space(set);
    std::vector<T> out(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data());
    H5Sclose(space);
    H5Dclose(set);
    return out;
  }

 private:
  hid_t file_;
  std::vector<std::string> keys_;
};

std::string photograph(const std::string& key) {
  for (const char* below : {"/hymenoptera/val/", "/hymenoptera/", "/"})
    if (const std::string path = data_folder() + below + key; std::filesystem::is_regular_file(path)) {
      std::ostringstream content;
      content << std::ifstream(path, std::ios::binary).rdbuf();
      return content.str();
    }
  ADD_FAILURE() << "no photograph " << key;
  return {};
}

TEST(Golden, PixelsAreThoseOfPillow) {
  SKIP_WITHOUT_DATA();
  const Golden golden("resize_pillow.h5");
  ASSERT_EQ(golden.keys().size(), 13u);
  const std::tuple<const char*, const char*, int> recipes[] = {
      {"bilinear_short256_crop224", "{resize: 256, crop: 224, filter: bilinear}", 224},
      {"bicubic_short224_crop224", "{resize: 224, crop: 224, filter: bicubic}", 224},
      {"lanczos_short96_crop96", "{resize: 96, crop: 96, filter: lanczos}", 96}};
  for (const auto& [dataset, params, side] : recipes) {
    StageHarness decode("decode", params);
    const auto wanted = golden.read<std::uint8_t>(dataset, H5T_NATIVE_UINT8);
    const std::size_t one = 3u * static_cast<std::size_t>(side * side);
    ASSERT_EQ(wanted.size(), 13 * one);
    for (std::size_t i = 0; i < golden.keys().size(); ++i) {
      const Image image =
          std::get<Image>(decode.apply(StageHarness::bytes(photograph(golden.keys()[i])), golden.keys()[i]));
      ASSERT_EQ(image.width, side);
      ASSERT_EQ(image.height, side);
      std::size_t different = 0;
      int largest = 0;
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < 3 * side; ++x) {
          const int off =
              std::abs(image.row(y)[x] - wanted[i * one + static_cast<std::size_t>(3 * side * y + x)]);
          different += off > 0 ? 1 : 0;
          largest = std::max(largest, off);
        }
      EXPECT_LE(largest, 1) << dataset << " " << golden.keys()[i];
      EXPECT_LE(static_cast<double>(different), 0.01 * static_cast<double>(one))
          << dataset << " " << golden.keys()[i];
    }
  }
}

TEST(Golden, FeaturesAreThoseOfPyTorch) {
  SKIP_WITHOUT_DATA();
  if (!GRAFT_HAS_TORCH) GTEST_SKIP() << "built without LibTorch";
  const Golden golden("hymenoptera_val_mobilenet_v1_075.h5");
  const auto wanted = golden.read<float>("features", H5T_NATIVE_FLOAT);
  constexpr std::size_t kDim = 768;
  ASSERT_EQ(wanted.size(), golden.keys().size() * kDim);
  StageHarness decode("decode", "{resize: 256, crop: 224}");
  StageHarness backbone(
      "torch_backbone",
      "{model: \"" + data_folder() + "/weights/mobilenet_v1_075_imagenet.torchscript.pt\", normalize: tf}");
  constexpr std::size_t kBatch = 8;
  for (std::size_t first = 0; first < golden.keys().size(); first += kBatch) {
    std::vector<Payload> images;
    for (std::size_t i = first; i < std::min(first + kBatch, golden.keys().size()); ++i)
      images.push_back(decode.apply(StageHarness::bytes(photograph(golden.keys()[i])), golden.keys()[i]));
    const auto out = backbone.apply_batch(images);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto& row = std::get<Tensor>(out[i].payload);
      ASSERT_EQ(row.shape, Shape{static_cast<std::int64_t>(kDim)});
      const float* expected = &wanted[(first + i) * kDim];
      float scale = 0, off = 0;
      for (std::size_t d = 0; d < kDim; ++d) {
        scale = std::max(scale, std::fabs(expected[d]));
        off = std::max(off, std::fabs(row.as<float>()[d] - expected[d]));
      }
      EXPECT_LE(off, 1e-3f * scale) << golden.keys()[first + i];
    }
  }
}

}  // namespace
}  // namespace graft
