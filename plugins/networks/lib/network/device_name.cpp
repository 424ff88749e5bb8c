#include <network/device_name.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

/// Prefixes of the device files that GPU drivers create.
constexpr std::array<std::string_view, 5> kDeviceFiles = {"nvidia",  // nvidia0, nvidiactl
                                                          "nvhost",  // Jetson
                                                          "nvmap",   // Jetson
                                                          "dxg",     // WSL
                                                          "kfd"};    // AMD, for ROCm

}  // namespace

void check_device_name(const std::string& device) {
  if (device == "auto" || device == "cpu" || device == "cuda") return;
  const bool numbered =
      device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
      std::all_of(device.begin() + 5, device.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!numbered) throw Error(fmt::format("expected auto, cpu, cuda or cuda:NUMBER, got '{}'", device));
}

bool has_gpu_files(const std::filesystem::path& root) {
  std::error_code ignored;
  // NVIDIA's driver may create its device files only when the first program uses the GPU.
  if (std::filesystem::exists(root / "proc/driver/nvidia/version", ignored)) return true;
  std::filesystem::directory_iterator entry(root / "dev", ignored);
  for (; !ignored && entry != std::filesystem::directory_iterator(); entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (std::any_of(kDeviceFiles.begin(), kDeviceFiles.end(),
                    [&](std::string_view file) { return name.starts_with(file); }))
      return true;
  }
  return false;
}

void require_gpu_files(const std::string& device) {
  if (!has_gpu_files())
    throw Error(
        fmt::format("CUDA is not available: this machine has no driver for an NVIDIA or AMD GPU, got '{}'; "
                    "use cpu or auto",
                    device));
}

}  // namespace graft::nn
