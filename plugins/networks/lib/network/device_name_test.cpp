#include <network/device_name.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <graft/error.h>

#include "temp_folder.h"

namespace graft::nn {
namespace {

TEST(DeviceName, IsAutoCpuOrCudaWithANumber) {
  for (const char* name : {"auto", "cpu", "cuda", "cuda:0", "cuda:15"})
    EXPECT_NO_THROW(check_device_name(name)) << name;
  for (const std::string name : {"", "gpu", "cuda:", "cuda:x", "cuda:1234", "CUDA", "cuda:-1"})
    EXPECT_THAT(
        [&] { check_device_name(name); },
        ::testing::ThrowsMessage<Error>("expected auto, cpu, cuda or cuda:NUMBER, got '" + name + "'"));
}

TEST(DeviceName, DriversOfGpusAreKnownByTheirFiles) {
  for (const char* file : {"dev/nvidia0", "dev/nvidiactl", "dev/nvhost-gpu", "dev/nvmap", "dev/dxg",
                           "dev/kfd", "proc/driver/nvidia/version"}) {
    test::TempFolder root;
    EXPECT_FALSE(has_gpu_files(root.path())) << "no dev";
    std::filesystem::create_directories(root.path() / "dev");
    std::filesystem::create_directories(root.path() / "proc/driver/nvidia");
    root.write("dev/null", "");
    root.write("dev/nvme0", "");
    root.write("dev/nvram", "");
    EXPECT_FALSE(has_gpu_files(root.path()));
    root.write(file, "");
    EXPECT_TRUE(has_gpu_files(root.path())) << file;
  }
}

}  // namespace
}  // namespace graft::nn
